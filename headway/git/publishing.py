"""Taking the work home: the trunk goes to a branch of the user's repository, and nothing else there is touched."""

from headway.domain.ids import Oid
from headway.git.refs import move_ref
from headway.git.repo import Answer, GitError, Repo, run_git, user_environment
from headway.git.source import LocalSource, local_path, without_secret

MEMORY = "refs/headway/published/"
"""Below it the hub keeps where each branch of the user's repository was put last."""

_PUSH_S = 900.0


def publish(hub: Repo, trunk: str, address: str, branch: str) -> str:
    """Push `trunk` to `branch` at `address` with the user's own configuration.

    Commits that are not ours are never overwritten: the branch moves only from where we put it last, or forward.

    Returns:
        Nothing when the branch now stands at the trunk, else the problem in words for the user.
    """
    ref = f"refs/heads/{branch}"
    where = without_secret(address)
    path = local_path(address)
    if path is not None:
        if not path.is_dir():
            return f"cannot publish to {where}: the folder is gone"
        git_dir = run_git(["rev-parse", "--git-dir"], env=user_environment(), cwd=path, ok=None)
        if "dubious ownership" in git_dir.err:
            remedy = f"git config --global --add safe.directory {where}"
            return f"cannot publish to {where}: it belongs to another user; allow it with: {remedy}"
        if git_dir.code == 0 and LocalSource(path, path).checked_out(branch):
            return f"'{branch}' is checked out in {where}: switch to another branch there, and it will be published"
    there = ask(hub, "ls-remote", "--", address, ref)
    if there.code != 0:
        return f"cannot publish to {where}: {without_secret(there.err.strip())}"
    return _push(hub, trunk, address, ref, Oid(there.text.partition("\t")[0]))


def _push(hub: Repo, trunk: str, address: str, ref: str, current: Oid) -> str:
    tip = hub.run("rev-parse", "--verify", trunk).oid
    memory = f"{MEMORY}{ref.removeprefix('refs/heads/')}"
    if current != tip:
        if current and hub.resolve(memory) != current and not _behind(hub, current, tip):
            name = ref.removeprefix("refs/heads/")
            return f"'{name}' in {without_secret(address)} was moved by someone else: rename it or delete it there"
        # The lease makes the other side refuse if the branch moved after we looked.
        lease = f"--force-with-lease={ref}:{current}"
        flags = ["push", "--quiet", "--porcelain", "--recurse-submodules=no", "--no-follow-tags", lease]
        pushed = ask(hub, *flags, "--", address, f"{tip}:{ref}")
        if pushed.code != 0:
            said = " ".join(f"{pushed.out.decode(errors='replace')} {pushed.err}".split())
            return f"cannot publish to {without_secret(address)}: {without_secret(said)}"
    move_ref(hub, memory, tip, hub.resolve(memory), hub.keep)
    return ""


def _behind(hub: Repo, commit: Oid, tip: Oid) -> bool:
    return hub.run("merge-base", "--is-ancestor", commit, tip, ok=None).code == 0


def ask(hub: Repo, *args: str) -> Answer:
    """Run git in the hub with the user's own configuration and credentials; no answer in time is an answer too."""
    flags = [f"--git-dir={hub.git_dir}", "-c", "gc.auto=0"]
    try:
        return run_git([*flags, *args], env=user_environment(), ok=None, timeout_s=_PUSH_S, keep=hub.keep)
    except GitError as late:
        return Answer(late.code, b"", late.err)
