"""`temporal workflow reset` of a planner is "replan from here, keep the work", whatever the model answers then."""

from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType

from headway.domain.handoff import HandoffStatus
from headway.domain.ids import AgentId
from headway.rehearsal.host import Rehearsal
from headway.rehearsal.playbook import PlannerScript, Playbook
from tests.chaos.fleets import SHARED, blocking, release, until_marked
from tests.chaos.operator import reset, root_of
from tests.chaos.proofs import (
    ended,
    prove_handed_off_once,
    prove_hub_whole,
    prove_landed_once,
    statuses,
    until_closed,
)
from tests.support.playbooks import done, step, use, writer
from tests.support.site import Machine, machine

FIRST, SECOND, OTHER = ("First-0", "First-1"), ("Second-0", "Second-1"), ("Other-0", "Other-1", "Other-2")


def asked(titles: tuple[str, ...]) -> dict[str, Any]:
    """The arguments of a spawn."""
    return {"tasks": [{"title": title, "intent": f"Write made/{title}.py."} for title in titles]}


def in_two_rounds(second: tuple[str, ...], handoffs: int) -> Playbook:
    """A root planner that asks for more when the first two are in; what comes second waits to be released."""
    root = PlannerScript(
        scope="root",
        calls=(
            step(use("spawn_tasks", **asked(FIRST)), use("wait")),
            step(use("spawn_tasks", **asked(second)), use("wait"), after_handoffs=2),
            done(after_handoffs=handoffs),
            done("Still done."),
        ),
    )
    held = blocking()
    tasks = [writer(title, f"made/{title}.py") for title in FIRST]
    tasks += [held(title, f"made/{title}.py") for title in (*SECOND, *OTHER)]
    return Playbook(name="rounds", planners=(root,), tasks=tuple(tasks))


async def before_turn(site: Machine, agent: AgentId, turn: int) -> int:
    """The event to reset to, so that this turn is taken again: the completed workflow task that asked for it."""
    history = await site.client.get_workflow_handle(agent).fetch_history()
    asked_for = [
        event.activity_task_scheduled_event_attributes
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    ]
    turns = [found for found in asked_for if found.activity_type.name == "plan_turn"]
    return turns[turn - 1].workflow_task_completed_event_id


@pytest.mark.parametrize(
    "same",
    [pytest.param(True, id="the same answer", marks=pytest.mark.long), pytest.param(False, id="another answer")],
)
async def test_a_reset_root_planner_does_no_task_twice_and_drops_none(
    home: Path, small_repository: Path, *, same: bool
) -> None:
    titles = (*FIRST, *SECOND) if same else (*FIRST, *SECOND, *OTHER)
    async with machine(home, small_repository, in_two_rounds(SECOND, 4), audit_s=5) as site:
        run = await site.start("again", policy=SHARED, limits={"command_seconds": 900})
        await until_marked(site, "again", len(SECOND))
        root = root_of(site, "again")
        site.rehearsal.stop()
        second = SECOND if same else OTHER
        with Rehearsal(in_two_rounds(second, len(titles)), port=site.rehearsal.port):
            await reset(site, root, await before_turn(site, root, 2))
            await until_marked(site, "again", len(titles) - len(FIRST))
            release(site, "again")
            report = await ended(run, 60)
        await until_closed(site, "again", 30)
        assert report["outcome"] == "done_unproven"
        ends = statuses(site, "again")
        assert {title: ends[title] for title in titles} == {title: [HandoffStatus.DONE] for title in titles}
        assert report["spent"]["tasks"] == len(titles), "nothing dropped, nothing counted twice"
        prove_handed_off_once(site, "again", len(titles) + 1)
        prove_landed_once(site, "again", len(titles))
        prove_hub_whole(site, "again")
