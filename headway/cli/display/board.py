"""The state of a run as its user sees it. Pure: made from one look."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from headway.cli.agent_tools import doing
from headway.cli.display.watch import Look
from headway.cli.display.words import lasting, short
from headway.domain.figures import AgentFigures, Now
from headway.domain.handoff import HandoffStatus
from headway.domain.ids import AgentId
from headway.domain.state.control import Control
from headway.domain.tree import TreeNode, walk
from headway.domain.words import counted
from headway.runs.short_ids import short_id

Group = Literal["stuck", "busy", "waiting", "queued", "resting", "ended"]
"""An agent's activity. `waiting`: for a budget, for the model server, or because it is paused; `resting`: a planner
between its turns."""

ENDED = frozenset(HandoffStatus)
WELL = frozenset({"done", "not_needed"})
WORST = ("failed", "blocked", "cancelled", "partial")
"""Endings that a screen tells first, in this order."""
ROUNDS = 3
"""Landings of one change that may conflict, before its worker hands off."""
QUIET_S = 600.0
"""Seconds after which one step of an agent is told as stuck."""
FAILED_CALLS = 2
"""Model calls in a row that failed, after which an agent is told as stuck."""
_LEAST_ROOM = 12
RATE_S = 600.0
"""The rate of commits is that of the last ten minutes."""

WAITING_PHASES = {
    "needs_attention": "needs attention: its root planner failed",
    "hold": "on hold: budget exhausted",
}
GOES_ON = 5
WAITS_FOR_USER = 6
"""Exit codes of `headway status NAME --exit-status` for a run that has not ended."""

WORDS = {
    "asked": "queued",
    "open": "queued for a slot",
    "thinks": "planning",
    "is paused": "paused",
    "is parked": "parked",
    "hands up": "reporting",
    "checks the trunk": "checking the trunk",
    "closed": "ended",
}
"""States of the tree, in the field's words."""


