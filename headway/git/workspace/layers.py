"""Layers of overlays, seen as folders."""

import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from headway.git.workspace import overlay
from headway.system.files import delete


def flatten(layers: Sequence[Path], into: Path) -> None:
    """Make one layer that shows what `layers` (the newest first) show together.

    Files are linked, not copied: layers are never edited, and an overlay copies what an agent writes to.
    """
    into.mkdir()
    for layer in reversed(layers):
        _put_over(layer, into)


def _put_over(layer: Path, into: Path) -> None:
    if overlay.is_opaque(layer):
        for entry in into.iterdir():
            _remove(entry)
    for entry in layer.iterdir():
        target = into / entry.name
        found = entry.lstat()
        is_folder = stat.S_ISDIR(found.st_mode)
        if os.path.lexists(target) and not (is_folder and stat.S_ISDIR(target.lstat().st_mode)):
            _remove(target)
        if overlay.is_whiteout(found):
            continue
        if is_folder:
            target.mkdir(exist_ok=True)
            _put_over(entry, target)
        else:
            os.link(entry, target, follow_symlinks=False)
    status = layer.stat()
    into.chmod(stat.S_IMODE(status.st_mode))
    os.chown(into, status.st_uid, status.st_gid)
    shutil.copystat(layer, into)


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        delete(place)
    else:
        place.unlink()
