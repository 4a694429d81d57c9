"""Looks at places of the user's machine that this process may not be allowed to look at.

pathlib raises for a path in a folder that may not be entered, such as a closed home.
"""

from pathlib import Path


def is_there(place: Path) -> bool:
    """True if the place exists and this process may look at it."""
    try:
        return place.exists()
    except OSError:
        return False


def is_folder(place: Path) -> bool:
    """True if the place is a folder and this process may look at it."""
    return is_there(place) and place.is_dir()
