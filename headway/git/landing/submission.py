"""A change on its way to the trunk: the agent's request to land, and the part of its workspace that it covers."""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath

from headway.domain.errors import ToolError
from headway.domain.ids import AgentId, Fence, Oid, RunName
from headway.git.changes import NO_MODE, SUBMODULE, Entry, entries, meant, shown, with_entries
from headway.git.landing.growth import sizes_of
from headway.git.landing.merging import binary_paths
from headway.git.repo import Repo
from headway.git.trailers import Trailers, harmless
from headway.git.workspace.notes import AskedLanding
from headway.git.workspace.scan import Scan

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

LARGE_BYTES = 1_000_000
MANY_NEW = 200
_NAMED = 20


@dataclass(frozen=True)
class Submission:
    """An agent's request to land.

    Attributes:
        author: `Name <mail>`.
        planner: The planners above the task, from the root down.
        place: Place of the call in the agent's log, `<log>:<seq>`; a call that is repeated keeps its place.
        fence: The lease under which it lands. A process that lands for all checks the leases of the others by it.
        paths: Files and folders to land; None for everything. The rest stays in the workspace.
        accept_doubtful: Also land files that are refused once: large or binary new files, or very many.
    """

    message: str
    author: str
    run: RunName
    task: AgentId
    planner: tuple[str, ...]
    place: str
    fence: Fence
    paths: tuple[str, ...] | None = None
    accept_doubtful: bool = False
    trunk_mb: int | None = None

    def __post_init__(self) -> None:
        if not self.fence:
            raise ValueError("a landing without a fence could land after its lease was lost")

    def asked(self) -> AskedLanding:
        """The facts that tell a repeated call from a new one."""
        return AskedLanding(message=_clean(self.message), paths=self.paths, place=self.place)

    def touches(self, path: str) -> bool:
        """True if anything of a file or folder, which is named as it is shown, should land."""
        place = PurePosixPath(path)
        named = [PurePosixPath(shown(each)) for each in self.paths or ()]
        return self.paths is None or any(n in (place, *place.parents) or place in n.parents for n in named)

    def mark(self, base: Oid, tree: Oid) -> str:
        """The hash by which a landing of this very change is found again."""
        return hashlib.sha256(f"{self.task}\0{base}\0{tree}\0{_clean(self.message)}".encode()).hexdigest()

    def text(self, mark: str) -> str:
        """The message of the commit."""
        message = _clean(self.message).strip()
        if not message:
            raise ToolError("land needs a message: say in one line what the change does")
        return Trailers(self.run, self.task, " ".join(self.planner), self.place, mark).under(message)


def _clean(text: str) -> str:
    """Text as a commit can hold it: no control characters, nothing that is no character at all, no trailers of ours."""
    return harmless(_CONTROL.sub("", text).encode(errors="replace").decode())


def chosen(repo: Repo, base: Oid, found: Scan, paths: tuple[str, ...] | None, submodules: tuple[str, ...] = ()) -> Oid:
    """The tree that lands: that of `base` with the agent's changes, below `paths` where they are given.

    Changes of `setup` land where `paths` name the file itself, or a folder in which the agent changed nothing.
    """
    if paths is None:
        return found.tree
    agents, everything = entries(repo, base, found.tree), entries(repo, base, found.files)
    lines: list[str] = []
    for named in paths:
        pure = PurePosixPath(named)
        if "\0" in named:
            raise ToolError("a path must not hold a NUL character")
        if pure.is_absolute() or ".." in pure.parts:
            raise ToolError(f"'{named}' leaves the repository: name paths relative to its top, without '..'")
        # The agent knows a name that is no UTF-8 only as it is shown.
        places = {pure, PurePosixPath(meant(named))}
        exactly = [each for each in everything if PurePosixPath(each.path) in places]
        below = [*exactly, *_below(places, agents)] or _below(places, everything)
        if not below and not any(_is_there(repo, found.files, place) for place in places):
            within = next((name for name in submodules if PurePosixPath(name) in pure.parents), None)
            if within is not None:
                raise ToolError(
                    f"'{named}' lies in the submodule '{within}', a repository of its own: nothing in it can land; "
                    "say in your handoff what it needs"
                )
            raise ToolError(f"there is nothing to land at '{named}': no such file, or .gitignore names it")
        lines += [_line(entry) for entry in below]
    return with_entries(repo, repo.tree_of(base), lines)


def _below(folders: set[PurePosixPath], changed: list[Entry]) -> list[Entry]:
    return [entry for entry in changed if not folders.isdisjoint(PurePosixPath(entry.path).parents)]


def _is_there(repo: Repo, tree: Oid, place: PurePosixPath) -> bool:
    return repo.resolve(f"{tree}:{'' if str(place) == '.' else place}") is not None


def _line(entry: Entry) -> str:
    # A mode of zeros removes the path; update-index takes it with any object id.
    return f"{'0' if entry.mode == NO_MODE else entry.mode} {entry.oid}\t{entry.path}"


def doubtful(repo: Repo, base: Oid, tree: Oid, differ: list[Entry]) -> dict[str, str]:
    """Paths that a person would look at twice before landing them, each with why; very many are named by folder."""
    changed = [entry for entry in differ if entry.mode not in (NO_MODE, SUBMODULE)]
    new = [entry for entry in changed if entry.status == "A"]
    if len(new) > MANY_NEW:
        tops = Counter(entry.path.partition("/")[0] for entry in new)
        return dict.fromkeys((top for top, _ in tops.most_common(_NAMED)), f"{len(new)} new files")
    binary = binary_paths(repo, base, tree, "--diff-filter=A", largest=LARGE_BYTES) if new else set()
    found = dict.fromkeys(sorted(binary), "binary")
    before = [entry.oid if entry.status == "A" else entry.old_oid for entry in changed]
    sizes = sizes_of(repo, [*(entry.oid for entry in changed), *before])
    for entry, size, was in zip(changed, sizes, sizes[len(changed) :], strict=False):
        if size > LARGE_BYTES and (entry.status == "A" or was <= LARGE_BYTES):
            found[entry.path] = "over 1 MB"
    return found
