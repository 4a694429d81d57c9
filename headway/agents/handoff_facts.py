"""The harness's facts about an agent's work; never asked from the model."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from headway.agents.loop.usage import usage_of
from headway.domain.handoff import CommandFact, HandoffFacts
from headway.domain.ids import Oid
from headway.eventlog.branch import active_seconds
from headway.eventlog.events.envelope import AnyEvent, bodies
from headway.eventlog.events.talk import ToolResult
from headway.git.hub import Hub
from headway.sandbox.outcome import Ran
from headway.system.excerpt import cut

COMMANDS_KEPT = 5
COMMAND_CHARS = 400


def files_of(hub: Hub, commits: Sequence[Oid]) -> int:
    """Number of files that these commits changed."""
    return len({path for commit in commits for path in hub.changed_paths(f"{commit}^", commit)})


def commands_ran(events: Iterable[AnyEvent]) -> Iterator[Ran]:
    """Commands that these events tell of, oldest first."""
    return (answer.result for answer in bodies(events, ToolResult) if isinstance(answer.result, Ran))


def commands_in(events: Iterable[AnyEvent]) -> tuple[CommandFact, ...]:
    """The last commands and how they ended."""
    ran = deque(commands_ran(events), COMMANDS_KEPT)
    return tuple(
        CommandFact(command=cut(each.command, COMMAND_CHARS), exit_code=each.exit_code, note=each.note) for each in ran
    )


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
    """The facts of a handoff, from the agent's whole log, read more than once, and its caller's findings."""
    paid = usage_of(physical)
    return HandoffFacts(
        landed=landed,
        files_changed=files_changed,
        wip=wip,
        commands=commands_in(physical),
        model_calls=paid.calls,
        tokens=paid.tokens,
        usd=paid.amount.usd,
        active_s=round(active_seconds(physical), 1),
        attempt=attempt,
        harness_made=harness_made,
        children=children or {},
    )
