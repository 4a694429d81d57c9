"""The views of a run that goes on: one screen that is redrawn on a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.text import Text
from rich.tree import Tree

from headway.cli.display.board import WORDS, board_of
from headway.cli.display.screen import REHEARSAL, screen
from headway.cli.display.watch import Look
from headway.domain.printable import one_line
from headway.domain.tree import TreeNode
from headway.runs.short_ids import short_id

MARKS = {
    "done": ("✓", "green"),
    "not_needed": ("✓", "green"),
    "partial": ("◐", "yellow"),
    "blocked": ("■", "yellow"),
    "failed": ("✗", "red"),
    "cancelled": ("✗", "red"),
    "asked": ("○", "dim"),
}
TIMED = frozenset({"conflict", "attempt"})
"""Events that plain lines tell as well as states: no state lasts long enough to show them."""


def open_view(console: Console, *, rehearsal: bool = False) -> "LiveView | PlainView":
    """The view that fits where the output goes."""
    return LiveView(console, rehearsal=rehearsal) if console.is_terminal else PlainView(console)


class LiveView:
    """Redraws the run in place, within the height of the terminal. A context manager."""

    def __init__(self, console: Console, *, rehearsal: bool = False) -> None:
        self._console = console
        self._rehearsal = rehearsal
        self._live = Live(console=console, refresh_per_second=4, transient=True, vertical_overflow="crop")

    def show(self, look: Look) -> None:
        """Draw the run as it stands now."""
        size = self._console.size
        marked = self._rehearsal and not look.status.get("rehearsal")
        # The last line of a terminal stays free, or each redraw would scroll.
        lines = screen(look, size.width, size.height - 1 - marked)
        head = [Text(REHEARSAL, style="bold magenta")] if marked else []
        self._live.update(Group(*head, *lines))

    def say(self, line: str) -> None:
        """Print a line that stays."""
        self._console.print(escape(line), soft_wrap=True)

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

    def show(self, look: Look) -> None:
        """Tell the changes since the last look."""
        board = board_of(look)
        self._once("run", board.state, f"run {board.name}: {board.state}")
        for line in board.attention:
            self._once(f"attention {line}", "told", f"attention: {line}")
        for note in look.status.get("notes", ()):
            if note not in board.attention:
                self._once(f"note {note}", "told", f"note: {note}")
        for row in board.rows:
            state = {"busy": "working", "stuck": "stuck", "resting": "resting"}.get(row.group, row.words)
            shown = row.words if row.group in {"stuck", "resting"} else state
            self._once(row.agent, state, f"{row.kind} {short_id(row.agent)} '{row.title}': {shown}")
        for agent, known in look.figures.agents.items():
            for event in known.events:
                line = f"{event.kind} {short_id(agent)} '{known.title}': {event.what}"
                if event.kind in TIMED:
                    self._once(f"{agent} {event.at}", event.kind, line)
        for commit in look.commits[self._commits :]:
            task = f" ({short_id(commit.task)})" if commit.task else ""
            self.say(f"landed {commit.short} {commit.subject}{task}")
        self._commits = max(self._commits, len(look.commits))

    def say(self, line: str) -> None:
        """Print a line with the time since the start."""
        passed = int(time.monotonic() - self._begun)
        self._console.print(
            f"{passed // 60:02d}:{passed % 60:02d} {one_line(line)}", markup=False, highlight=False, soft_wrap=True
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


def tree_of(node: TreeNode) -> Tree:
    """The tree of agents for rich, with the ids that commands take."""
    tree = Tree(_label(node))
    _grow(tree, node)
    return tree


def _grow(tree: Tree, node: TreeNode) -> None:
    for child in node.children:
        _grow(tree.add(_label(child)), child)
    if node.more:
        tree.add(Text(f"and {node.more} more", style="dim"))


def _label(node: TreeNode) -> Text:
    mark, style = MARKS.get(node.state, ("●", "cyan"))
    words = node.title if node.kind == "task" else f"planner: {node.title}"
    counts = ", ".join(f"{count} {name}" for name, count in node.counts.items() if count)
    state = WORDS.get(node.state, node.state.replace("_", " "))
    detail = f" {state}" + (f" ({counts})" if counts else "")
    return Text.assemble((f"{mark} ", style), (f"{short_id(node.id)} ", "dim"), words, (detail, "dim"))
