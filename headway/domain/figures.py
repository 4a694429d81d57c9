"""Figures of a run that goes on: usage, results and present work of each agent."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from headway.domain.handoff import HandoffStatus
from headway.domain.ids import AgentId, Incarnation, Oid, Role, RunName, parent_of
from headway.domain.state.budget import Amount


class Figures(BaseModel):
    """Usage and results of one agent, or of several together.

    Attributes:
        spent: The paid amount: every answered model call at its price, and every call that was cut off at the amount
            that was reserved for it, because the server may have done the work. `spent.tasks` counts the worker tasks
            that began, `spent.micro_usd` millionths of a dollar, `spent.unpriced` the tokens without a known price.
        reserved: The worst case of the model calls that are under way now, one for each agent at most. An answer moves
            its real cost from here to `spent`.
        calls: Model calls that were answered.
        commits: Commits that landed on the trunk.
        conflicts: Landings that conflicted.
        active_s: Seconds of model calls and commands.
    """

    model_config = ConfigDict(frozen=True)

    spent: Amount = Amount()
    reserved: Amount = Amount()
    calls: int = 0
    commits: int = 0
    conflicts: int = 0
    active_s: float = 0.0

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(
            spent=self.spent + other.spent,
            reserved=self.reserved + other.reserved,
            calls=self.calls + other.calls,
            commits=self.commits + other.commits,
            conflicts=self.conflicts + other.conflicts,
            active_s=self.active_s + other.active_s,
        )


class Now(BaseModel):
    """The present activity of an agent, from the newest events of its log.

    Attributes:
        doing: `starts`: it has a log and nothing else yet. `thinks`: a model call is under way. `runs`: a tool call is
            under way. `waits`: a model call waits, because the server refused others or the run may spend no more in
            this hour. `queues`: it gave up its slot for more budget. `works`: between two steps. `rests`: a planner's
            turn has ended. `ended`: it handed off.
        what: The tool and its most telling argument, such as `shell pytest -q`; the model's name while it thinks; the
            reason of its wait; the first line of the handoff's summary when it has ended. One line.
        since: Start of that, in seconds since the epoch.
        failed_calls: Model calls in a row that failed; `why` is the newest failure, in one line.
        conflicts: Landings in a row that conflicted.
    """

    model_config = ConfigDict(frozen=True)

    doing: Literal["starts", "thinks", "runs", "waits", "queues", "works", "rests", "ended"] = "starts"
    what: str = ""
    since: float = 0.0
    failed_calls: int = 0
    why: str = ""
    conflicts: int = 0


class Happened(BaseModel):
    """One event of an agent that a person wants to hear of.

    Attributes:
        at: In seconds since the epoch.
        kind: `landed`, `conflict`, `attempt` (the worker began anew), or the status of a handoff.
        what: The landing's message, the conflicted paths, the attempt's number, or the handoff's summary. One line.
    """

    model_config = ConfigDict(frozen=True)

    at: float
    kind: str
    what: str = ""


class AgentFigures(BaseModel):
    """One agent that has a log.

    Attributes:
        title: The title from its task or scope; empty where no log tells it.
        own: The agent alone.
        total: The agent and everything below it.
        attempt: A worker's attempt, from 1; 0 before it began.
        status: Status of its handoff; None before it, and while another attempt follows.
        began_at: Time of the first event of its log, in seconds since the epoch.
        events: Its last events, oldest first.
    """

    model_config = ConfigDict(frozen=True)

    agent: AgentId
    role: Role
    title: str = ""
    own: Figures = Figures()
    total: Figures = Figures()
    attempt: int = 0
    status: HandoffStatus | None = None
    now: Now = Now()
    began_at: float = 0.0
    events: tuple[Happened, ...] = ()


class RunFigures(BaseModel):
    """A whole run, summed from its agents' logs.

    Attributes:
        at: Time at which the logs were read, in seconds since the epoch.
        agents: All agents that have a log, by id; not the run itself.
        total: All of them together.
        by_role: The same sum by role.
        began_at: Start of the run's log, in seconds since the epoch; 0 without a log.
        ended_at: End of the run's log, in seconds since the epoch; 0 while it goes on.
    """

    model_config = ConfigDict(frozen=True)

    run: RunName
    at: float
    agents: dict[AgentId, AgentFigures] = {}
    total: Figures = Figures()
    by_role: dict[Role, Figures] = {}
    began_at: float = 0.0
    ended_at: float = 0.0

    def total_of(self, agent: AgentId) -> Figures:
        """Usage and results of an agent and everything below it; nothing when none of them has a log."""
        if agent == AgentId(self.run):
            return self.total
        if agent in self.agents:
            return self.agents[agent].total
        below = f"{agent}/"
        return total([each.own for name, each in self.agents.items() if name.startswith(below)])


class Seen(BaseModel):
    """A run as its folder shows it now.

    Attributes:
        incarnation: The start of the run that the folder belongs to.
        trunk: The trunk's commit.
    """

    model_config = ConfigDict(frozen=True)

    incarnation: Incarnation
    figures: RunFigures
    trunk: Oid | None = None


def total(figures: "Sequence[Figures]") -> Figures:
    """The sum of all."""
    return Figures(
        spent=_sum([each.spent for each in figures]),
        reserved=_sum([each.reserved for each in figures]),
        calls=sum(each.calls for each in figures),
        commits=sum(each.commits for each in figures),
        conflicts=sum(each.conflicts for each in figures),
        active_s=sum(each.active_s for each in figures),
    )


def _sum(amounts: list[Amount]) -> Amount:
    """One object for the whole sum: a run has thousands of agents, and is looked at every second."""
    return Amount(
        tokens=sum(each.tokens for each in amounts),
        tasks=sum(each.tasks for each in amounts),
        micro_usd=sum(each.micro_usd for each in amounts),
        unpriced=sum(each.unpriced for each in amounts),
    )


def with_totals(agents: dict[AgentId, AgentFigures]) -> dict[AgentId, AgentFigures]:
    """The same agents, each with the sum of its subtree as `total`."""
    below: dict[AgentId, list[Figures]] = {}
    for agent, each in agents.items():
        above = parent_of(agent)
        while above:
            below.setdefault(above, []).append(each.own)
            above = parent_of(above)
    # Most agents are tasks, whose sum stands there already.
    return {
        agent: each
        if agent not in below and each.total is each.own
        else each.model_copy(update={"total": total([each.own, *below.get(agent, ())])})
        for agent, each in agents.items()
    }
