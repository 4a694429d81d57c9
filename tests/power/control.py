"""A program that keeps a promise only if it syncs in the right order: each line of its log names a file that is there.

python -m tests.power.control FOLDER right|wrong
"""

import hashlib
import itertools
import os
import sys
from pathlib import Path

from headway.system.files import sync_folder, write_whole

BYTES = 20_000


def content(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest() * (BYTES // 32)


def write(folder: Path, order: str) -> None:
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    sync_folder(folder)
    for number in itertools.count():
        write_whole(folder / f"{number}", content(number), synced=order == "right")
        os.write(log, f"{number}\n".encode())
        os.fsync(log)


def broken(folder: Path) -> list[int]:
    """Files that the log promises and that are not as promised."""
    lines = (folder / "log").read_bytes().split(b"\n")[:-1] if (folder / "log").exists() else []
    numbers = [int(line) for line in lines]
    return [n for n in numbers if not (folder / f"{n}").exists() or (folder / f"{n}").read_bytes() != content(n)]


if __name__ == "__main__":
    write(Path(sys.argv[1]), sys.argv[2])
