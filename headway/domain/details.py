"""What the Web UI shows of a workflow as its current details: Markdown, short."""

from collections.abc import Iterable

from headway.domain.budget import MICRO, Bill, Ceiling, Purse
from headway.domain.ids import ChildKey
from headway.domain.limits import waits_words
from headway.domain.outstanding import Outstanding
from headway.domain.planning import PlannerState
from headway.domain.printable import for_markdown, for_terminal
from headway.domain.run_status import notes
from headway.domain.running import RunState

SHOWN = 12


def planner_details(state: PlannerState, doing: str, troubles: Iterable[str] = ()) -> str:
    """Scope, scratchpad, what is outstanding, budget, and what failed for good and is tried again."""
    purse, books = state.books.purse, state.books
    counts = ", ".join(f"{count} {status}" for status, count in sorted(books.tally.items())) or "none yet"
    rows = [
        f"- `{key}` {for_markdown(child.title)} ({_stands(books, key)})"
        for key, child in list(books.children.items())[:SHOWN]
    ]
    if len(books.children) > SHOWN:
        rows.append(f"- and {len(books.children) - SHOWN} more")
    parts = [
        f"**{for_markdown(state.title)}** · {doing} · turn {state.turn} · level {state.depth}",
        f"**Handoffs taken:** {counts}",
        "\n".join([f"**Outstanding ({len(books.children)}):**", "", *(rows or ["- nothing"])]),
        _budget(purse, dollars=state.context.bounds_dollars),
        *(f"**Note:** {for_markdown(trouble)}" for trouble in troubles),
    ]
    if state.closing is not None:
        parts.append(f"**Closing:** {state.closing.status} · {for_markdown(state.closing.why)}")
    if state.board:
        parts.append(f"**Scratchpad:**\n\n{for_terminal(state.board)}")
    return "\n\n".join(parts)


def _stands(books: Outstanding, key: ChildKey) -> str:
    child, missing = books.children[key], books.waits_for(key)
    if missing:
        return f"waits for budget: {waits_words(missing, books.lendable)}"
    return "asked" if child.lent is None else "open"


def _budget(purse: Purse, *, dollars: bool) -> str:
    tokens = f"{purse.spent.tokens:,} of {purse.granted.tokens:,} tokens used, {purse.lent.tokens:,} lent"
    granted = Ceiling.of(purse.granted).usd
    of = "" if granted == "none" or not dollars else f" of ${granted:,.2f}, ${purse.lent.micro_usd / MICRO:,.2f} lent"
    tasks = f"{purse.spent.tasks:,} of {purse.granted.tasks:,} tasks"
    return f"**Budget:** {tokens}; {tasks}; {Bill.of(purse.spent).dollars}{of}"


def _used(state: RunState) -> str:
    used, ceiling = Bill.of(state.used), Ceiling.of(state.granted) if state.granted else None
    said = f"**Used:** {used.tokens:,} tokens, {used.tasks:,} tasks, {used.dollars}"
    return said + (f", of {ceiling.tokens} tokens, {ceiling.tasks} tasks, {ceiling.usd} dollars" if ceiling else "")


def run_details(state: RunState) -> str:
    """Phase, repository, trunk, and what a reader should know."""
    prepared = state.prepared
    if prepared is None:
        return f"**{state.phase}**"
    parts = [
        f"**{for_markdown(prepared.title)}** · {state.phase}",
        f"**Repository:** {prepared.repo}, from {prepared.context.base[:12]}",
        f"**Branch:** {state.branch}, trunk {(state.trunk or prepared.context.base)[:12]}",
        f"**Sandbox:** {prepared.level}",
        _used(state),
        *(f"**Note:** {for_markdown(note)}" for note in notes(state)),
    ]
    if prepared.rehearsal:
        parts.insert(0, "**REHEARSAL**: the answers are scripted; no model thinks here.")
    return "\n\n".join(parts)
