"""A pack of new objects: the commits and trees of one batch of landings, in two files instead of hundreds."""

import itertools
import os
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from headway.domain.ids import Oid
from headway.git.objects import digest_of
from headway.system.files import sync_folder

_KINDS = {"commit": 1, "tree": 2, "blob": 3}
_QUICK = 1
_STORED = 65_535
_BIG = 0x80000000


Objects = dict[bytes, tuple[str, bytes]]
"""Objects by their raw ids, each as its kind and content."""


@dataclass
class Pack:
    """Objects that `write` puts into the hub all at once.

    Attributes:
        folder: The `objects/pack` of the hub.
        like: Any object id of the repository, for the hash function.
    """

    folder: Path
    like: Oid
    objects: Objects = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._shown = 0

    def add(self, kind: str, body: bytes) -> Oid:
        """Take an object in; returns its id."""
        digest = digest_of(b"%s %d\0%s" % (kind.encode(), len(body), body), self.like)
        self.objects.setdefault(digest, (kind, body))
        return Oid(digest.hex())

    def write(self, *, synced: bool) -> None:
        """Put the objects that were taken in on disk, and begin anew. Nothing is visible before all of it is there.

        Raises:
            OSError: The disk is full or broken; nothing is visible.
        """
        self._put(self.objects, self.folder, synced=synced)
        self.clear()

    def show(self, folder: Path) -> None:
        """Write the objects since the last call to another folder as well, for git to read; not synced."""
        news = dict(itertools.islice(self.objects.items(), self._shown, None))
        self._put(news, folder, synced=False)
        self._shown = len(self.objects)

    def clear(self) -> None:
        """Forget the objects that were taken in."""
        self.objects.clear()
        self._shown = 0

    def _put(self, objects: Objects, folder: Path, *, synced: bool) -> None:
        if not objects:
            return
        content, places = self._packed(objects)
        made = [folder / f"tmp_pack_{os.getpid()}_{os.urandom(4).hex()}{end}" for end in ("", "_idx")]
        name = content[-(len(self.like) // 2) :].hex()
        try:
            for path, body in zip(made, (content, self._index(places, content)), strict=True):
                with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444), "wb") as file:
                    file.write(body)
                    file.flush()
                    if synced:
                        os.fsync(file.fileno())
            # Git takes a pack for there once it sees the index.
            made[0].replace(folder / f"pack-{name}.pack")
            made[1].replace(folder / f"pack-{name}.idx")
            if synced:
                sync_folder(folder)
        finally:
            for path in made:
                path.unlink(missing_ok=True)

    def _packed(self, objects: Objects) -> tuple[bytes, dict[bytes, tuple[int, int]]]:
        parts = [b"PACK" + struct.pack(">II", 2, len(objects))]
        places, at = {}, len(parts[0])
        for oid, (kind, body) in objects.items():
            stored = _header(_KINDS[kind], len(body)) + _deflated(body)
            places[oid] = (at, zlib.crc32(stored))
            parts.append(stored)
            at += len(stored)
        whole = b"".join(parts)
        return whole + digest_of(whole, self.like), places

    def _index(self, places: dict[bytes, tuple[int, int]], content: bytes) -> bytes:
        """Version 2 of git's pack index; a batch stays far below the 2 GB from which offsets need eight bytes."""
        ordered = sorted(places)
        assert len(content) < _BIG
        counts, fanout = [0] * 256, []
        for oid in ordered:
            counts[oid[0]] += 1
        total = 0
        for count in counts:
            total += count
            fanout.append(total)
        body = b"".join(
            (
                b"\xfftOc" + struct.pack(">I", 2),
                struct.pack(">256I", *fanout),
                *ordered,
                struct.pack(f">{total}I", *(places[oid][1] for oid in ordered)),
                struct.pack(f">{total}I", *(places[oid][0] for oid in ordered)),
                content[-(len(self.like) // 2) :],
            )
        )
        return body + digest_of(body, self.like)


def _deflated(body: bytes) -> bytes:
    """A zlib stream. Small bodies are stored: most of a tree is hashes, and maintenance packs it anyway."""
    if len(body) > _STORED:
        return zlib.compress(body, _QUICK)
    block = b"\x78\x01\x01" + struct.pack("<HH", len(body), len(body) ^ 0xFFFF)
    return block + body + struct.pack(">I", zlib.adler32(body))


def _header(kind: int, size: int) -> bytes:
    """Type and size of a packed object: four bits of size, then seven a byte, smallest first."""
    byte, size = (kind << 4) | (size & 15), size >> 4
    out = bytearray()
    while size:
        out.append(byte | 0x80)
        byte, size = size & 0x7F, size >> 7
    out.append(byte)
    return bytes(out)
