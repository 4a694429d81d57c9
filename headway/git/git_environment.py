"""The environments in which git runs: one that trusts no configuration but ours, and the user's own."""

import os
from pathlib import Path

_SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.splitIndex": "false",
    "core.sparseCheckout": "false",
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    "core.autocrlf": "false",
    "core.safecrlf": "false",
    "core.quotePath": "false",
    # Objects and refs are on disk before a landing or a snapshot is acknowledged.
    "core.fsync": "objects,derived-metadata,reference",
    "core.fsyncMethod": "batch",
    "credential.helper": "",
    "commit.gpgSign": "false",
    "diff.ignoreSubmodules": "all",
    "diff.renames": "true",
    "gc.auto": "0",
    "i18n.commitEncoding": "utf-8",
    "log.showSignature": "false",
    "maintenance.auto": "false",
    "merge.conflictStyle": "zdiff3",
    # A new file stays in the folder where its author put it, also when others moved that folder.
    "merge.directoryRenames": "false",
    # Of more files than that on both sides, only those that moved unchanged are followed: the rest takes the square.
    "merge.renameLimit": "3000",
    "protocol.allow": "never",
    "safe.directory": "*",
    "submodule.recurse": "false",
}

_KEPT = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "SYSTEMROOT")

_REPOSITORY_VARIABLES = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)


def hermetic_environment() -> dict[str, str]:
    """The environment of a call that reads no configuration of a user or a repository."""
    env = {name: os.environ[name] for name in _KEPT if name in os.environ}
    env |= {
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_DEFAULT_REF_FORMAT": "files",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "HOME": "/nonexistent",
        "LC_ALL": "C",
    }
    for place, (key, value) in enumerate(_SETTINGS.items()):
        env[f"GIT_CONFIG_KEY_{place}"] = key
        env[f"GIT_CONFIG_VALUE_{place}"] = value
    env["GIT_CONFIG_COUNT"] = str(len(_SETTINGS))
    return env


def user_environment() -> dict[str, str]:
    """The environment of a fetch or a publish: the user's own, so that their credentials and proxies work.

    Git and ssh ask no question: no user is there to answer.
    """
    env = {name: value for name, value in os.environ.items() if name not in _REPOSITORY_VARIABLES}
    return env | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def listed(path: Path) -> str:
    """A path as it stands in git's lists of object directories: quoted, so that any character may be in it."""
    named = os.fsencode(path)
    return '"' + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:03o}" for b in named) + '"'  # noqa: PLR2004
