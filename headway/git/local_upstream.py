"""The user's repository on this machine: its folder, the commit that a run starts from, and its history."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from headway.domain.errors import TransientError, UserError
from headway.domain.ids import Oid
from headway.git.checked_folder import check_folder
from headway.git.git_environment import hermetic_environment, user_environment
from headway.git.git_process import GitError, GitOutput, run_git
from headway.git.repo import Repo
from headway.git.upstream import ASK_S, Start, author_of, no_base, pack_history


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
        return run_git(args, env=hermetic_environment(), cwd=folder, ok=ok, timeout_s=ASK_S)
    except GitError as error:
        if error.short:
            raise
        # For example, its configuration includes a pipe.
        raise UserError(f"repo: git cannot read {folder}: {error.err}", "Correct that and try again.") from None


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
                f"repo: {folder} cannot be reached: {error.strerror or error}", "Correct that and try again."
            ) from None

    @classmethod
    def _found(cls, folder: Path) -> "LocalUpstream":
        if not folder.is_dir():
            raise UserError(f"repo: there is no folder {folder}", "Name the folder of a git repository, or its URL.")
        check_folder(folder)
        found = _ask(folder, "rev-parse", "--git-common-dir", "--is-inside-git-dir", "--show-cdup")
        if found.code != 0:
            if "not a git repository" not in found.err:
                raise UserError(f"repo: git cannot read {folder}: {found.err.strip()}", "Correct that and try again.")
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
        raise no_base(base, str(self.folder), f"git -C {self.folder} branch --all")

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
        return author_of(["-c", f"safe.directory={self.folder}"], self.folder)

    def checked_out(self, branch: str) -> bool:
        """True if a work tree of this repository stands on `branch`."""
        listed = _ask(self.folder, "worktree", "list", "--porcelain").text.split("\n")
        return f"branch refs/heads/{branch}" in listed


def uncommitted(folder: Path) -> tuple[str, ...]:
    """A note on the changes of a checkout that no commit holds; empty where it has none, or git cannot tell."""
    flags = ["--no-optional-locks", "-c", "core.fsmonitor=false"]
    asked = [*flags, "status", "--porcelain", "-z", "--no-renames", "--ignore-submodules=dirty"]
    try:
        found = run_git(asked, env=user_environment(), cwd=folder, ok=None, timeout_s=ASK_S)
    except (GitError, TransientError):
        return ()
    count = found.text.count("\0") if found.code == 0 else 0
    if not count:
        return ()
    what = "1 uncommitted change" if count == 1 else f"{count} uncommitted changes"
    return (f"{what} in {folder} {'is' if count == 1 else 'are'} not part of the run",)
