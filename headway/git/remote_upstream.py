"""The user's repository behind a URL: the commit that a run starts from, and its history."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from headway.domain.errors import UserError
from headway.domain.ids import Oid
from headway.git.git_environment import hermetic_environment, user_environment
from headway.git.git_process import GitError, run_git
from headway.git.repo import Repo
from headway.git.upstream import ASK_S, FETCH_S, Start, author_of, no_base, pack_history, without_secret

_FULL_OID = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


@dataclass(frozen=True)
class RemoteUpstream:
    """A repository behind a URL, fetched with the user's own configuration and credentials."""

    url: str

    @property
    def address(self) -> str:
        """The address that pushes go to; it may hold a password."""
        return self.url

    def object_format(self) -> str:
        """`sha1` or `sha256`, told by the length of the ids that it answers with."""
        return "sha256" if any(len(line.split("\t")[0]) == 64 for line in self._listed()) else "sha1"  # noqa: PLR2004

    def _listed(self) -> list[str]:
        asked = ["ls-remote", "--symref", "--", self.url, "HEAD", "refs/heads/*", "refs/tags/*"]
        try:
            answer = run_git(asked, env=user_environment(), timeout_s=ASK_S)
        except GitError as error:
            if error.short:
                raise
            raise UserError(
                f"repo: cannot reach {without_secret(self.url)}: {without_secret(error.err)}",
                f"Check that this works without a question: git ls-remote {without_secret(self.url)}",
            ) from None
        return answer.text.split("\n") if answer.text else []

    def bring(self, base: str | None, hub: Repo) -> Start:
        """Fetch the history of `base` into the hub, and nothing else; by default that of the repository's HEAD."""
        listed = self._listed()
        there = {
            ref: Oid(oid) for oid, _, ref in (line.partition("\t") for line in listed) if not oid.startswith("ref:")
        }
        if not any(ref.startswith("refs/heads/") for ref in there):
            raise UserError(f"repo: {without_secret(self.url)} has no commit to start from", "Push a commit first.")
        head = next((line.split("\t")[0] for line in listed if line.startswith("ref: ")), None)
        branch = (head or "").removeprefix("ref: refs/heads/") or None
        wanted = base if base is not None else branch
        if wanted is None:
            raise UserError(f"repo: {without_secret(self.url)} has no default branch", "Name a 'base'.")
        for kind in ("heads", "tags"):
            if f"refs/{kind}/{wanted}" in there:
                self._fetch(hub, f"+refs/{kind}/{wanted}:refs/source/base")
                return Start(_commit(hub, "refs/source/base"), wanted if kind == "heads" else None)
        return Start(self._bring_commit(wanted, hub), None)

    def _bring_commit(self, wanted: str, hub: Repo) -> Oid:
        """The commit that a branch's history holds, or that the other side gives out by its whole id."""
        with TemporaryDirectory(prefix="all-", dir=hub.git_dir) as folder:
            # Everything comes to a place of its own, because only the commit's history belongs into the hub.
            everything = Repo(Path(folder) / "all.git")
            run_git(
                [
                    "init",
                    "--bare",
                    "--quiet",
                    "--template=",
                    f"--object-format={hub.object_format()}",
                    folder + "/all.git",
                ],
                env=hermetic_environment(),
            )
            self._fetch(everything, "+refs/heads/*:refs/source/heads/*", "+refs/tags/*:refs/source/tags/*")
            found = everything.resolve(f"{wanted}^{{commit}}")
            if found is None and _FULL_OID.fullmatch(wanted):
                self._fetch(everything, f"{wanted}:refs/source/base")
                found = Oid(wanted)
            if found is None:
                raise no_base(wanted, without_secret(self.url), f"git ls-remote {without_secret(self.url)}")
            shallow = everything.git_dir / "shallow"
            if shallow.is_file():
                shutil.copyfile(shallow, hub.git_dir / "shallow")
            pack_history(everything.git_dir / "objects", found, hub)
            return found

    def _fetch(self, hub: Repo, *what: str) -> None:
        quiet = ["-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", "-c", "maintenance.auto=false"]
        fetch = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--recurse-submodules=no"]
        command = [f"--git-dir={hub.git_dir}", *quiet, *fetch, "--", self.url, *what]
        try:
            run_git(command, env=user_environment(), timeout_s=FETCH_S)
        except GitError as error:
            if error.short:
                raise
            raise UserError(
                f"repo: cannot fetch {', '.join(what)} from {without_secret(self.url)}: {without_secret(error.err)}",
                "Check the base, the network and your credentials, and start the run again.",
            ) from None

    def author(self) -> str | None:
        """The identity under which the user commits."""
        return author_of([], None)


def _commit(hub: Repo, name: str) -> Oid:
    found = hub.resolve(f"{name}^{{commit}}")
    if found is None:
        raise UserError(f"base: {name} names no commit", "Name a branch, a tag or a commit.")
    return found
