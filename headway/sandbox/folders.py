"""Folders of the harness inside what commands may write."""

import stat
from pathlib import Path


def own_folder(parent: Path, name: str) -> Path:
    """A folder in one that commands may write. Whatever else a command left in its place goes."""
    folder = parent / name
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            folder.unlink()
            folder.mkdir()
    except FileNotFoundError:
        folder.mkdir()
    return folder
