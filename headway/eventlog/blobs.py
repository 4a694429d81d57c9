"""Long strings lie next to the logs, compressed, under the hash of their content: a log stays quick to read."""

import hashlib
import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from headway.domain.errors import UserError
from headway.system.files import PRIVATE_FILE, make_folder, sync_folder, write_whole

INLINE_CHARS = 4096
"""The longest string that stands in the log itself."""

NAMES_KEPT = 20_000
"""Blobs, of all runs, of which a process remembers that it has synced them; a forgotten one costs the sync of its
folder."""

MARK = "$blob"
"""The key of a blob's place holder. A stranger's dict with this key is wrapped: {"$blob": null, "value": ...}"""

APART = "\N{HORIZONTAL ELLIPSIS}"
"""Stands for a long string where the text itself is not asked for."""

_GZIP = 31
"""zlib's `wbits` for the format of gzip: `zcat` shows a blob."""

_QUICK = 1
"""The level of compression: 2.5 times smaller for 0.1 ms a blob of source text; level 6 gains another tenth."""

_MARK_BYTES = orjson.dumps(MARK)
_INT_RANGE = range(-(2**63), 2**64)


class Blobs:
    """The blobs of one run.

    Args:
        folder: `runs/<run>/blobs`; made when the first blob comes.
        synced: Blobs that this process has synced; shared by the blobs of all runs.
    """

    def __init__(self, folder: Path, synced: set[int] | None = None) -> None:
        self._folder = folder
        self._synced: set[int] = set() if synced is None else synced
        self._salt = hash(folder)

    def put(self, text: str) -> str:
        """Store a text, synced, and return its name."""
        content = text.encode()
        name = hashlib.sha256(content).hexdigest()
        path = self._path(name)
        there = path.exists()  # asked also of our own: the run may have been removed and begun anew since
        short = int(name[:15], 16) ^ self._salt
        if there and short in self._synced:
            return name
        make_folder(path.parent)
        if there:  # renamed by another process, which may not have synced the folder yet
            sync_folder(path.parent)
        else:
            packer = zlib.compressobj(_QUICK, wbits=_GZIP)
            write_whole(path, packer.compress(content) + packer.flush(), synced=True, mode=PRIVATE_FILE)
        if len(self._synced) >= NAMES_KEPT:
            self._synced.clear()
        self._synced.add(short)
        return name

    def get(self, name: str) -> str:
        """The text of that name.

        Raises:
            UserError: The file is gone, or damaged.
        """
        try:
            return zlib.decompress(self._path(name).read_bytes(), wbits=_GZIP).decode()
        except (FileNotFoundError, zlib.error):
            raise UserError(
                f"{self._path(name)}: a part of the log is missing", "Restore this file from a backup of HEADWAY_HOME."
            ) from None

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / f"{name}.gz"

    def outsource(self, value: Any, *, inline: bool = False) -> Any:
        """`value` with every long string replaced by the place holder of a blob; `inline` leaves them where they are.

        Either way `resolve` gives it back.
        """
        if isinstance(value, str):
            return value if inline or len(value) <= INLINE_CHARS else {MARK: self.put(value), "chars": len(value)}
        if isinstance(value, list):
            return [self.outsource(item, inline=inline) for item in value]
        if isinstance(value, dict):
            whole = {key: self.outsource(item, inline=inline) for key, item in value.items()}
            return {MARK: None, "value": whole} if MARK in whole else whole
        return value

    def resolve(self, value: Any) -> Any:
        """The value that `outsource` was given."""
        return resolved(value, self.get)


def resolved(value: Any, get: Callable[[str], str]) -> Any:
    """A value with the place holder of each blob replaced by the text of `get` for its name."""
    if isinstance(value, list):
        return [resolved(item, get) for item in value]
    if not isinstance(value, dict):
        return value
    if MARK not in value:
        return {key: resolved(item, get) for key, item in value.items()}
    if value[MARK] is None:
        return {key: resolved(item, get) for key, item in value["value"].items()}
    return get(value[MARK])


def has_long(value: Any) -> bool:
    """True if a value holds a string that does not stand in the log itself."""
    if isinstance(value, str):
        return len(value) > INLINE_CHARS
    if isinstance(value, dict):
        return any(map(has_long, value.values()))
    return isinstance(value, list) and any(map(has_long, value))


def has_blobs(line: bytes) -> bool:
    """True if a line of a log may hold place holders; tells lines without any, which need no walk."""
    return _MARK_BYTES in line


def plain(value: Any, redact: Callable[[str], str]) -> Any:
    """`value` as JSON will give it back: lists for tuples, plain strings, nothing secret, nothing that JSON lacks.

    Raises:
        TypeError: For a value that is no JSON: a bug of the caller.
    """
    if isinstance(value, str):
        return redact(_encodable(str(value)))
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return int(value) if value in _INT_RANGE else str(value)
    if isinstance(value, dict):
        return {_key(key, redact): plain(item, redact) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, redact) for item in value]
    raise TypeError(f"an event holds JSON only, not {type(value).__name__}")


def _key(key: Any, redact: Callable[[str], str]) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key in an event is a string, not {type(key).__name__}")
    return redact(_encodable(str(key)))


def _encodable(text: str) -> str:
    """Half of a surrogate pair, as file names and models may hold, has no place in UTF-8."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text
