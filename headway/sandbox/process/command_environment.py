"""The environment of commands: built from a list of allowed variables, so that it can hold no secret of ours."""

import os
from collections.abc import Mapping
from pathlib import Path

from headway.sandbox.runner import Command
from headway.system.places import is_folder
from headway.system.user import user_home

_PASSED = (
    *("PATH", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "USER", "LOGNAME"),
    *("JAVA_HOME", "GOROOT", "RUSTUP_HOME", "PYENV_ROOT", "NVM_DIR", "LD_LIBRARY_PATH"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
)
"""Names and places, never credentials: no proxies (they hold passwords), no index addresses."""

_FIXED = {
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "TERM": "dumb",
    "CI": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_EDITOR": "true",
    "PIP_PROGRESS_BAR": "off",
    "DEBIAN_FRONTEND": "noninteractive",
}
"""There is no terminal: nothing may page, prompt, open an editor or draw."""

_TOOLCHAINS = {"RUSTUP_HOME": ".rustup", "PYENV_ROOT": ".pyenv"}
"""Toolchains that look for themselves under HOME, which is another one for a command."""

MARK = "HEADWAY_COMMAND"
"""Every process of a command inherits this variable, which names the command also outside of its group."""


def environment(command: Command, home: Path, mark: str, ours: Mapping[str, str] = os.environ) -> dict[str, str]:
    """All that a command sees of variables.

    Args:
        command: Its own additions win over ours.
        home: Its HOME.
        mark: Names this command.
        ours: The environment of this process.
    """
    passed = {name: ours[name] for name in _PASSED if name in ours}
    for name, folder in _TOOLCHAINS.items():
        place = user_home() / folder
        if name not in passed and is_folder(place):
            passed[name] = str(place)
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        **passed,
        **_FIXED,
        "HOME": str(home),
        **command.walls.secrets,
        **command.env,
        MARK: ours.get(MARK, "") + mark,
    }
