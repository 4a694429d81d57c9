"""The user's repository: its kind, the commit that a run starts from, and its history brought into a hub."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

from headway.domain.errors import TransientError, UserError
from headway.domain.ids import Oid
from headway.git.checked_folder import check_folder
from headway.git.git_environment import hermetic_environment, user_environment
from headway.git.repo import GitError, GitOutput, Repo, listed, run_git

_FETCH_S = 3600.0
_ASK_S = 120.0
_SECRET = re.compile(r"(?<=://)[^/\s]+@")
_FULL_OID = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def without_secret(text: str) -> str:
    """`text` without the part of a URL before the @: it may be a password."""
    return _SECRET.sub("", text)


@dataclass(frozen=True)
class Start:
    """Start of a run: a commit, and the branch that named it, if one did."""

    commit: Oid
    branch: str | None


def local_path(source: str) -> Path | None:
    """The folder that `source` names, or None when it is the address of a repository elsewhere."""
    if source.startswith("file://"):
        return Path(unquote(urlsplit(source).path))
    head = source.partition("/")[0]
    if "://" in source or (":" in head and not Path(source).exists()):
        return None
    return Path(source).expanduser().absolute()


def _ask(folder: Path, *args: str, ok: tuple[int, ...] | None = None) -> GitOutput:
    try:
        return run_git(args, env=hermetic_environment(), cwd=folder, ok=ok, timeout_s=_ASK_S)
    except GitError as error:
        if error.short:
            raise
        # For example, its configuration includes a pipe.
        raise UserError(f"repo: git cannot read {folder}: {error.err}", "Set that right and try again.") from None


@dataclass(frozen=True)
class LocalUpstream:
    """A repository on this machine; only read, except by a publish."""

    folder: Path
    git_dir: Path

    @classmethod
    def find(cls, folder: Path) -> "LocalUpstream":
        """The repository at `folder`, bare or not, or a UserError that says why there is none."""
        try:
            return cls._found(folder)
        except OSError as error:
            # For example, it lies on a share that is gone, or may not be entered.
            raise UserError(
                f"repo: {folder} cannot be reached: {error.strerror or error}", "Set that right and try again."
            ) from None

    @classmethod
    def _found(cls, folder: Path) -> "LocalUpstream":
        if not folder.is_dir():
            raise UserError(f"repo: there is no folder {folder}", "Name the folder of a git repository, or its URL.")
        check_folder(folder)
        found = _ask(folder, "rev-parse", "--git-common-dir", "--is-inside-git-dir", "--show-cdup")
        if found.code != 0:
            if "not a git repository" not in found.err:
                raise UserError(f"repo: git cannot read {folder}: {found.err.strip()}", "Set that right and try again.")
            raise UserError(
                f"repo: {folder} is not a git repository",
                f"Name another folder, or make it one: git -C {folder} init && git -C {folder} add -A "
                f"&& git -C {folder} commit -m 'First commit'",
            )
        common, inside, up = [*found.text.split("\n"), "", ""][:3]
        git_dir = (folder / common).resolve()
        if up or (inside == "true" and git_dir != folder.resolve()):
            top = (folder / up).resolve() if up else git_dir
            raise UserError(f"repo: {folder} lies inside the repository {top}", f"Name the repository itself: {top}")
        return cls(folder, git_dir)

    @property
    def address(self) -> str:
        """The address that pushes go to."""
        return str(self.folder)

    @property
    def is_bare(self) -> bool:
        """True if it has no checkout, in which a command such as `git merge` could work."""
        return _ask(self.folder, "rev-parse", "--is-bare-repository").text == "true"

    def start(self, base: str | None) -> Start:
        """The commit that `base` names here; by default where HEAD stands."""
        head = self._resolve("HEAD^{commit}")
        if base is None and head is not None:
            return Start(head, self._branch_of_head())
        if base is None:
            first = f"git -C {self.folder} commit --allow-empty -m 'First commit'"
            raise UserError(
                f"repo: {self.folder} has no commit to start from",
                "Push a commit to it first, or name a 'base'."
                if self.is_bare
                else f"Commit first: {first}, or name a 'base'.",
            )
        for name, branch in ((f"refs/heads/{base}", base), (base, None)):
            found = self._resolve(f"{name}^{{commit}}")
            if found is not None:
                return Start(found, branch or (self._branch_of_head() if base == "HEAD" else None))
        raise _no_base(base, str(self.folder), f"git -C {self.folder} branch --all")

    def _resolve(self, name: str) -> Oid | None:
        found = _ask(self.folder, "rev-parse", "--verify", "--quiet", "--end-of-options", name)
        return found.oid if found.code == 0 else None

    def _branch_of_head(self) -> str | None:
        found = _ask(self.folder, "symbolic-ref", "--quiet", "HEAD")
        return found.text.removeprefix("refs/heads/") if found.code == 0 else None

    def object_format(self) -> str:
        """`sha1` or `sha256`."""
        return _ask(self.folder, "rev-parse", "--show-object-format", ok=(0,)).text

    def bring(self, start: Start, hub: Repo) -> None:
        """Put the history of the start into the hub, and nothing else: every agent of the run can read the hub.

        The user's repository may collect its garbage at any time, so nothing of ours may depend on its files.
        """
        shallow = self.git_dir / "shallow"
        if shallow.is_file():
            shutil.copyfile(shallow, hub.git_dir / "shallow")
        pack_history(self.git_dir / "objects", start.commit, hub)
        whole = hub.run("rev-list", "--objects", "--no-walk", "--quiet", start.commit, ok=None)
        if whole.code != 0:
            unreadable = self._unreadable()
            if unreadable:
                remedy = "Let the user who runs the worker process read it."
                raise UserError(f"repo: {unreadable} cannot be read", remedy)
            raise UserError(
                f"repo: {self.folder} does not hold all files of commit {start.commit[:12]} (a partial clone?)",
                f"Fetch them: git -C {self.folder} fetch --refetch --no-filter, or name the URL it was cloned from.",
            )

    def _unreadable(self) -> Path | None:
        """An object file or folder that this process may not read, if there is one."""
        for place, folders, files in os.walk(self.git_dir / "objects"):
            for name in folders:
                if not os.access(Path(place) / name, os.R_OK | os.X_OK):
                    return Path(place) / name
            for name in files:
                if not os.access(Path(place) / name, os.R_OK):
                    return Path(place) / name
        return None

    def author(self) -> str | None:
        """The identity under which the user commits here."""
        return _author(["-c", f"safe.directory={self.folder}"], self.folder)

    def checked_out(self, branch: str) -> bool:
        """True if a work tree of this repository stands on `branch`."""
        listed = _ask(self.folder, "worktree", "list", "--porcelain").text.split("\n")
        return f"branch refs/heads/{branch}" in listed


def uncommitted(folder: Path) -> tuple[str, ...]:
    """A note on the changes of a checkout that no commit holds; empty where it has none, or git cannot tell."""
    flags = ["--no-optional-locks", "-c", "core.fsmonitor=false"]
    asked = [*flags, "status", "--porcelain", "-z", "--no-renames", "--ignore-submodules=dirty"]
    try:
        found = run_git(asked, env=user_environment(), cwd=folder, ok=None, timeout_s=_ASK_S)
    except (GitError, TransientError):
        return ()
    count = found.text.count("\0") if found.code == 0 else 0
    if not count:
        return ()
    what = "1 uncommitted change" if count == 1 else f"{count} uncommitted changes"
    return (f"{what} in {folder} {'is' if count == 1 else 'are'} not part of the run",)


def pack_history(objects: Path, commit: Oid, hub: Repo) -> None:
    """Copy a commit's history from an object store, and from those that it borrows from, into one pack of the hub.

    Git runs in the hub, so nothing that the store's repository configures is read. Objects that the store lacks stay
    missing.
    """
    borrowed = {"GIT_ALTERNATE_OBJECT_DIRECTORIES": listed(objects)}
    pack = str(hub.git_dir / "objects" / "pack" / "pack")
    packing = ["pack-objects", "--revs", "--quiet", "--delta-base-offset", "--window=0"]
    for more in ((), ("--missing=allow-any",)):
        packed = hub.run(*packing, *more, pack, stdin=f"{commit}\n".encode(), env=borrowed, ok=None, timeout_s=_FETCH_S)
        if packed.code == 0:
            return


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
            answer = run_git(asked, env=user_environment(), timeout_s=_ASK_S)
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
                raise _no_base(wanted, without_secret(self.url), f"git ls-remote {without_secret(self.url)}")
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
            run_git(command, env=user_environment(), timeout_s=_FETCH_S)
        except GitError as error:
            if error.short:
                raise
            raise UserError(
                f"repo: cannot fetch {', '.join(what)} from {without_secret(self.url)}: {without_secret(error.err)}",
                "Check the base, the network and your credentials, and start the run again.",
            ) from None

    def author(self) -> str | None:
        """The identity under which the user commits."""
        return _author([], None)


def _commit(hub: Repo, name: str) -> Oid:
    found = hub.resolve(f"{name}^{{commit}}")
    if found is None:
        raise UserError(f"base: {name} names no commit", "Name a branch, a tag or a commit.")
    return found


def _author(flags: list[str], cwd: Path | None) -> str | None:
    asked = [*flags, "-c", "user.useConfigOnly=true", "var", "GIT_AUTHOR_IDENT"]
    found = run_git(asked, env=user_environment(), cwd=cwd, ok=None)
    named = re.match(r"([^<>\n]+ <[^<>\s]+>) ", found.text) if found.code == 0 else None
    return named[1] if named else None


def _no_base(base: str, where: str, listing: str) -> UserError:
    return UserError(
        f"base: {where} has no branch, tag or commit '{base}'", f"Name one that exists; this lists them: {listing}"
    )
