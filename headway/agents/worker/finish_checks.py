"""The facts against a worker's `finish`. Told once; the second `finish` counts as it stands. Pure."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from headway.agents.handoff_facts import commands_ran
from headway.domain.handoff import HandoffStatus
from headway.domain.ids import Oid
from headway.domain.task import TaskKind
from headway.eventlog.events.envelope import AnyEvent, bodies
from headway.eventlog.events.talk import ToolResult
from headway.sandbox.outcome import INTERRUPTED, Ran
from headway.system.excerpt import cut

NAMED = 20
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
        check: The user's command that proves a commit.
    """

    unlanded: tuple[str, ...] = ()
    in_submodules: tuple[str, ...] = ()
    marked: tuple[str, ...] = ()
    landed: tuple[Oid, ...] = ()
    gone: tuple[Oid, ...] = ()
    unfinished: tuple[str, ...] = ()
    check: str | None = None


def doubts(
    status: HandoffStatus, kind: TaskKind, now: WorkState, events: Sequence[AnyEvent], idle: Collection[str] = ()
) -> list[str]:
    """The facts against handing off with this status. Calls of the tools `idle` answer no question of a task."""
    if kind is TaskKind.INVESTIGATE:
        return _unlooked(status, events, idle)
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
        found += _failed(now.check, events)
    return found


def _unlooked(status: HandoffStatus, events: Sequence[AnyEvent], idle: Collection[str]) -> list[str]:
    looked = any(answer.name not in idle for answer in bodies(events, ToolResult))
    claims = status in CLAIMS and not looked
    return ["you answer a question, and read nothing and ran nothing to answer it"] if claims else []


def _contradiction(status: HandoffStatus, now: WorkState) -> list[str]:
    if status is not HandoffStatus.NOT_NEEDED:
        return []
    found = [f"you say that it was not needed, and {len(now.landed)} commits of yours are on the trunk"]
    return found if now.landed else []


def _failed(check: str | None, events: Sequence[AnyEvent]) -> list[str]:
    """The last command and the last run of the check, where they did not succeed."""
    ran = list(commands_ran(events))
    checks = [each for each in ran if check is not None and check in each.command]
    told = {}
    for what, runs in (("your last command", ran), ("your last run of the check", checks)):
        if runs and _is_bad(runs[-1]):
            how = runs[-1].note or f"exit code {runs[-1].exit_code}"
            told[id(runs[-1])] = f"{what} did not succeed ({how}): {json.dumps(cut(runs[-1].command, 200))}"
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
