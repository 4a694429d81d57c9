"""Current details of a workflow, as the Web UI shows them: Markdown, short."""

from collections.abc import Iterable

from headway.domain.decisions.lending import waits_for
from headway.domain.figures import RunFigures, Seen
from headway.domain.ids import ChildKey
from headway.domain.limits import waits_words
from headway.domain.printable import for_markdown, for_terminal
from headway.domain.run import RunContext
from headway.domain.run_status import notes
from headway.domain.state.budget import MICRO, Account, Amount, Bill, Ceiling
from headway.domain.state.children import Children
from headway.domain.state.planner import PlannerState
from headway.domain.state.run import RunState
from headway.domain.tree import priced
from headway.domain.words import counted, limit_words

SHOWN = 12


def planner_details(
    state: PlannerState, doing: str, troubles: Iterable[str] = (), figures: RunFigures | None = None
) -> str:
    """Scope, scratchpad, outstanding children, budget, and failed effects that are tried again.

    `figures` are those of the run until now, where its folder is there.
    """
    account, children = state.children.account, state.children
    counts = ", ".join(f"{count} {status}" for status, count in sorted(children.tally.items())) or "none yet"
    rows = [
        f"- `{key}` {for_markdown(child.title)} ({_stands(children, key)})"
        for key, child in list(children.open.items())[:SHOWN]
    ]
    if len(children.open) > SHOWN:
        rows.append(f"- and {len(children.open) - SHOWN} more")
    parts = [
        f"**{for_markdown(state.title)}** · {doing} · turn {state.turn} · level {state.depth}",
        f"**Handoffs taken:** {counts}",
        "\n".join([f"**Outstanding ({len(children.open)}):**", "", *(rows or ["- nothing"])]),
        _budget(account, figures.total_of(state.me).spent if figures else account.spent, state.context),
        *(f"**Note:** {for_markdown(trouble)}" for trouble in troubles),
    ]
    if state.closing is not None:
        parts.append(f"**Closing:** {state.closing.status} · {for_markdown(state.closing.why)}")
    if state.board:
        parts.append(f"**Scratchpad:**\n\n{for_terminal(state.board)}")
    return "\n\n".join(parts)


def _stands(children: Children, key: ChildKey) -> str:
    child, missing = children.open[key], waits_for(children, key)
    if missing:
        return f"waits for budget: {waits_words(missing, children.lendable)}"
    return "asked" if child.granted is None else "open"


def _budget(account: Account, spent: Amount, context: RunContext) -> str:
    tokens = f"{spent.tokens:,} of {account.granted.tokens:,} tokens used, {account.delegated.tokens:,} lent"
    granted = Ceiling.of(account.granted).usd
    bounded = granted != "none" and context.bounds_dollars
    of = f" of ${granted:,.2f}, ${account.delegated.micro_usd / MICRO:,.2f} lent" if bounded else ""
    tasks = f"{spent.tasks:,} of {counted(account.granted.tasks, 'task')}"
    return f"**Budget:** {tokens}; {tasks}; {priced(Bill.of(spent), context).dollars}{of}"


def _used(state: RunState, seen: Seen | None) -> str:
    used = state.used if seen is None else seen.figures.total.spent
    bill = priced(Bill.of(used), state.context)
    landed = "" if seen is None else f", {counted(seen.figures.total.commits, 'commit')} landed"
    said = f"**Used:** {counted(bill.tokens, 'token')}, {counted(bill.tasks, 'task')}, {bill.dollars}{landed}"
    if state.granted is None:
        return said
    ceiling = Ceiling.of(state.granted)
    usd = "no limit in dollars" if ceiling.usd == "none" or not state.context.bounds_dollars else f"${ceiling.usd:,.2f}"
    return f"{said}, of {limit_words(ceiling.tokens, 'token')}, {limit_words(ceiling.tasks, 'task')}, {usd}"


def run_details(state: RunState, seen: Seen | None = None) -> str:
    """Phase, repository, trunk, and notes for a reader; `seen` are the present facts of the run's folder."""
    prepared = state.prepared
    if prepared is None:
        return f"**{state.phase}**"
    trunk = (seen.trunk if seen else None) or state.trunk or prepared.context.base
    parts = [
        f"**{for_markdown(prepared.title)}** · {state.stands}",
        f"**Repository:** {prepared.repo}, from {prepared.context.base[:12]}",
        f"**Branch:** {state.branch}, trunk {trunk[:12]}",
        f"**Sandbox:** {prepared.level}",
        _used(state, seen),
        *(f"**Note:** {for_markdown(note)}" for note in notes(state)),
    ]
    if prepared.rehearsal:
        parts.insert(0, "**REHEARSAL**: the answers are scripted; no model thinks here.")
    return "\n\n".join(parts)
