"""How a run that goes on is shown: a live tree on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.text import Text
from rich.tree import Tree

from headway.cli.watch import Look
from headway.domain.budget import Bill, Ceiling
from headway.domain.tree import TreeNode

MARKS = {
    "done": ("✓", "green"),
    "not_needed": ("✓", "green"),
    "partial": ("◐", "yellow"),
    "blocked": ("■", "yellow"),
    "failed": ("✗", "red"),
    "cancelled": ("✗", "red"),
    "asked": ("○", "dim"),
    "open": ("●", "cyan"),
}
COMMITS_SHOWN = 6
REHEARSAL = "REHEARSAL: a script plays the model; nothing here is intelligent"


def open_view(console: Console, *, rehearsal: bool = False) -> "LiveView | PlainView":
    """The view that fits where the output goes."""
    return LiveView(console, rehearsal=rehearsal) if console.is_terminal else PlainView(console)


class LiveView:
    """Redraws the tree of agents in place. A context manager."""

    def __init__(self, console: Console, *, rehearsal: bool = False) -> None:
        self._console = console
        self._rehearsal = rehearsal
        self._live = Live(console=console, refresh_per_second=4, transient=True)

    def show(self, look: Look) -> None:
        """Draw the run as it stands now."""
        self._live.update(Group(*self._parts(look)))

    def say(self, line: str) -> None:
        """Print a line that stays."""
        self._console.print(escape(line))

    def _parts(self, look: Look) -> Iterator[Text | Tree]:
        if self._rehearsal or look.status.get("rehearsal"):
            yield Text(REHEARSAL, style="bold magenta")
        yield Text(headline(look.status, look.tree) if look.status else look.problem or "starting", style="bold")
        if look.tree is not None:
            yield tree_of(look.tree)
        for commit in look.commits[-COMMITS_SHOWN:]:
            yield Text.assemble(("  " + commit.short, "yellow"), " ", commit.subject)
        if look.status and look.problem:
            yield Text(look.problem, style="yellow")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.update(Text(""))
        self._live.stop()


class PlainView:
    """Prints a line for whatever changed. A context manager, like its sibling."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun = time.monotonic()
        self._states: dict[str, str] = {}
        self._commits = 0
        self._said = ""

    def show(self, look: Look) -> None:
        """Tell what changed since the last look."""
        state = f"phase {look.status.get('phase', '')}" if look.status else look.problem
        if state and state != self._said:
            self._said = state
            self.say(state)
        for note in look.status.get("notes", ()):
            self._once(f"note {note}", "noted", f"note: {note}")
        for node, depth in walk(look.tree) if look.tree else ():
            self._once(node.id, node.state, f"{'  ' * depth}{node.kind} '{node.title}': {node.state}")
        for commit in look.commits[self._commits :]:
            self.say(f"landed {commit.short} {commit.subject}")
        self._commits = max(self._commits, len(look.commits))

    def say(self, line: str) -> None:
        """Print a line with the time since the start."""
        passed = int(time.monotonic() - self._begun)
        self._console.print(
            f"{passed // 60:02d}:{passed % 60:02d} {line}", markup=False, highlight=False, soft_wrap=True
        )

    def _once(self, key: str, state: str, line: str) -> None:
        if self._states.get(key) != state:
            self._states[key] = state
            self.say(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def headline(status: dict[str, Any], tree: TreeNode | None = None) -> str:
    """A run's state in one line; the root planner itself knows newer counts than the run."""
    phase = "stalled" if status.get("stalled") else status.get("phase", "")
    parts = [f"{status.get('run', '')}: {status.get('outcome') or phase}"]
    counts = {name: count for name, count in (tree.counts if tree else status.get("counts", {})).items() if count}
    parts += ["parked: its model refuses calls"] if status.get("parked") else []
    parts += [f"{count} {name}" for name, count in counts.items()]
    if status.get("open") and "open" not in counts:
        parts.append(f"{status['open']} open")
    if status.get("commits") is not None:
        parts.append(f"{status['commits']} commits")
    spent = tree.spent if tree else Bill.model_validate(status.get("spent") or {})
    granted = Ceiling.model_validate(status["granted"]) if status.get("granted") else None
    parts.append(
        f"{spent.tokens:,} tokens" + (f" of {granted.tokens:,}" if granted and granted.tokens != "none" else "")
    )
    parts.append(spent.dollars + (f" of ${granted.usd:,.2f}" if granted and granted.usd != "none" else ""))
    return " · ".join(parts)


def tree_of(node: TreeNode) -> Tree:
    """The tree of agents for rich."""
    tree = Tree(_label(node))
    _grow(tree, node)
    return tree


def walk(node: TreeNode, depth: int = 0) -> Iterator[tuple[TreeNode, int]]:
    """The node and everything below it, with its depth."""
    yield node, depth
    for child in node.children:
        yield from walk(child, depth + 1)


def _grow(tree: Tree, node: TreeNode) -> None:
    for child in node.children:
        _grow(tree.add(_label(child)), child)
    if node.more:
        tree.add(Text(f"and {node.more} more", style="dim"))


def _label(node: TreeNode) -> Text:
    mark, style = MARKS.get(node.state, ("●", "cyan"))
    words = node.title if node.kind == "task" else f"planner: {node.title}"
    counts = ", ".join(f"{count} {name}" for name, count in node.counts.items() if count)
    detail = f" {node.state}" + (f" ({counts})" if counts else "")
    return Text.assemble((f"{mark} ", style), words, (detail, "dim"))
