"""Agents that go in circles, refuse or say nothing: tried again with what was learned, then told as failed."""

from pathlib import Path

import pytest

from headway.domain.handoff import HandoffStatus
from headway.eventlog.events.conversation import Message
from headway.eventlog.events.envelope import bodies, only
from headway.eventlog.events.life import HandedOff
from headway.rehearsal.playbook import PlannerScript, Playbook, Step, TaskScript
from tests.chaos.operator import titled
from tests.chaos.proofs import ended, prove_landed_once, statuses, until_closed
from tests.support.playbooks import step, use, writer
from tests.support.site import Machine, machine

HOW_IT_ENDS = {
    "Stalls": "stalled: the same call was made 7 times",
    "Refuses": "the model refused 2 times in a row",
    "Is silent": "3 replies in a row were empty",
}
"""Of each hopeless task, what its attempts' handoffs say."""


def hopeless() -> Playbook:
    """Three tasks that never come to anything, and one that does."""
    titles = (*HOW_IT_ENDS, "Works")
    root = PlannerScript(
        scope="root",
        calls=(
            step(
                use("spawn_tasks", tasks=[{"title": title, "intent": f"Do {title}."} for title in titles]), use("wait")
            ),
            step(use("finish", status="partial", summary="One of four."), after_handoffs=4),
        ),
    )
    tasks = (
        TaskScript(title="Stalls", calls=(step(use("list_dir", path=".", depth=1), repeat=20),)),
        TaskScript(title="Refuses", calls=(Step(text="I will not.", stop="refusal", repeat=20),)),
        TaskScript(title="Is silent", calls=(Step(stop="empty", repeat=20),)),
        writer("Works", "made/works.py"),
    )
    return Playbook(name="hopeless", planners=(root,), tasks=tasks)


def prove_tried(site: Machine, title: str, attempts: int) -> None:
    """So many attempts, each told how the one before ended, and the last one's end handed off."""
    [agent] = titled(site, "hopeless", title)
    line = site.store.read(agent)
    opened = [message.text for message in bodies(line, Message)]
    ends = list(only(line, HandedOff))
    assert len(opened) == len(ends) == attempts
    assert [event.body.retry for event in ends] == [True] * attempts
    for event in ends:
        report = event.body.handoff.report
        assert report.status is HandoffStatus.FAILED
        assert HOW_IT_ENDS[title] in report.summary
    assert HOW_IT_ENDS[title] not in opened[0]
    assert all(HOW_IT_ENDS[title] in text for text in opened[1:])


@pytest.mark.parametrize("attempts", [2, pytest.param(4, marks=pytest.mark.long)])
async def test_hopeless_tasks_are_tried_again_and_then_told_as_failed(
    home: Path, small_repository: Path, attempts: int
) -> None:
    async with machine(home, small_repository, hopeless()) as site:
        run = await site.start("hopeless", limits={"attempts": attempts})
        report = await ended(run, 90)
        await until_closed(site, "hopeless", 10)
        assert report["outcome"] == "partial"
        assert report["handoffs"] == {"failed": 3, "done": 1}
        for title in HOW_IT_ENDS:
            prove_tried(site, title, attempts)
        assert statuses(site, "hopeless")["Works"] == [HandoffStatus.DONE]
        prove_landed_once(site, "hopeless", 1)
