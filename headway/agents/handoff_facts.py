"""The harness's facts about an agent's work; never asked from the model."""

from collections import deque
from collections.abc import Iterable, Sequence

from headway.agents.loop.usage import used_by
from headway.domain.handoff import CommandFact, HandoffFacts
from headway.domain.ids import Oid
from headway.eventlog.events.conversation import ToolResult
from headway.eventlog.events.envelope import AnyEvent
from headway.eventlog.views.active_time import work_ms
from headway.eventlog.views.paid import Paid
from headway.git.hub import Hub
from headway.sandbox.outcome import Ran
from headway.system.excerpt import cut

COMMANDS_KEPT = 5
COMMAND_CHARS = 400


def files_of(hub: Hub, commits: Sequence[Oid]) -> int:
    """Number of files that these commits changed."""
    return len({path for commit in commits for path in hub.changed_paths(f"{commit}^", commit)})


def _fact_of(ran: Ran) -> CommandFact:
    return CommandFact(command=cut(ran.command, COMMAND_CHARS), exit_code=ran.exit_code, note=ran.note)


def work_facts(
    physical: Iterable[AnyEvent],
    *,
    landed: tuple[Oid, ...] = (),
    files_changed: int = 0,
    wip: str | None = None,
    attempt: int = 1,
    harness_made: str = "",
    children: dict[str, int] | None = None,
) -> HandoffFacts:
    """The facts of a handoff, from the agent's whole log, and its caller's findings."""
    paid, ran, active_ms = Paid(), deque[Ran](maxlen=COMMANDS_KEPT), 0.0
    for event in physical:
        paid.apply(event)
        active_ms += work_ms(event)
        match event.body:
            case ToolResult(result=Ran() as command):
                ran.append(command)
    used = used_by(paid)
    return HandoffFacts(
        landed=landed,
        files_changed=files_changed,
        wip=wip,
        commands=tuple(map(_fact_of, ran)),
        model_calls=used.calls,
        tokens=used.tokens,
        usd=used.amount.usd,
        active_s=round(active_ms / 1000, 1),
        attempt=attempt,
        harness_made=harness_made,
        children=children or {},
    )
