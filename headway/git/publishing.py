"""Publishing: the trunk goes to a branch of the user's repository, and nothing else there is touched."""

import os
from dataclasses import dataclass

from headway.domain.errors import UserError
from headway.domain.ids import Oid
from headway.git.git_environment import user_environment
from headway.git.git_process import GitError, GitOutput, run_git
from headway.git.local_upstream import LocalUpstream, local_path
from headway.git.refs import move_ref
from headway.git.repo import Repo
from headway.git.upstream import without_secret

MEMORY = "refs/headway/published/"
"""Below it the hub keeps where each branch of the user's repository was put last."""

_PUSH_S = 900.0
_LOOK_S = 120.0


@dataclass(frozen=True)
class Publication:
    """Result of a try to publish the trunk.

    Attributes:
        tip: The commit that the branch should stand on.
        problem: The obstacle, in words for the user; empty when the branch stands at `tip`, or when nothing has landed
            yet.
        told: A note for the user on a success; empty if there is none.
    """

    tip: Oid
    problem: str = ""
    told: str = ""


@dataclass(frozen=True)
class _Target:
    """The branch that a run publishes to."""

    hub: Repo
    address: str
    branch: str

    @property
    def where(self) -> str:
        """The user's repository, without a password."""
        return without_secret(self.address)

    @property
    def ref(self) -> str:
        return f"refs/heads/{self.branch}"

    def cannot(self, why: str) -> str:
        return f"cannot publish to {self.where}: {without_secret(' '.join(why.split()))}"


def publish(hub: Repo, tip: Oid, base: Oid, address: str, branch: str) -> Publication:
    """Push `tip` to `branch` at `address` with the user's own configuration; not before something has landed on `base`.

    Commits that are not ours are never overwritten: the branch moves only from where we put it last, or forward. Where
    it was deleted it is made again.
    """
    before = hub.resolve(MEMORY + branch)
    if tip == base and before is None:
        return Publication(tip)
    target = _Target(hub, address, branch)
    problem = _in_the_way(target)
    if problem:
        return Publication(tip, problem)
    there = ask(hub, "ls-remote", "--", address, target.ref)
    if there.code != 0:
        return Publication(tip, target.cannot(there.err))
    current = Oid(there.text.partition("\t")[0])
    if current == tip:
        move_ref(hub, MEMORY + branch, tip, before, hub.keep)
        return Publication(tip)
    if current and current != before and not _behind(hub, current, tip):
        problem = f"'{branch}' in {target.where} was moved by someone else: rename it or delete it there"
        return Publication(tip, problem)
    problem = _push(target, tip, current)
    if problem:
        return Publication(tip, problem)
    move_ref(hub, MEMORY + branch, tip, before, hub.keep)
    gone = before is not None and not current
    return Publication(tip, told=f"'{branch}' was gone from {target.where}, and was put back" if gone else "")


def _push(target: _Target, tip: Oid, current: Oid, *flags: str, timeout_s: float = _PUSH_S) -> str:
    # The lease makes the other side refuse if the branch moved after we looked.
    lease = f"--force-with-lease={target.ref}:{current}"
    given = ["push", "--quiet", "--porcelain", "--recurse-submodules=no", "--no-follow-tags", lease, *flags]
    pushed = ask(target.hub, *given, "--", target.address, f"{tip}:{target.ref}", timeout_s=timeout_s)
    return target.cannot(f"{pushed.out.decode(errors='replace')} {pushed.err}") if pushed.code else ""


def _in_the_way(target: _Target) -> str:
    """The obstacle in a repository on this machine, in words. The repository may lie on a share that is gone."""
    path = local_path(target.address)
    if path is None:
        return ""
    try:
        path.stat()
        git_dir = run_git(["rev-parse", "--git-dir"], env=user_environment(), cwd=path, ok=None)
        if "dubious ownership" in git_dir.err:
            remedy = f"git config --global --add safe.directory {target.where}"
            return target.cannot(f"it belongs to another user; allow it with: {remedy}")
        if git_dir.code == 0 and LocalUpstream(path, path).checked_out(target.branch):
            there = f"'{target.branch}' is checked out in {target.where}"
            return f"{there}: switch to another branch there, and it will be published"
    except (FileNotFoundError, NotADirectoryError):
        return target.cannot("the folder is gone")
    except OSError as error:
        return target.cannot(error.strerror or str(error))
    return ""


def foresee(hub: Repo, base: Oid, address: str, branch: str) -> str:
    """The obstacle to publishing `branch`, in words, as far as it shows before anything has landed; empty if there is
    none.

    Raises:
        UserError: The branch cannot be made under that name, so that the run could not take anything home.
    """
    target = _Target(hub, address, branch)
    listed = ask(hub, "ls-remote", "--", address, "refs/heads/headway", "refs/heads/headway/*", timeout_s=_LOOK_S)
    if listed.code != 0:
        return target.cannot(listed.err)
    there = {ref: Oid(oid) for oid, ref in (line.split("\t") for line in listed.text.splitlines())}
    _refuse_taken_names(target, base, there)
    try:
        problem = _in_the_way(target) or _not_writable(target)
    except OSError as error:
        return target.cannot(error.strerror or str(error))
    current = there.get(target.ref, Oid(""))
    return problem or _push(target, base, current, "--dry-run", timeout_s=_LOOK_S)


def _refuse_taken_names(target: _Target, base: Oid, there: dict[str, Oid]) -> None:
    above = [target.ref.rsplit("/", count)[0] for count in (1, 2)]
    taken = next((ref for ref in there if ref in above or ref.startswith(f"{target.ref}/")), None)
    if taken is not None:
        name = taken.removeprefix("refs/heads/")
        raise UserError(
            f"repo: the branch '{target.branch}' cannot be made in {target.where}, because there is a branch '{name}'",
            f"Rename that one: git branch -m {name} OTHER-NAME; or start the run under another name.",
        )
    current = there.get(target.ref)
    ours = (None, target.hub.resolve(MEMORY + target.branch))
    if current not in ours and not _behind(target.hub, Oid(current or ""), base):
        raise UserError(
            f"repo: there is a branch '{target.branch}' in {target.where} already, with commits of its own",
            f"Rename or delete it there, or start the run under another name: git branch -m {target.branch} OTHER",
        )


def _not_writable(target: _Target) -> str:
    """The obstacle to writing in a repository on this machine, which a trial push would not meet."""
    path = local_path(target.address)
    if path is None:
        return ""
    told = run_git(["rev-parse", "--git-common-dir"], env=user_environment(), cwd=path, ok=None)
    git_dir = path / told.text
    lock = git_dir / f"{target.ref}.lock"
    if os.path.lexists(lock):
        return target.cannot(f"{lock} is there; if no git is at work in it, remove it")
    for needed in ("objects", "refs/heads"):
        if not os.access(git_dir / needed, os.W_OK | os.X_OK):
            return target.cannot(f"{git_dir / needed} may not be written")
    return ""


def _behind(hub: Repo, commit: Oid, tip: Oid) -> bool:
    return hub.run("merge-base", "--is-ancestor", commit, tip, ok=None).code == 0


def ask(hub: Repo, *args: str, timeout_s: float = _PUSH_S) -> GitOutput:
    """Run git in the hub with the user's own configuration and credentials; no answer in time is an answer too."""
    flags = [f"--git-dir={hub.git_dir}", "-c", "gc.auto=0"]
    try:
        return run_git([*flags, *args], env=user_environment(), ok=None, timeout_s=timeout_s, keep=hub.keep)
    except GitError as late:
        return GitOutput(late.code, b"", late.err)
