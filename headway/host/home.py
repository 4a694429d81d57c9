"""The place of Headway's state: `HEADWAY_HOME`, one folder per user."""

import os
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from headway.domain.errors import UserError

VARIABLE = "HEADWAY_HOME"
_OTHERS = 0o077
_OURS = frozenset({"runs", "supervisor.lock"})
"""One of these is in each state folder that was ever used."""


def home_from(env: Mapping[str, str] | None = None) -> Path:
    """The state folder that `env` (default: this process's environment) asks for, made if it is not there.

    Raises:
        UserError: It cannot be made, is no folder, or is open to other users and cannot or must not be closed.
    """
    env = os.environ if env is None else env
    given = env.get(VARIABLE)
    if given is not None and not _is_utf8(given):
        # Temporal's database, JSON and Markdown hold it.
        raise UserError(f"{VARIABLE}: its name is not UTF-8.", f"Set {VARIABLE} to a folder whose name is.")
    try:
        home = Path(given).expanduser().absolute() if given else _platform_home(env)
    except RuntimeError as error:
        # A user id without an entry in the list of users, as in many containers, and no HOME.
        raise UserError(
            f"{VARIABLE}: this user has no home folder.", f"Set {VARIABLE}, or HOME, to a folder."
        ) from error
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UserError(
            f"{VARIABLE}: cannot make the state folder {home}: {error.strerror}",
            f"Set {VARIABLE} to a folder that you may write to.",
        ) from error
    _close(home)
    return home


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _close(home: Path) -> None:
    """Keep other users of the machine out: it holds keys in addresses, instructions, and all that agents read.

    Raises:
        UserError: It is open to others and cannot be closed, or should not be: it holds files of something else, such
            as a system folder or a home that was named by mistake.
    """
    if home.stat().st_mode & _OTHERS:
        held = {place.name for place in home.iterdir()} - {"lost+found"}
        if held and not held & _OURS:
            raise UserError(
                f"{VARIABLE}: {home} is open to other users and holds files that are not Headway's.",
                f"Set {VARIABLE} to a folder of its own, such as {home / 'headway'}; it is made and closed to others.",
            )
        with suppress(OSError):
            home.chmod(0o700)
        if (mode := stat.S_IMODE(home.stat().st_mode)) & _OTHERS:
            raise UserError(
                f"{VARIABLE}: other users can enter the state folder {home} (mode {mode:03o}); it cannot be closed.",
                f"Run `chmod 700 {home}`, mount its disk with umask=077, or set {VARIABLE} to another folder.",
            )


def _platform_home(env: Mapping[str, str]) -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "headway"
    state = env.get("XDG_STATE_HOME", "")
    # The XDG specification calls a relative XDG_STATE_HOME invalid, and says to ignore it.
    base = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    return base / "headway"
