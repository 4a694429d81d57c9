"""A change on its way to the trunk: what an agent asked to land, and what of its workspace that is."""

import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath

from headway.domain.errors import ToolError
from headway.domain.ids import AgentId, Oid, RunName
from headway.git.changes import NO_MODE, SUBMODULE, Entry, entries
from headway.git.landed import trailers
from headway.git.merging import with_entries
from headway.git.repo import Repo

LARGE_BYTES = 1_000_000
MANY_NEW = 200


@dataclass(frozen=True)
class Submission:
    """What an agent asks to land.

    Attributes:
        author: `Name <mail>`.
        planner: The planners above the task, from the root down.
        place: Where the call stands in the agent's log, `<log>:<seq>`; a call that is repeated keeps its place.
        paths: Files and folders to land; None for everything. The rest stays in the workspace.
        accept_doubtful: Land also what is refused once: large or binary new files, or very many.
    """

    message: str
    author: str
    run: RunName
    task: AgentId
    planner: tuple[str, ...]
    place: str
    paths: tuple[str, ...] | None = None
    accept_doubtful: bool = False

    def mark(self, base: Oid, tree: Oid) -> str:
        """The hash by which a landing of this very change is found again."""
        said = f"{self.task}\0{base}\0{tree}\0{self.message}"
        return hashlib.sha256(said.encode(errors="surrogatepass")).hexdigest()

    def text(self, mark: str) -> str:
        """The message of the commit."""
        message = self.message.replace("\0", "").strip()
        if not message:
            raise ToolError("land needs a message: say in one line what the change does")
        return f"{message}\n\n{trailers(self.run, self.task, self.planner, self.place, mark)}"


def chosen(repo: Repo, base: Oid, tree: Oid, paths: tuple[str, ...] | None) -> Oid:
    """The tree that lands: that of `base` with what `tree` changed below `paths`."""
    if paths is None:
        return tree
    changed = entries(repo, base, tree)
    lines: list[str] = []
    for named in paths:
        pure = PurePosixPath(named)
        if pure.is_absolute() or ".." in pure.parts:
            raise ToolError(f"'{named}' leaves the repository: name paths relative to its top, without '..'")
        below = [entry for entry in changed if pure in (place := PurePosixPath(entry.path), *place.parents)]
        if not below and repo.resolve(f"{tree}:{'' if str(pure) == '.' else pure}") is None:
            raise ToolError(f"there is no '{named}', and it was not deleted either")
        lines += [_line(entry) for entry in below]
    return with_entries(repo, repo.tree_of(base), lines)


def _line(entry: Entry) -> str:
    # A mode of zeros removes the path; update-index takes it with any object id.
    return f"{'0' if entry.mode == NO_MODE else entry.mode} {entry.oid}\t{entry.path}"


def doubtful(repo: Repo, base: Oid, tree: Oid) -> dict[str, str]:
    """Paths that a person would look at twice before landing them, each with why."""
    changed = [entry for entry in entries(repo, base, tree) if entry.mode not in (NO_MODE, SUBMODULE)]
    new = [entry for entry in changed if entry.status == "A"]
    found: dict[str, str] = {}
    if len(new) > MANY_NEW:
        found = {entry.path: f"one of {len(new)} new files" for entry in new}
    for path in _binary(repo, base, tree, {entry.path for entry in new}):
        found[path] = "binary"
    asked = "".join(f"{entry.oid}\n" for entry in changed)
    sizes = repo.run("cat-file", "--batch-check=%(objectsize)", stdin=asked.encode()).text.split("\n")
    for entry, size in zip(changed, sizes, strict=False):
        if int(size) > LARGE_BYTES:
            found[entry.path] = f"{int(size) / 1e6:.1f} MB"
    return found


def _binary(repo: Repo, base: Oid, tree: Oid, new: set[str]) -> list[str]:
    said = repo.run("diff-tree", "-r", "-z", "--no-renames", "--numstat", "--diff-filter=A", base, tree).out
    rows = (row.split("\t", 2) for row in said.decode(errors="surrogateescape").split("\0") if row)
    return [path for added, _, path in rows if added == "-" and path in new]


def new_submodules(repo: Repo, base: Oid, tree: Oid) -> list[str]:
    """Paths that became a reference to another repository."""
    return [e.path for e in entries(repo, base, tree) if e.mode == SUBMODULE and e.old_mode != SUBMODULE]
