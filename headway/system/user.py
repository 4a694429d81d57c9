"""The user who runs this process, who may be one that the machine does not know."""

from pathlib import Path


def user_home() -> Path:
    """The user's home folder; the root folder for a user id without an entry, as in many containers."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/")
