"""The folders in which this process and its children look for programs."""

import os
from collections.abc import MutableMapping


def complete_search_path(env: MutableMapping[str, str] = os.environ) -> None:
    """Have the folders of the system searched last, where PATH leaves them out.

    A shell and the tools of POSIX are there on every machine. A service or a container may be given a PATH that names
    its own programs alone; commands, and the shells around them, would not start.
    """
    named = [folder for folder in env.get("PATH", "").split(os.pathsep) if folder]
    missing = [folder for folder in os.defpath.split(os.pathsep) if folder and folder not in named]
    env["PATH"] = os.pathsep.join(named + missing)
