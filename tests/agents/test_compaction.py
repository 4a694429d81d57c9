"""Compaction: a conversation that grows too long is closed, and what the agent was asked is never lost with it."""

import itertools
import json
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from headway.domain.headings import own_part
from headway.domain.planner_turn import Decision
from headway.domain.state.budget import Amount
from headway.eventlog.events.conversation import LlmResponse, Message, Reminder
from headway.eventlog.events.envelope import AnyEvent, bodies, only
from headway.eventlog.events.work import Compaction
from headway.rehearsal.playbook import Step
from prompts.prompts import Prompts
from tests.agents.scripted_model import OVERFLOW, ScriptedModel, is_prefix, replies, reply, said_to
from tests.agents.stage import ROOT, Stage, finish, step, use
from tests.agents.test_resume import answered_once, cuts, each_cut, killed_at, repeats, turn_killed_at
from tests.models.servers import Answer

BIG = "big.txt"
QUESTION = Prompts.load().render("messages/handover")
READ = step(use("read_file", path=BIG))
NOTES = "Goal: read it all. Open: nothing."


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Stage]:
    """A run whose model has a small window, and a file in its repository that fills it."""
    big = "".join(f"line {n} of a file that is long\n" for n in range(250))
    made = Stage(tmp_path, endpoint={"window": 16_000, "max_output": 512}, files={BIG: big})
    yield made
    await made.close()


def opened(events: list[AnyEvent]) -> list[Compaction]:
    return list(bodies(events, Compaction))


def reading(path: str = "new.txt") -> list[Step]:
    return [
        step(use("rewrite_scratchpad", content=NOTES)),
        *[step(use("read_file", path=BIG, start=start)) for start in range(1, 11)],
        step(use("write_file", path=path, content="x\n")),
        step(use("land", message="A file")),
        *[finish()] * 3,
    ]


async def test_a_worker_goes_on_in_new_epochs_with_what_it_was_asked(small: Stage) -> None:
    rehearsal = small.serve(tasks={"Write a file": reading()})
    order = small.task(done_when="new.txt is there")
    outcome, handoff = await small.done(order)
    assert (outcome.status, len(handoff.facts.landed)) == ("done", 1)
    events = small.log(order.me)
    closed = opened(events)
    assert len(closed) >= 2
    for entry in closed:
        assert entry.how == "note"
        assert 12_000 < entry.from_tokens < 16_000
        assert entry.to_tokens < entry.from_tokens / 2
    first, *later = only(events, Message)
    for message in later:
        text = message.body.text
        assert own_part(text).startswith("Task: Write a file\n")
        assert "Done when: new.txt is there" in text
        assert NOTES in text
        assert "calls so far" in text
        assert "[call] read_file" in text
    assert first.epoch == 0
    assert [message.epoch for message in later] == list(range(1, len(closed) + 1))
    assert rehearsal.report()["repeats"] == 0
    assert rehearsal.report()["over_use"] == []


async def test_each_epoch_opens_with_a_reminder_of_the_goal(small: Stage) -> None:
    small.serve(tasks={"Write a file": reading()})
    order = small.task()
    await small.done(order)
    line = small.store.read(order.me)
    openings = [at for at, event in enumerate(line) if event.type == "message" and event.epoch > 0]
    assert openings
    for at in openings:
        reminder = line[at + 1].body
        assert isinstance(reminder, Reminder)
        assert reminder.why == "align"
        assert "Write a file" in reminder.text


@each_cut
@pytest.mark.timeout(600)
async def test_a_worker_that_is_killed_anywhere_in_a_compaction_pays_for_no_note_twice(
    small: Stage, *, whole: bool
) -> None:
    title = "w{}"
    names = {(at, before): title.format(f"{at}{'b' if before else 'a'}") for at, before in cuts(whole=whole)}
    rehearsal = small.serve(tasks={name: [*[READ] * 4, finish(), finish()] for name in names.values()})
    seen: set[str] = set()
    for number, ((at, before), name) in enumerate(names.items()):
        order = small.task(name, number, kind="investigate")
        died_at = await killed_at(small, order, at, before=before)
        outcome, _ = await small.done(order)
        assert outcome.status == "done"
        events = small.store.read(order.me)
        assert len(opened(events)) == 1, died_at
        assert len([e for e in events if e.type == "message"]) == 2, died_at
        assert repeats(rehearsal, order.me) == (1 if died_at == "llm.response" and before else 0), (name, died_at)
        assert answered_once(events), died_at
        seen.add(str(died_at))
        if died_at is None:
            break
    assert {"compaction", "message", "reminder", "llm.response"} <= seen


