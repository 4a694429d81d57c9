"""Merges within bounds of processor time, with a result for every pair of commits.

Git looks for renames by comparing every deleted file with every added one, and compares texts line by line. Both can
take minutes. So a merge has up to three forms:

1. Git's own.
2. If that takes too long, without the search for renames: only files that moved unchanged are followed.
3. If that takes too long as well, by whole files: a file that one side changed is taken, one that both changed
   conflicts.
"""

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from headway.domain.ids import Oid
from headway.git.changes import NO_MODE, changes_of, entries
from headway.git.git_process import GitError
from headway.git.hub import NOBODY
from headway.git.landing.merging import WHOLE_FILE, Conflict, Merged, merge_commits
from headway.git.landing.pack import Pack
from headway.git.landing.queue_files import Queued
from headway.git.landing.splice import Splice
from headway.git.objects import Reader
from headway.git.repo import Repo


@dataclass(frozen=True)
class Bound:
    """Limits of one try of a merge.

    Attributes:
        cpu_s: Seconds of processor time.
        wall_s: Seconds of wall time, for a disk that does not answer.
    """

    cpu_s: int
    wall_s: float


PATIENT = Bound(cpu_s=60, wall_s=300.0)
"""For a merge that only its author waits for, outside of the trunk's lock."""


def merge_bounded(repo: Repo, reader: Reader, ours: Oid, theirs: Oid, bound: Bound = PATIENT) -> Merged:
    """Merge `theirs`, a commit on an ancestor of `ours`, in the first of the three forms that ends.

    `reader` knows all their objects. Takes at most twice `bound`, and a time that is linear in the differing paths.

    Raises:
        GitError: Git failed for another reason than time.
    """
    # Before git 2.49 a merge has no other setting that turns the search for renames off.
    for tried in (repo, repo.configured("merge.renameLimit", "1")):
        try:
            return merge_commits(tried, reader, ours, theirs, wall_s=bound.wall_s, cpu_s=bound.cpu_s)
        except GitError as error:
            if not error.exhausted:
                raise
    return merge_whole_files(repo, ours, theirs)


def merge_trees(repo: Repo, base: Oid, ours: Oid, theirs: Oid, bound: Bound = PATIENT) -> Merged:
    """The same as `merge_bounded` for three trees."""
    if theirs == base:
        return Merged(ours, ())
    root = repo.commit(base, (), "base", NOBODY)
    both = [repo.commit(tree, (root,), "side", NOBODY) for tree in (ours, theirs)]
    with closing(Reader(repo, {})) as reader:
        return merge_bounded(repo, reader, both[0], both[1], bound)


def merge_whole_files(repo: Repo, ours: Oid, theirs: Oid) -> Merged:
    """Merge without reading files. A file that both sides changed stays as in `ours`, and conflicts."""
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
    """Those of `paths` that stay and exclude one of `others`: one is a folder where the other one is a file."""
    folders = {str(above) for path in others for above in PurePosixPath(path).parents}
    return {
        path
        for path in paths
        if stays(path) and (path in folders or any(str(above) in others for above in PurePosixPath(path).parents))
    }


def merge_outside_lock(repo: Repo, queued: Queued, tip: Oid, *, whole_files: bool) -> Merged:
    """Merge a submission with a commit of the trunk; `whole_files` takes the last form, which is always quick."""
    side = repo.commit(queued.tree, (queued.base,), "submission\n", NOBODY)
    if whole_files:
        return merge_whole_files(repo, tip, side)
    with closing(Reader(repo, {})) as reader:
        return merge_bounded(repo, reader, tip, side)


def landing_on(repo: Repo, queued: Queued, tip: Oid, tree: Oid) -> Queued:
    """The submission after a merge with `tip` whose result is `tree`."""
    return replace(queued, base=tip, tree=tree, changes=changes_of(entries(repo, tip, tree)))
