"""Where Headway keeps its state: `HEADWAY_HOME`, one folder per user."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from headway.domain.errors import UserError

VARIABLE = "HEADWAY_HOME"


def home_from(env: Mapping[str, str] | None = None) -> Path:
    """The state folder that `env` (default: this process's environment) asks for, made if it is not there.

    Raises:
        UserError: When it cannot be made or is no folder.
    """
    env = os.environ if env is None else env
    given = env.get(VARIABLE)
    home = Path(given).expanduser().absolute() if given else _platform_home(env)
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UserError(
            f"{VARIABLE}: cannot make the state folder {home}: {error.strerror}",
            f"Set {VARIABLE} to a folder that you may write to.",
        ) from error
    return home


def _platform_home(env: Mapping[str, str]) -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "headway"
    state = env.get("XDG_STATE_HOME", "")
    # A relative XDG_STATE_HOME is invalid by the XDG specification and is to be ignored.
    base = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    return base / "headway"