async def test_every_request_repeats_the_bytes_before_it_also_after_a_kill(small: Stage) -> None:
    def script(body: dict[str, Any]) -> Answer:
        if body.get("tool_choice") == "none":
            return reply("## Goal\nRead.")
        done = replies(body) >= 3 and "Your earlier conversation" in said_to(body)[0]
        call: tuple[str, dict[str, Any]] = ("finish", {"status": "done", "summary": "Read."})
        return reply("Next.", call if done else ("read_file", {"path": BIG}))

    with closing(ScriptedModel(script)) as server:
        small.listen_to(server.url)
        order = small.task("Read", kind="investigate")
        for at in (6, 9, 13, 16, 20, 23, 26, 4, 4, 4, 4):
            await killed_at(small, order, at, before=False)
        await small.done(order)
        bodies = server.bodies
    epochs: dict[str, list[Any]] = {}
    for body in bodies:
        epochs.setdefault(said_to(body)[0], []).append(body["messages"])
    assert len(epochs) == 2
    for asked in epochs.values():
        assert all(is_prefix(before, after) for before, after in itertools.pairwise(asked))
    assert any(body.get("tool_choice") == "none" for body in bodies)


async def test_an_overflow_is_answered_by_a_note_from_what_still_fits(stage: Stage) -> None:
    """The server's window is smaller than anybody said: the question itself overflows until the older half is gone."""

    def script(body: dict[str, Any]) -> Answer:
        told = said_to(body)
        if replies(body) > 3:
            return OVERFLOW
        if body.get("tool_choice") == "none":
            return reply("## Goal\nList.")
        if "Your earlier conversation" in told[0]:
            return reply("", ("finish", {"status": "done", "summary": "Listed."}))
        return reply("", ("list_dir", {"depth": 1 + replies(body) % 3}))

    with closing(ScriptedModel(script)) as server:
        stage.listen_to(server.url)
        order = stage.task("List", kind="investigate")
        outcome, _ = await stage.done(order)
        notes = [body for body in server.bodies if body.get("tool_choice") == "none"]
    assert outcome.status == "done"
    assert [replies(body) for body in notes] == [4, 2]
    for body in notes:
        assert own_part(said_to(body)[0]).startswith("Task: List")
        assert said_to(body)[-1] == QUESTION
        calls = {call["id"] for m in body["messages"] for call in m.get("tool_calls", ())}
        assert calls
    assert [entry.how for entry in opened(stage.log(order.me))] == ["note"]


@pytest.mark.parametrize(
    "note", [OVERFLOW, reply(""), Answer({"error": {"message": "this model is out of words"}}, status=400)]
)
async def test_without_a_note_the_epoch_opens_on_facts_and_scratchpad(stage: Stage, note: Answer) -> None:
    def script(body: dict[str, Any]) -> Answer:
        if body.get("tool_choice") == "none":
            return note
        if "no note could be taken" in said_to(body)[0]:
            return reply("", ("finish", {"status": "done", "summary": "Listed."}))
        if replies(body) == 0:
            return reply("", ("rewrite_scratchpad", {"content": NOTES}))
        return OVERFLOW

    with closing(ScriptedModel(script)) as server:
        stage.listen_to(server.url)
        order = stage.task("List", kind="investigate")
        outcome, _ = await stage.done(order)
        told = said_to(server.bodies[-1])[0]
    assert outcome.status == "done"
    assert [entry.how for entry in opened(stage.log(order.me))] == ["rules"]
    assert own_part(told).startswith("Task: List")
    assert NOTES in told


async def test_what_was_asked_alone_does_not_fit_and_is_said_so(stage: Stage) -> None:
    with closing(ScriptedModel(lambda _: OVERFLOW)) as server:
        stage.listen_to(server.url)
        outcome, handoff = await stage.done(stage.task("List"))
        assert len(server.bodies) == 1
    assert outcome.status == "failed"
    assert "context overflow" in handoff.facts.harness_made


async def test_a_note_is_counted_and_asked_for_only_with_what_is_granted(small: Stage) -> None:
    small.serve(tasks={"Write a file": reading()})
    order = small.task()
    granted = Amount(tasks=1)
    for _ in range(200):
        outcome = await small.work(order.model_copy(update={"granted": granted}))
        if outcome.outcome == "handoff":
            break
        granted += outcome.need
    events = small.log(order.me)
    assert outcome.spent is not None
    assert outcome.spent.tokens == sum(reply.tokens for reply in bodies(events, LlmResponse))
    assert any(reply.handover for reply in bodies(events, LlmResponse))


# Planners


