"""The user's repository, on this machine or behind a URL: the start of a run there, and its history in a pack."""

import re
from dataclasses import dataclass
from pathlib import Path

from headway.domain.errors import UserError
from headway.domain.ids import Oid
from headway.git.git_environment import listed, user_environment
from headway.git.git_process import run_git
from headway.git.repo import Repo

FETCH_S = 3600.0
ASK_S = 120.0
_SECRET = re.compile(r"(?<=://)[^/\s]+@")


def without_secret(text: str) -> str:
    """`text` without the part of a URL before the @: it may be a password."""
    return _SECRET.sub("", text)


@dataclass(frozen=True)
class Start:
    """Start of a run: a commit, and the branch that named it, if one did."""

    commit: Oid
    branch: str | None


def pack_history(objects: Path, commit: Oid, hub: Repo) -> None:
    """Copy a commit's history from an object store, and from those that it borrows from, into one pack of the hub.

    Git runs in the hub, so nothing that the store's repository configures is read. Objects that the store lacks stay
    missing.
    """
    borrowed = {"GIT_ALTERNATE_OBJECT_DIRECTORIES": listed(objects)}
    pack = str(hub.git_dir / "objects" / "pack" / "pack")
    packing = ["pack-objects", "--revs", "--quiet", "--delta-base-offset", "--window=0"]
    for more in ((), ("--missing=allow-any",)):
        packed = hub.run(*packing, *more, pack, stdin=f"{commit}\n".encode(), env=borrowed, ok=None, timeout_s=FETCH_S)
        if packed.code == 0:
            return


def author_of(flags: list[str], cwd: Path | None) -> str | None:
    """The identity under which the user commits; None where git knows none."""
    asked = [*flags, "-c", "user.useConfigOnly=true", "var", "GIT_AUTHOR_IDENT"]
    found = run_git(asked, env=user_environment(), cwd=cwd, ok=None)
    named = re.match(r"([^<>\n]+ <[^<>\s]+>) ", found.text) if found.code == 0 else None
    return named[1] if named else None


def no_base(base: str, where: str, listing: str) -> UserError:
    """The error about a base that names nothing. `listing` is a command that shows the names there are."""
    return UserError(
        f"base: {where} has no branch, tag or commit '{base}'", f"Name one that exists; this lists them: {listing}"
    )
