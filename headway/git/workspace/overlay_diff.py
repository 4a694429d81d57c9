"""The changes of an agent, read off its overlay: the upper layer holds exactly those."""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headway.git.workspace import overlay

EVERYTHING = b""
"""The top of the tree, as a name that changed: the rules of ignored files did, so all files have to be looked at."""


@dataclass(frozen=True)
class _Folder:
    """A folder that an upper and some of its layers hold together; `below` are those, the newest first."""

    name: bytes
    below: tuple[bytes, ...]


def changed_names(upper: Path, layers: Sequence[Path], never: frozenset[bytes]) -> set[bytes]:
    """Names, relative to the top, below which the mounted tree may differ from its layers. Nothing else differs.

    A folder stands for its whole content, so that the outputs of a build are not walked through here. `never` are
    entries of the top that belong to no agent's work.
    """
    found: set[bytes] = set()
    todo = [_Folder(b"", tuple(map(os.fsencode, layers)))]
    top = os.fsencode(upper)
    while todo:
        folder = todo.pop()
        with os.scandir(os.path.join(top, folder.name)) as entries:  # noqa: PTH118 - bytes, which Path does not take
            for entry in entries:
                if not folder.name and entry.name in never:
                    continue
                both = _together(folder, entry)
                if both is not None:
                    todo.append(both)
                # The folder's `.gitignore` or `.git` decides about everything below it.
                elif entry.name in {b".gitignore", b".git"}:
                    found.add(folder.name)
                else:
                    found.add(os.path.join(folder.name, entry.name))  # noqa: PTH118
    return found


def _together(folder: _Folder, entry: "os.DirEntry[bytes]") -> _Folder | None:
    """The entry, if it is a folder that shows something of the layers too."""
    if not entry.is_dir(follow_symlinks=False) or entry.name == b".git" or overlay.is_opaque(entry.path):
        return None
    below = _visible(folder.below, entry.name)
    return _Folder(os.path.join(folder.name, entry.name), below) if below else None  # noqa: PTH118


def _visible(layers: tuple[bytes, ...], name: bytes) -> tuple[bytes, ...]:
    """The layers' folders of that name that can be seen from above."""
    found = []
    for layer in layers:
        place = os.path.join(layer, name)  # noqa: PTH118
        try:
            there = os.lstat(place)
        except OSError:
            continue
        if not stat.S_ISDIR(there.st_mode):
            break
        found.append(place)
        if overlay.is_opaque(place):
            break
    return tuple(found)
