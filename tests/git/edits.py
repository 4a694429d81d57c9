"""Random edits of a work tree: all that an agent's commands may do to files that matters to git."""

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from random import Random

from tests.git.judge import ENVIRONMENT

LATIN = os.fsdecode(b"caf\xe9")
FOLDERS = ("", "", "d", "d/y", "e", "out", "new/deep", LATIN)
LEAVES = ("a", "x", "z", "kept.log", "other.log", "y", "d", "-", "sp ace", "ü", f"{LATIN}.txt", "crlf.txt", "lf.txt")
NAMES = (*FOLDERS, *LEAVES, "sub", "link", ".gitattributes", ".gitignore")
RULES = ("*.log\n", "x\n", "!*.log\n", "out/\n!x\n", "d/\n", "/new\n", "*\n", "", "sub\n")
ATTRIBUTES = (
    "*.txt text\n",
    "*.txt text eol=crlf\n",
    "* text=auto\n",
    "*.txt -text\n",
    "*.txt ident\n",
    "",
    "*.txt eol=crlf\n",
)
LINES = [f"line {number}" for number in range(8)]


def seed_files(top: Path) -> None:
    """The first files: links, scripts, what is tracked although it is ignored, CRLF of before, odd names."""
    for name in ("a", "x", "d/x", "d/y/z", "d/y/x", "e/a", "e/z", "d/kept.log", f"{LATIN}/a"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(_body(Random(ascii(name)), "\n"))
    for name in ("crlf.txt", "d/crlf.txt", f"{LATIN}.txt"):
        (top / name).write_bytes(_body(Random(ascii(name)), "\r\n"))
    (top / "lf.txt").write_bytes(b"$Id$\nline\n")
    (top / ".gitignore").write_text("*.log\nout/\n")
    (top / ".gitattributes").write_text("*.txt text\n")
    (top / "link").symlink_to("d")
    (top / "e/z").chmod(0o755)


def _body(rng: Random, end: str) -> bytes:
    lines = list(LINES)
    for _ in range(rng.randint(0, 2)):
        lines[rng.randrange(len(lines))] = f"changed {rng.randint(0, 5)}"
    return "".join(line + end for line in lines).encode()


def random_path(rng: Random) -> str:
    """A path that may or may not be there."""
    return f"{rng.choice(FOLDERS)}/{rng.choice(LEAVES)}".lstrip("/")


def _there(rng: Random, top: Path) -> str:
    """A path that is there, mostly."""
    found = [
        os.path.relpath(os.path.join(place, name), top)  # noqa: PTH118 - names that are no UTF-8
        for place, below, names in os.walk(top)
        for name in (*below, *names)
        if ".git" not in Path(place, name).relative_to(top).parts and ".headway" not in Path(place, name).parts
    ]
    return rng.choice(sorted(found)) if found and rng.random() < 0.8 else random_path(rng)


def edit(rng: Random, top: Path, *, nested: bool) -> tuple[str, ...]:
    """Do one at random; returns its kind and the paths that it touched. What the system refuses is not done."""
    kinds = {
        "write": 6, "change": 6, "remove": 5, "move": 4, "mode": 2, "link": 1, "rules": 3, "attributes": 2, "touch": 1,
        "again": 1, "remake": 2, "folder": 2, "submodule": 1,
    } | ({"nested": 1, "unnest": 1} if nested else {})  # fmt: skip
    kind = rng.choices(list(kinds), list(kinds.values()))[0]
    name, other = _there(rng, top), random_path(rng)
    folder = rng.choice(FOLDERS)
    if kind in {"rules", "attributes"}:
        name = f"{folder}/{'.gitignore' if kind == 'rules' else '.gitattributes'}".lstrip("/")
    elif kind == "submodule":
        name = "sub"
    with suppress(OSError, shutil.Error):
        _do(rng, top, kind, top / name, top / other)
    return kind, name, other


def _do(rng: Random, top: Path, kind: str, target: Path, other: Path) -> None:  # noqa: C901, PLR0912 - a case an edit
    match kind:
        case "write":
            _write(other, _body(rng, rng.choice(("\n", "\n", "\r\n"))))
        case "change":
            lines = target.read_bytes().splitlines(keepends=True) or [b""]
            lines[rng.randrange(len(lines))] = rng.choice((b"mine\n", b"yours\r\n", b"\0\n", b""))
            target.write_bytes(b"".join(lines))
        case "remove":
            _remove(target)
        case "move":
            other.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(target, other)
        case "mode":
            target.chmod(rng.choice((0o755, 0o644, 0o700)))
        case "link":
            _remove(other)
            other.symlink_to(rng.choice(("a", "d", "x/y", "missing")))
        case "rules":
            _write(target, rng.choice(RULES).encode())
        case "attributes":
            _write(target, rng.choice(ATTRIBUTES).encode())
        case "touch":
            os.utime(target)
        case "again":
            body, mode = target.read_bytes(), target.stat().st_mode
            target.unlink()
            target.write_bytes(body)
            target.chmod(mode)
        case "remake" | "submodule":
            _remake(rng, target)
        case "folder":
            _remove(target)
            _write(target / rng.choice(("a", "crlf.txt")), _body(rng, "\n"))
        case "nested":
            folder = target if target != top and (target.is_dir() or rng.random() < 0.5) else other
            if not folder.is_dir() or folder.is_symlink():
                _remove(folder)
            folder.mkdir(parents=True, exist_ok=True)
            subprocess.run(["git", "init", "--quiet"], cwd=folder, env=ENVIRONMENT, check=True)
            if rng.random() < 0.5:
                _write(folder / "inside", b"inside\n")
                for command in (("add", "--all"), ("commit", "--quiet", "--message=Inside")):
                    subprocess.run(["git", *command], cwd=folder, env=ENVIRONMENT, check=False, capture_output=True)
        case "unnest":
            for found in sorted(top.glob("**/.git"))[:]:
                if found.parent != top:
                    shutil.rmtree(found)


def change_first_line(target: Path, line: bytes) -> bool:
    """Change the first line of a regular file; whether it was there."""
    if target.is_symlink() or not target.is_file():
        return False
    _, end, rest = target.read_bytes().partition(b"\n")
    target.write_bytes(line + (end or b"\n") + rest)
    return True


def _remake(rng: Random, target: Path) -> None:
    """Away, and half of the times there again, empty."""
    was_folder = target.is_dir() and not target.is_symlink()
    _remove(target)
    if rng.random() < 0.5:
        target.mkdir() if was_folder else target.write_bytes(_body(rng, "\n"))


def _remove(target: Path) -> None:
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    elif os.path.lexists(target):
        target.unlink()


def _write(target: Path, body: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(body)
