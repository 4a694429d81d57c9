"""Merges that end: in processor time, and with a tree for every pair of commits.

Git looks for renames by comparing every file that went with every file that came, and compares texts line by line. Both
can take minutes. A merge that does not end in time is made again without that search, which follows only files that
moved unchanged or kept their name, and if that does not end either, by whole files: what one side changed is taken, and
what both changed conflicts.
"""

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from headway.domain.ids import Oid
from headway.git.changes import NO_MODE, entries
from headway.git.hub import NOBODY
from headway.git.merging import WHOLE_FILE, Conflict, Merged, merge_commits
from headway.git.objects import Reader
from headway.git.pack import Pack
from headway.git.repo import GitError, Repo
from headway.git.splice import Splice, changes_of
from headway.git.spool import Queued


@dataclass(frozen=True)
class Bound:
    """What one try of a merge may take.

    Attributes:
        cpu_s: Seconds of processor time.
        wall_s: Seconds until it is ended in any case, such as on a disk that does not answer.
    """

    cpu_s: int
    wall_s: float


PATIENT = Bound(cpu_s=60, wall_s=300.0)
"""For a merge that only its author waits for."""


def merge_bounded(repo: Repo, reader: Reader, ours: Oid, theirs: Oid, bound: Bound = PATIENT) -> Merged:
    """Merge `theirs`, a commit on an ancestor of `ours`, or whole files of it.

    `reader` knows all their objects. Takes at most two tries of `bound`, and a time that is linear in what differs.

    Raises:
        GitError: Git failed otherwise than by taking too long.
    """
    # Merges have no other way to do without renames before git 2.49.
    for tried in (repo, repo.configured("merge.renameLimit", "1")):
        try:
            return merge_commits(tried, reader, ours, theirs, wall_s=bound.wall_s, cpu_s=bound.cpu_s)
        except GitError as error:
            if not error.timed_out:
                raise
    return merge_whole_files(repo, ours, theirs)


def merge_trees(repo: Repo, base: Oid, ours: Oid, theirs: Oid, bound: Bound = PATIENT) -> Merged:
    """The same for three trees."""
    if theirs == base:
        return Merged(ours, ())
    root = repo.commit(base, (), "base", NOBODY)
    both = [repo.commit(tree, (root,), "side", NOBODY) for tree in (ours, theirs)]
    with closing(Reader(repo, {})) as reader:
        return merge_bounded(repo, reader, both[0], both[1], bound)


def merge_whole_files(repo: Repo, ours: Oid, theirs: Oid) -> Merged:
    """Merge without looking into files: where both sides changed one, it stays as `ours` has it, and conflicts."""
    base = Oid(repo.run("rev-parse", "--verify", f"{theirs}^").text)
    came = {entry.path: (entry.mode, entry.oid) for entry in entries(repo, base, ours)}
    wanted = {entry.path: entry for entry in entries(repo, base, theirs)}
    fought = {path for path in came.keys() & wanted.keys() if came[path] != (wanted[path].mode, wanted[path].oid)}
    fought |= _crossing(wanted, lambda path: wanted[path].mode != NO_MODE, {p for p in came if came[p][0] != NO_MODE})
    while more := _crossing(wanted, lambda path: wanted[path].mode != NO_MODE, fought) - fought:
        fought |= more
    taken = [entry for path, entry in wanted.items() if path not in fought and path not in came]
    pack = Pack(repo.git_dir / "objects" / "pack", base)
    with closing(Reader(repo, pack.objects)) as reader:
        splice = Splice(reader, lambda body: pack.add("tree", body))
        tree = splice.into(repo.tree_of(ours), changes_of(taken))
    pack.write(synced=True)
    return Merged(tree, tuple(Conflict(path, WHOLE_FILE) for path in sorted(fought)))


def _crossing(paths: Iterable[str], stays: Callable[[str], bool], others: set[str]) -> set[str]:
    """Those of `paths` that stay and cannot stand beside `others`: one is a folder where the other one is a file."""
    folders = {str(above) for path in others for above in PurePosixPath(path).parents}
    return {
        path
        for path in paths
        if stays(path) and (path in folders or any(str(above) in others for above in PurePosixPath(path).parents))
    }


def merge_beside(repo: Repo, queued: Queued, tip: Oid, *, whole_files: bool) -> Merged:
    """Merge a submission with a commit of the trunk; `whole_files`: in time that is short whatever they hold."""
    side = repo.commit(queued.tree, (queued.base,), "submission\n", NOBODY)
    if whole_files:
        return merge_whole_files(repo, tip, side)
    with closing(Reader(repo, {})) as reader:
        return merge_bounded(repo, reader, tip, side)


def landing_on(repo: Repo, queued: Queued, tip: Oid, tree: Oid) -> Queued:
    """The same submission after a merge with `tip`, whose result is `tree`."""
    return replace(queued, base=tip, tree=tree, changes=changes_of(entries(repo, tip, tree)))