async def test_a_turn_that_grows_too_long_goes_on_in_a_new_epoch(small: Stage) -> None:
    tasks = [{"title": "Write one", "intent": "It is missing."}]
    plan = [
        step(use("rewrite_scratchpad", content=NOTES), use("spawn_tasks", tasks=tasks)),
        step(use("wait")),
        *[READ] * 4,
        step(use("wait")),
    ]
    rehearsal = small.serve(root=plan)
    first = await small.turn("k1")
    second = await small.turn("k2", first.seq, turn=2)
    steer = small.in_run_log(small.say_as_user("Mind the tabs."))
    inbox = (small.handed_off(first.spawned[0].key),)
    third = await small.turn("k3", second.seq, turn=3, inbox=inbox, steers=(steer,))
    assert third.decision is Decision.WAIT
    assert (third.told, third.steered) == (1, 1)
    assert third.board == NOTES
    events = small.store.read(ROOT)
    assert len(opened(events)) == 1
    text = next(event for event in only(events, Message) if event.epoch == 1).body.text
    for part in ("Make it tidy.\nAll of it.", NOTES, "Mind the tabs.", "Facts of turn 3", "1.0-", "calls so far"):
        assert part in text
    assert rehearsal.report()["over_use"] == []
    # The next turn goes on in the same epoch, and is not told the scope again.
    small.serve(root=[*plan, step(use("wait"))])
    fourth = await small.turn("k4", third.seq, turn=4)
    assert fourth.decision is Decision.WAIT
    assert [e.epoch for e in small.store.read(ROOT) if e.type == "turn.start"] == [0, 0, 0, 1]
    assert "Make it tidy." not in small.texts(ROOT, "message")[-1]


async def test_a_reset_to_before_a_compaction_has_the_old_conversation_again(small: Stage) -> None:
    plan = [step(use("rewrite_scratchpad", content="First.")), step(use("wait")), *[READ] * 5, step(use("wait"))]
    small.serve(root=plan)
    first = await small.turn("k1")
    await small.turn("k2", first.seq, turn=2)
    assert len(opened(small.store.read(ROOT))) == 1
    small.serve(root=[*plan[:2], step(use("wait"))])
    again = await small.turn("k3", first.seq, turn=2)
    assert again.board == "First."
    events = small.store.read(ROOT)
    assert opened(events) == []
    assert {event.epoch for event in events} == {0}


@each_cut
@pytest.mark.timeout(600)
async def test_a_turn_that_is_killed_anywhere_in_a_compaction_goes_on(small: Stage, *, whole: bool) -> None:
    seen: set[str] = set()
    for number, (at, before) in enumerate(cuts(whole=whole)):
        rehearsal = small.serve(root=[*[READ] * 4, step(use("wait"))])
        died_at = await turn_killed_at(small, f"k{number}", at, before=before, from_seq=-1)
        outcome = await small.turn(f"k{number}")
        assert outcome.decision is Decision.WAIT
        assert rehearsal.report()["repeats"] == (1 if died_at == "llm.response" and before else 0), died_at
        events = small.store.read(ROOT)
        assert len(opened(events)) == 1, died_at
        assert answered_once(events), died_at
        seen.add(str(died_at))
        rehearsal.stop()
        if died_at is None:
            break
    assert {"compaction", "message", "reminder", "llm.response"} <= seen


REFUSED = Answer({"error": {"message": "messages.3: this is not to be said"}}, status=400)


async def test_a_conversation_that_is_refused_is_followed_by_another_one_in_the_same_workspace(stage: Stage) -> None:
    def script(body: dict[str, Any]) -> Answer:
        if "poison" in json.dumps(body["messages"]):
            return REFUSED
        if "no note could be taken" in said_to(body)[0]:
            done = replies(body) > 0
            call: tuple[str, dict[str, Any]] = ("finish", {"status": "done", "summary": "Landed."})
            return reply("", call if done else ("land", {"message": "Write one"}))
        if replies(body) == 0:
            return reply("", ("write_file", {"path": "one.txt", "content": "one\n"}))
        return reply("Some poison.", ("list_dir", {}))

    with closing(ScriptedModel(script)) as server:
        stage.listen_to(server.url)
        order = stage.task("Write")
        outcome, _ = await stage.done(order)
        asked = len(server.bodies)
    assert outcome.status == "done"
    assert stage.on_trunk("one.txt") == "one\n", "what was written before is still there"
    assert [entry.how for entry in opened(stage.log(order.me))] == ["rules"]
    assert asked == 2 + 2 + 2, "two replies, refused with and without the question, two replies"


async def test_a_server_that_refuses_every_second_request_ends_the_attempt(stage: Stage) -> None:
    with closing(ScriptedModel(lambda body: REFUSED if replies(body) else reply("", ("list_dir", {})))) as server:
        stage.listen_to(server.url)
        outcome, handoff = await stage.done(stage.task("List"))
        asked = len(server.bodies)
    assert (outcome.status, outcome.retry) == ("failed", True)
    assert "not to be said" in handoff.facts.harness_made
    assert asked == 1 + 2 + 1 + 1
