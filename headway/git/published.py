"""The branches that a run has put on the user's repository: their state, and their removal."""

from dataclasses import dataclass, replace
from pathlib import Path

from headway.domain.errors import TransientError
from headway.domain.ids import Oid
from headway.git.git_environment import user_environment
from headway.git.git_process import run_git
from headway.git.hub import TRUNK, Hub
from headway.git.local_upstream import LocalUpstream, local_path
from headway.git.publishing import MEMORY, ask
from headway.git.upstream import without_secret
from headway.system.files import locked


@dataclass(frozen=True)
class Branch:
    """A branch that was published.

    Attributes:
        ours: The commit that it was put on last.
        there: Its commit now; None when it is not there any more.
        checked_out: A work tree of the user's stands on it.
        elsewhere: Other branches and tags there that hold its commits, as far as that can be known: only a repository
            on this machine is asked.
    """

    name: str
    ours: Oid
    there: Oid | None
    checked_out: bool = False
    elsewhere: tuple[str, ...] = ()

    @property
    def kept(self) -> str:
        """Reason why it may not be taken away, in words; empty when it may."""
        if self.there is None:
            return "it is not there any more"
        if self.there != self.ours:
            return "it was moved by someone else"
        return "it is checked out" if self.checked_out else ""


def branches(hub: Hub) -> list[Branch]:
    """Every branch that the run has published.

    Raises:
        TransientError: The user's repository does not answer; says why in words for the user.
    """
    said = hub.repo.run("for-each-ref", "--format=%(objectname) %(refname)", MEMORY).text
    put = {line.partition(" ")[2].removeprefix(MEMORY): Oid(line.partition(" ")[0]) for line in said.splitlines()}
    there = branches_there(hub, "headway/*") if put else {}
    path = local_path(hub.address())
    source = LocalUpstream(path, path) if path is not None else None
    found = []
    for name, ours in put.items():
        stands = there.get(name)
        branch = Branch(name, ours, stands)
        if source is not None and stands is not None:
            try:
                branch = replace(branch, checked_out=source.checked_out(name), elsewhere=_holding(source.folder, name))
            except OSError as error:
                raise TransientError(f"{source.folder} does not answer: {error.strerror or error}") from None
        found.append(branch)
    return found


def branches_there(hub: Hub, pattern: str) -> dict[str, Oid]:
    """Branches of the user's repository by name, as they stand now.

    Raises:
        TransientError: It does not answer; says why in words for the user.
    """
    address = hub.address()
    answer = ask(hub.repo, "ls-remote", "--", address, f"refs/heads/{pattern}")
    if answer.code != 0:
        raise TransientError(f"{without_secret(address)} does not answer: {without_secret(answer.err.strip())}")
    lines = (line.split("\t") for line in answer.text.splitlines())
    return {ref.removeprefix("refs/heads/"): Oid(oid) for oid, ref in lines}


def withdraw(hub: Hub, branch: Branch) -> str:
    """Delete a branch from the user's repository, unless it has moved since `Branch` was read.

    Returns:
        Nothing when it is gone, else the problem in words for the user.
    """
    if branch.kept:
        return f"'{branch.name}' stays: {branch.kept}"
    with locked(hub.folder / "publish.flock") as lock:
        repo = replace(hub.repo, keep=(lock,))
        ref = f"refs/heads/{branch.name}"
        lease = f"--force-with-lease={ref}:{branch.ours}"
        flags = ["push", "--quiet", "--porcelain", "--recurse-submodules=no", "--no-follow-tags", lease]
        pushed = ask(repo, *flags, "--", hub.address(), f":{ref}")
    if pushed.code == 0:
        return ""
    said = " ".join(f"{pushed.out.decode(errors='replace')} {pushed.err}".split())
    return f"'{branch.name}' stays: {without_secret(said)}"


def commits_only_in(hub: Hub, others: list[Oid]) -> int:
    """Number of the run's own commits that none of `others` holds. Commits that the hub does not know hold none."""
    known = [f"^{other}" for other in others if hub.repo.resolve(f"{other}^{{commit}}") is not None]
    return int(hub.repo.run("rev-list", "--count", TRUNK, f"^{hub.facts().base}", *known).text)


def _holding(folder: Path, name: str) -> tuple[str, ...]:
    asked = ["for-each-ref", "--format=%(refname)", f"--contains=refs/heads/{name}"]
    answer = run_git([*asked, "refs/heads", "refs/remotes", "refs/tags"], env=user_environment(), cwd=folder, ok=None)
    refs = answer.text.splitlines() if answer.code == 0 else []
    return tuple(ref.split("/", 2)[2] for ref in refs if ref != f"refs/heads/{name}")
