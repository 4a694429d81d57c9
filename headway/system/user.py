"""The user who runs this process, who may be one that the machine does not know."""

from pathlib import Path


def user_home() -> Path:
    """The user's own folder; the root folder where there is none, as in containers with a user id of their own."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/")
