"""The last word: when the budget or the time is used up, one reply in which only `finish` is left."""

from pathlib import Path

import pytest

from headway.domain.handoff import HandoffStatus
from headway.domain.state.budget import Amount
from headway.eventlog.events.conversation import LlmRequest, Reminder
from headway.eventlog.events.envelope import AnyEvent, bodies
from headway.eventlog.views.epoch import Epoch
from headway.rehearsal.playbook import Step
from tests.agents.offered import REPLACING
from tests.agents.stage import Stage, finish, step, use
from tests.support.events import event, reply, retry

TITLE = "Write a file"
WRITE = step(use("write_file", path="one.txt", content="one\n"))
SLOW = step(use("shell", command="sleep 1.3"))
LITTLE = {"granted": Amount(tokens=23_000, tasks=1), "more": False}


ASKED, REPLY, FAILED = event(Reminder(text="", why="last_word")), event(reply()), event(retry())
OTHER = event(Reminder(text="", why="align"))


@pytest.mark.parametrize(
    ("events", "asked", "had", "newest"),
    [
        ([], False, False, False),
        ([REPLY, OTHER, REPLY], False, False, False),
        ([REPLY, ASKED], True, False, False),
        ([REPLY, ASKED, FAILED], True, False, False),
        ([REPLY, ASKED, OTHER, REPLY], True, True, True),
        ([ASKED, REPLY, OTHER, REPLY], True, True, False),
    ],
)
def test_whether_the_last_word_was_had(events: list[AnyEvent], asked: bool, had: bool, newest: bool) -> None:
    epoch = Epoch()
    for each in events:
        epoch.apply(each)
    assert (epoch.last_word is not None) is asked
    assert (epoch.last_word == "had") is had
    assert epoch.is_last_word is newest


async def test_an_agent_without_budget_hands_off_in_its_own_words(stage: Stage) -> None:
    rehearsal = stage.serve(tasks={TITLE: [WRITE, finish("Half of it.", "partial", notes="one.txt is not landed.")]})
    order = stage.task().model_copy(update=LITTLE)
    outcome, handoff = await stage.done(order)
    assert (outcome.status, outcome.summary) == (HandoffStatus.PARTIAL, "Half of it.")
    assert handoff.facts.harness_made == ""
    assert handoff.facts.wip
    assert stage.texts(order.me, "reminder")[-1].startswith("The tokens of this task are used up. This is your last")
    assert rehearsal.report()["requests"] == 2


async def test_the_last_request_offers_the_tools_that_the_cache_begins_with(stage: Stage) -> None:
    stage.serve(tasks={TITLE: [WRITE, finish()]})
    order = stage.task().model_copy(update=LITTLE)
    await stage.done(order)
    offered = [request.tools for request in bodies(stage.log(order.me), LlmRequest)]
    assert offered == [len(REPLACING.schemas)] * 2


@pytest.mark.parametrize(
    "last",
    [
        step(use("land", message="Mine")),
        step(use("finish", status="perfect", summary="")),
        Step(text="I would rather go on."),
        Step(stop="empty"),
        Step(stop="refusal", text="No."),
    ],
    ids=["another tool", "bad arguments", "words", "empty", "refusal"],
)
async def test_who_does_not_take_it_is_handed_off_by_the_harness(stage: Stage, last: Step) -> None:
    rehearsal = stage.serve(tasks={TITLE: [WRITE, last]})
    outcome, handoff = await stage.done(stage.task().model_copy(update=LITTLE))
    assert (outcome.status, outcome.retry) == (HandoffStatus.PARTIAL, False)
    assert handoff.facts.harness_made.startswith("budget")
    assert stage.hub.tip() == stage.base
    assert rehearsal.report()["requests"] == 2


async def test_a_model_that_cannot_answer_is_not_waited_for(stage: Stage) -> None:
    stage.serve(tasks={TITLE: [WRITE]})
    outcome, handoff = await stage.done(stage.task().model_copy(update=LITTLE))
    assert outcome.status is HandoffStatus.PARTIAL
    assert handoff.facts.harness_made.startswith("budget")


async def test_it_is_not_bounced_because_nothing_can_be_set_right(stage: Stage) -> None:
    stage.serve(tasks={TITLE: [WRITE, finish("Done, I think.")]})
    outcome, handoff = await stage.done(stage.task().model_copy(update=LITTLE))
    assert (outcome.status, outcome.summary) == (HandoffStatus.PARTIAL, "Done, I think.")
    assert "nothing of this task is on the trunk" in handoff.report.concerns


async def test_used_up_time_leaves_a_last_word_too(tmp_path: Path) -> None:
    stage = Stage(tmp_path, limits={"task_minutes": 0.02})
    stage.serve(tasks={TITLE: [SLOW, finish("Too slow.", "partial")]})
    outcome, _ = await stage.done(stage.task())
    assert outcome.summary == "Too slow."
    await stage.close()


async def test_a_process_that_dies_before_the_last_word_leaves_it_to_the_next(stage: Stage) -> None:
    stage.serve(tasks={TITLE: [WRITE, finish("Half.", "partial")]})
    order = stage.task().model_copy(update=LITTLE)

    class Killed(Exception):
        pass

    def progress(what: str) -> None:
        if what == "asks for the last word":
            raise Killed

    with pytest.raises(Killed):
        await stage.worker().work(order, progress)
    outcome, _ = await stage.done(order)
    assert outcome.summary == "Half."
    assert sum("your last reply" in text for text in stage.texts(order.me, "reminder")) == 1
