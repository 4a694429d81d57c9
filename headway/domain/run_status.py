"""The status of a run, for people and other programs: its notes, and the answer of the query `status`."""

from headway.domain.figures import Seen
from headway.domain.limits import more_of, short_words
from headway.domain.state.budget import Amount, Bill, Ceiling
from headway.domain.state.child import least_part
from headway.domain.state.run import RunState
from headway.domain.tree import priced
from headway.domain.words import counted


def notes(state: RunState) -> tuple[str, ...]:
    """Notes about the run, for its user: those of its start first."""
    return (state.prepared.notes if state.prepared else ()) + attention(state)


def attention(state: RunState) -> tuple[str, ...]:
    """Matters that its user should look at now."""
    own = tuple(filter(None, (state.publish_problem, state.publish_told, *state.troubles.values())))
    if state.phase == "needs_attention":
        own += ("the root planner failed: see its handoff, then `headway resume`, `reset` or `cancel`",)
    own += tuple(parking.words for parking in state.parkings if parking.parked)
    own += (state.quiet.words,) if state.stalled else ()
    if state.root is not None and state.adopted:
        own += (
            f"{counted(len(state.adopted), 'agent')} still at work below a closed planner: the run ends after that",
        )
    if state.phase == "hold" and state.children is not None and state.root_key and state.prepared is not None:
        root = state.children.open[state.root_key]
        need = root.need or Amount()
        raises = more_of(state.prepared.context.run, need, state.children.account.granted)
        least = short_words(least_part(root, state.context.sizes))
        waits = f"{short_words(need)} more is needed, {least} for the next agent alone"
        own += (f"on hold: the limit is used up or reserved, and all agents wait: {waits}; `{raises}` raises it",)
    return own


def status(state: RunState, seen: Seen | None = None) -> dict[str, object]:
    """The answer of the query `status`; `seen` are the present facts of the run's folder, where it is there."""
    prepared, tree = state.prepared, state.tree
    used = state.used if seen is None else seen.figures.total.spent
    return {
        "run": prepared.context.run if prepared else None,
        "phase": state.phase,
        "stands": state.stands,
        "paused": [{"target": target, **hold.model_dump()} for target, hold in state.book.control.paused.items()],
        "outcome": state.outcome,
        "planner": {"state": tree.state, "title": tree.title} if tree else None,
        "counts": dict(tree.counts) if tree else {},
        "spent": (priced(Bill.of(used), prepared.context) if prepared else Bill()).model_dump(),
        "commits": None if seen is None else seen.figures.total.commits,
        "granted": Ceiling.of(state.granted).model_dump() if state.granted else None,
        "waits_until": state.overdue if state.phase in {"hold", "needs_attention"} else None,
        "amendments": len(state.book.control.amendments),
        "trunk": (seen.trunk if seen else None) or state.trunk,
        "branch": state.branch,
        "parked": [parking.model_dump() for parking in state.parkings if parking.parked],
        "went_on": max((parking.since for parking in state.parkings if not parking.parked), default=None),
        "stalled": state.stalled,
        "notes": list(notes(state)),
        "attention": list(attention(state)),
        "rehearsal": prepared.rehearsal if prepared else False,
        "level": prepared.level if prepared else None,
        "check": state.verdict.model_dump() if state.verdict else None,
    }
