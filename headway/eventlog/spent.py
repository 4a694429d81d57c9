"""The usage of agents by their logs, for callers that did not follow them: whole runs, closed planners."""

from collections.abc import Collection

from headway.domain.ids import AgentId, run_of
from headway.domain.state.budget import Amount
from headway.eventlog.events.life import AgentStart
from headway.eventlog.store import LogStore, Stream
from headway.eventlog.views.paid import Paid


def spent_below(store: LogStore, agent: AgentId, apart: Collection[AgentId] = ()) -> Amount:
    """The use of an agent and of everything below it, by their logs, without `apart` and everything below those."""

    def counts(each: AgentId) -> bool:
        return f"{each}/".startswith(f"{agent}/") and not any(f"{each}/".startswith(f"{other}/") for other in apart)

    family = [each for each in store.agents(run_of(agent)) if counts(each)]
    return sum((spent_by(store.stream(each), is_task=True) for each in family), Amount())


def spent_by(physical: Stream, *, is_task: bool) -> Amount:
    """The usage of an agent. A call under way counts as reserved; a task that never began used up no task."""
    paid, began = Paid(), False
    for event in physical.skimmed():
        began = began or isinstance(event.body, AgentStart)
        paid.apply(event)
    return paid.settled + paid.reserved + Amount(tasks=1 if is_task and began else 0)