@dataclass(frozen=True)
class Row:
    """One agent.

    Attributes:
        words: Its activity, or its ending and the reason, in one line without the time.
        since_s: Seconds since that began; None where it is not known.
        usd: The cost of it and of all agents below it, in words; empty when unknown.
    """

    agent: AgentId
    title: str
    kind: str
    group: Group
    words: str
    since_s: float | None = None
    usd: str = ""

    @property
    def status(self) -> str:
        """Status of its handoff; empty while it is open."""
        return self.words.partition(":")[0] if self.group == "ended" else ""

    @property
    def tail(self) -> str:
        """For how long, and the cost."""
        since = f" {lasting(self.since_s)}" if self.since_s is not None else ""
        return since + (f" {self.usd}" if self.usd else "")

    def label(self, width: int) -> str:
        """Id, title, present step, its duration, and the cost; title and words are cut to the width."""
        name = short_id(self.agent)
        title = f"planner: {self.title}" if self.kind == "planner" else self.title
        room = max(_LEAST_ROOM, width - len(name) - len(self.tail) - 3)
        title = _cut(title, max(room // 2, room - len(self.words)))
        return f"{name} {title}: {_cut(self.words, room - len(title))}{self.tail}"


@dataclass(frozen=True)
class Board:
    """A run at one moment.

    Attributes:
        name: The run's.
        state: Its state in a few words, with the reason where it waits.
        elapsed_s: Seconds since it began, to its end; None where nothing tells.
        attention: Matters that its user should look at now, a line each.
        rows: Its agents, those that are stuck first and those that ended last.
        unseen: Open agents of which nothing but their number is known.
    """

    name: str
    state: str
    elapsed_s: float | None
    attention: tuple[str, ...]
    rows: tuple[Row, ...]
    unseen: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def of(self, *groups: Group) -> list[Row]:
        """The agents of these groups, in order."""
        return [row for row in self.rows if row.group in groups]


def board_of(look: Look) -> Board:
    """Everything that one look shows, at the time of its figures."""
    now = look.figures.at
    nodes = {node.id: node for node, _ in walk(look.tree)} if look.tree is not None else {}
    known = look.figures.agents
    rows = [_row(agent, nodes.get(agent), known.get(agent), look, now) for agent in {**nodes, **known}]
    order: dict[Group, int] = {"stuck": 0, "busy": 1, "waiting": 2, "queued": 3, "resting": 4, "ended": 5}
    rows.sort(
        key=lambda row: (
            order[row.group],
            row.group != "busy" or row.kind != "planner",
            WORST.index(row.status) if row.status in WORST else len(WORST),
            -(row.since_s or 0.0),
        )
    )
    began, ended = look.figures.began_at, look.figures.ended_at
    return Board(
        name=look.name,
        state=state_of(look),
        elapsed_s=(ended or now) - began if began else None,
        attention=tuple(_attention(look)),
        rows=tuple(rows),
        unseen=_unseen(nodes, rows),
        counts=_counts(rows),
    )


def state_of(look: Look) -> str:
    """The run's state, the most urgent first, with its reason where it waits."""
    status = look.status
    if status.get("outcome"):
        return str(status["outcome"])
    if look.preparation is not None:
        return f"preparing: {look.preparation.words}"
    phase = str(status.get("phase") or "unknown")
    held = look.control.hold_on(AgentId(look.name)) if look.control is not None else None
    if phase in {"needs_attention", "hold"}:
        return {"needs_attention": "needs attention: its root planner failed", "hold": "on hold: budget exhausted"}[
            phase
        ]
    if held is not None:
        return f"paused{f': {held.why}' if held.why else ''}"
    if status.get("parked"):
        return "parked: its model refuses calls"
    if status.get("stalled"):
        return "stalled"
    return {"proving": "checking the trunk", "reporting": "writing the report"}.get(phase, phase)


def waits_for_user(look: Look) -> bool:
    """True when a run needs its user: it is paused, parked, on hold, stalled, or cannot be prepared."""
    status = look.status
    held = look.control is not None and bool(look.control.paused)
    failing = look.preparation is not None and bool(look.preparation.failure)
    waits = status.get("phase") in WAITING_PHASES or status.get("parked") or status.get("stalled")
    return bool(waits or held or failing)


def _attention(look: Look) -> Iterator[str]:
    if look.problem:
        yield look.problem
    yield from (str(line) for line in look.status.get("attention", ()))
    for target, hold in look.control.paused.items() if look.control is not None else ():
        whole = target == AgentId(look.name)
        why = f": {hold.why}" if hold.why else ""
        by = f" by {hold.who}" if hold.who else ""
        command = f"headway resume {look.name}" + ("" if whole else f" {short_id(target)}")
        yield f"{'the run' if whole else short_id(target)} is paused{by}{why}; `{command}` resumes it"


def _row(agent: AgentId, node: TreeNode | None, known: AgentFigures | None, look: Look, now: float) -> Row:
    title = _line(node.title if node is not None and node.title else known.title if known is not None else "")
    planner = known.role == "planner" if known is not None else node is not None and node.kind != "task"
    usd = ""
    if known is not None and known.total.spent.tokens:
        price = known.total.spent.usd
        usd = f"${price:,.2f}" if price is not None else f"{short(known.total.spent.tokens)} tokens"
    group, words, since = _what(agent, node, known, look.control, now)
    return Row(agent, title, "planner" if planner else "task", group, words, since, usd)


def _what(
    agent: AgentId, node: TreeNode | None, known: AgentFigures | None, control: Control | None, now: float
) -> tuple[Group, str, float | None]:
    """An agent's group, words, and seconds since."""
    ended = known.status if known is not None and known.status is not None else None
    ended = ended or (HandoffStatus(node.state) if node is not None and node.state in ENDED else None)
    if ended is not None:
        why = known.now.what if known is not None and known.now.doing == "ended" and ended not in WELL else ""
        return "ended", f"{ended.value.replace('_', ' ')}{f': {why}' if why else ''}", None
    if node is not None and node.state == "closed":
        return "ended", "ended", None
    held = control.hold_on(agent) if control is not None else None
    if held is not None:
        return "waiting", f"paused{f': {held.why}' if held.why else ''}", now - held.at
    state = node.state if node is not None else "starts"
    if state.startswith("waits for budget"):
        why = node.why if node is not None else ""
        return "waiting", _line(f"{state}: {why}" if why else state), None
    if known is None or known.now.doing == "starts":
        return "queued", WORDS.get(state, _line(state)), None
    if known.now.doing == "queues":
        return "queued", "queued for its next slot", max(0.0, now - known.now.since)
    return _at_work(known, node, now)


def _at_work(known: AgentFigures, node: TreeNode | None, now: float) -> tuple[Group, str, float | None]:
    at, since = known.now, max(0.0, now - known.now.since)
    if at.doing == "rests":
        count = node.counts.get("open", 0) if node is not None else 0
        state = WORDS.get(node.state, node.state) if node is not None else ""
        rests = bool(count) and state in {"waits", "", "planning"}
        return "resting", f"waiting for {counted(count, 'agent')}" if rests else _line(state) or "waiting", since
    if at.doing == "waits":
        return "waiting", f"waits for {at.what}", since
    parts = [f"attempt {known.attempt}"] if known.attempt > 1 else []
    parts += [f"conflict {at.conflicts} of {ROUNDS}"] if at.conflicts else []
    parts += [f"{at.failed_calls} model calls failed ({at.why})"] if at.failed_calls else []
    parts.append(_doing(at, known.role == "planner"))
    stuck = at.failed_calls >= FAILED_CALLS or since >= QUIET_S
    return "stuck" if stuck else "busy", ", ".join(parts), since


def _doing(at: Now, planner: bool) -> str:
    match at.doing:
        case "thinks":
            return "planning" if planner else "thinking"
        case "runs":
            tool, _, told = at.what.partition(" ")
            return doing(tool, told)
        case "starts":
            return "starting"
        case "works" | "waits" | "queues" | "rests" | "ended":
            return "between two steps"


def _unseen(nodes: dict[AgentId, TreeNode], rows: list[Row]) -> int:
    """Open agents that planners count and no log or tree names."""
    counted = sum(node.counts.get("open", 0) for node in nodes.values())
    named = sum(row.group != "ended" for row in rows if row.agent.count("/") > 1)
    return max(0, counted - named)


def _counts(rows: list[Row]) -> dict[str, int]:
    """Number of agents by state, in words; planners and tasks together."""
    counts = {"working": 0, "stuck": 0, "queued": 0, "paused": 0, "waiting for budget": 0, "waiting": 0, "resting": 0}
    ended: dict[str, int] = {}
    for row in rows:
        match row.group:
            case "ended":
                ended[row.status] = ended.get(row.status, 0) + 1
            case "busy":
                counts["working"] += 1
            case "waiting" if row.words.startswith("waits for budget"):
                counts["waiting for budget"] += 1
            case "waiting":
                counts["paused" if row.words.startswith("paused") else "waiting"] += 1
            case "stuck" | "queued" | "resting":
                counts[row.group] += 1
    return {name: count for name, count in {**counts, **ended}.items() if count}


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _line(text: str) -> str:
    return " ".join(text.split())
