"""The facts against a worker's `finish`. Told once; the second `finish` counts as it stands. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from headway.domain.handoff import HandoffStatus
from headway.domain.ids import Oid
from headway.domain.task import TaskKind
from headway.eventlog.blobs import APART, INLINE_CHARS
from headway.eventlog.events.conversation import ToolResult
from headway.eventlog.events.envelope import AnyEvent
from headway.eventlog.events.life import AgentStart
from headway.sandbox.outcome import INTERRUPTED, Ran
from headway.system.excerpt import cut

NAMED = 20
COMMAND_CHARS = 400
CLAIMS = frozenset({HandoffStatus.DONE, HandoffStatus.PARTIAL})


@dataclass(frozen=True)
class WorkState:
    """State of a worker's work when it wants to hand off.

    Attributes:
        unlanded: Paths that differ from the trunk commit the workspace stands on.
        in_submodules: Files in submodules, which cannot land.
        marked: Unlanded files that still hold conflict markers.
        landed: Its commits on the trunk.
        gone: Commits that landed and are on the trunk no longer.
        unfinished: Places in landed changes that call themselves unfinished.
    """

    unlanded: tuple[str, ...] = ()
    in_submodules: tuple[str, ...] = ()
    marked: tuple[str, ...] = ()
    landed: tuple[Oid, ...] = ()
    gone: tuple[Oid, ...] = ()
    unfinished: tuple[str, ...] = ()


class Commands:
    """A view of the commands of an attempt.

    Keeps two of them, without the rest of a long one.

    Args:
        check: The user's command that proves a commit.

    Attributes:
        last: The newest one.
        last_check: The newest one that runs the check.
    """

    def __init__(self, check: str | None) -> None:
        self._check = check
        self.last: Ran | None = None
        self.last_check: Ran | None = None

    def apply(self, event: AnyEvent) -> None:
        """Take in the next event of the line."""
        match event.body:
            case AgentStart():
                self.last = self.last_check = None
            case ToolResult(result=Ran() as ran):
                # An agent that goes on is not shown a longer one.
                command = ran.command if len(ran.command) <= INLINE_CHARS else APART
                self.last = ran.model_copy(update={"command": command[:COMMAND_CHARS]})
                if self._check is not None and self._check in command:
                    self.last_check = self.last


def objections(
    status: HandoffStatus, kind: TaskKind, now: WorkState, commands: Commands, *, looked: bool = False
) -> list[str]:
    """The facts against handing off with this status. `looked`: the agent called a tool that can answer a question."""
    if kind is TaskKind.INVESTIGATE:
        return _unlooked(status, looked=looked)
    if status not in CLAIMS:
        return _contradiction(status, now)
    found = []
    if now.gone:
        named = ", ".join(oid[:12] for oid in now.gone)
        found.append(f"what you landed is on the trunk no longer, because the trunk was moved: {named}; land it again")
    if now.unlanded:
        found.append(f"changed in your workspace and not landed: {named_some(now.unlanded)}")
    if now.in_submodules:
        named = named_some(now.in_submodules)
        found.append(f"these files lie in a submodule, a repository of its own, and cannot land: {named}")
    if now.marked:
        found.append(f"conflict markers are left in: {named_some(now.marked)}")
    if status is HandoffStatus.DONE:
        found += [] if now.landed else ["this is a change task, and nothing of it is on the trunk"]
        found += [f"you landed lines that say they are not finished: {named_some(now.unfinished)}"] * bool(
            now.unfinished
        )
        found += _failed(commands)
    return found


def _unlooked(status: HandoffStatus, *, looked: bool) -> list[str]:
    claims = status in CLAIMS and not looked
    return ["you answer a question, and read nothing and ran nothing to answer it"] if claims else []


def _contradiction(status: HandoffStatus, now: WorkState) -> list[str]:
    if status is not HandoffStatus.NOT_NEEDED:
        return []
    found = [f"you say that it was not needed, and {len(now.landed)} commits of yours are on the trunk"]
    return found if now.landed else []


def _failed(commands: Commands) -> list[str]:
    """The last command and the last run of the check, where they did not succeed."""
    told = {}
    for what, ran in (("your last command", commands.last), ("your last run of the check", commands.last_check)):
        if ran is not None and _is_bad(ran):
            how = ran.note or f"exit code {ran.exit_code}"
            told[id(ran)] = f"{what} did not succeed ({how}): {json.dumps(cut(ran.command, 200))}"
    return list(told.values())


def _is_bad(ran: Ran) -> bool:
    # An interrupted command tells nothing of the work, and the agent was told of it when it happened.
    return ran.exit_code != 0 and ran.note != INTERRUPTED


def after_last(claimed: Sequence[Oid], landed: Sequence[Oid]) -> list[Oid]:
    """Commits that landed and are gone, but for those before one that is there: it brought their change along."""
    there = [at for at, oid in enumerate(claimed) if oid in landed]
    return list(claimed[there[-1] + 1 if there else 0 :])


def named_some(names: Sequence[str]) -> str:
    """The first of many names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"
