"""The table of misbehaviour, row by row, for workers and planners: what each is answered with, and how it ends."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from headway.agents.loop.tool import AnyTool
from headway.agents.tools.catalogue import TOOLS
from headway.domain.handoff import HandoffStatus
from headway.domain.messages import WorkerDone
from headway.domain.planner_turn import CALLS_PER_TURN, Decision, Final
from headway.domain.state.budget import Amount, Sizes
from headway.domain.state.children import new_children
from headway.domain.state.planner import PlannerState
from headway.domain.state.planner_facts import PlannerEnd
from headway.eventlog.events.conversation import Reminder
from headway.eventlog.events.envelope import AnyEvent
from headway.eventlog.events.life import TurnEnd
from headway.eventlog.views.guards import MUTE_REPLIES, Guards
from headway.rehearsal.playbook import Step
from tests.agents.offered import REPLACING
from tests.agents.stage import ROOT, Stage, finish, say, step, use
from tests.domain.booked import next_turn, tick
from tests.support.events import answer, call, event, reply

TITLE = "Write a file"
READ = step(use("read_file", path="src/app.py"))
LIST = step(use("list_dir"))
WRITE = step(use("write_file", path="one.txt", content="1\n"))
LAND = step(use("land", message="One"))
BLOCKED = finish("It cannot be done.", "blocked")
CUT = step(use("shell", command="echo " + "x" * 50), stop="length")
EMPTY, REFUSAL = Step(stop="empty"), Step(stop="refusal", text="I will not.")
FAILED, PARTIAL = HandoffStatus.FAILED, HandoffStatus.PARTIAL


def wrong(n: int) -> Step:
    """A call that ends in an error, another one each time."""
    return step(use("read_file", path=f"nowhere-{n}"))


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: f"{tool.name}-{'-'.join(tool.agents)}")
def test_each_tool_has_an_example_that_is_right(tool: AnyTool) -> None:
    try:
        tool.args.model_validate_json(json.dumps(tool.example))
    except ValidationError as error:
        pytest.fail(f"{tool.name}: {error}")


FIELDS = """- path: is required
- old: is required
- new: is required
- file: is not an argument
expected: path, old, new, replace_all (optional)
for example: {"path": "src/app.py\""""
ROWS: dict[str, tuple[list[Step], str, HandoffStatus, bool]] = {
    # What the worker does, a part of what it is told, how it ends, whether another attempt may do better.
    "arguments that do not fit": (
        [step(use("edit_file", file="a")), BLOCKED],
        FIELDS,
        HandoffStatus.BLOCKED,
        False,
    ),
    "unknown tool": (
        [step(use("fly")), BLOCKED],
        f"there is no tool 'fly'; there are {', '.join(REPLACING.tools)}",
        HandoffStatus.BLOCKED,
        False,
    ),
    "a call that was cut": ([CUT, BLOCKED], "this reply was cut or filtered", HandoffStatus.BLOCKED, False),
    "words in place of calls": ([say("Hm."), BLOCKED], "held no tool call", HandoffStatus.BLOCKED, False),
    "words three times": ([say("a"), say("b"), say("All is well.")], "held no tool call", PARTIAL, False),
    "an empty reply": ([EMPTY, BLOCKED], "held no tool call", HandoffStatus.BLOCKED, False),
    "empty replies": ([EMPTY, EMPTY, EMPTY], "held no tool call", FAILED, True),
    "a refusal": ([REFUSAL, BLOCKED], "was a refusal", HandoffStatus.BLOCKED, False),
    "refusals": ([REFUSAL, REFUSAL], "was a refusal", FAILED, True),
    "the same call three times": ([READ] * 3 + [BLOCKED], "the same call three times", HandoffStatus.BLOCKED, False),
    "the same call five times": (
        [READ] * 5 + [BLOCKED],
        "not run: you have made this very call 4",
        HandoffStatus.BLOCKED,
        False,
    ),
    "the same call seven times": ([READ] * 7, "not run", FAILED, True),
    "two calls in turn": ([READ, LIST] * 3 + [BLOCKED], "the same call three times", HandoffStatus.BLOCKED, False),
    "two calls in turn without end": ([READ, LIST] * 7, "not run", FAILED, True),
    "five errors": (
        [wrong(n) for n in range(5)] + [BLOCKED],
        "Several calls in a row ended in an error",
        HandoffStatus.BLOCKED,
        False,
    ),
    "errors without end": ([wrong(n) for n in range(31)], "Several calls in a row", FAILED, True),
    "done with nothing landed": ([finish(), finish()], "nothing of it is on the trunk", PARTIAL, False),
}


@pytest.mark.parametrize(("steps", "told", "status", "retry"), list(ROWS.values()), ids=list(ROWS))
async def test_a_worker_that_misbehaves(
    stage: Stage, steps: list[Step], told: str, status: HandoffStatus, retry: bool
) -> None:
    rehearsal = stage.serve(tasks={TITLE: steps})
    order = stage.task()
    outcome, _ = await stage.done(order)
    assert (outcome.status, outcome.retry) == (status, retry)
    assert any(told in text for text in stage.texts(order.me, "tool.result", "reminder"))
    assert rehearsal.report()["requests"] <= len(steps)


PLANNER_ROWS: dict[str, tuple[list[Step], str, Decision]] = {
    "arguments that do not fit": (
        [step(use("spawn_tasks", tasks=[{"title": "No intent"}])), step(use("wait"))],
        "- tasks.0.intent: is required",
        Decision.WAIT,
    ),
    "unknown tool": ([step(use("shell", command="ls")), step(use("wait"))], "there is no tool 'shell'", Decision.WAIT),
    "a call that was cut": ([step(use("wait"), stop="length"), step(use("wait"))], "not run", Decision.WAIT),
    "words three times": ([say("a"), say("b"), say("c")], "held no tool call", Decision.GAVE_UP),
    "empty replies": ([EMPTY] * 3, "held no tool call", Decision.GAVE_UP),
    "refusals": ([REFUSAL] * 2, "was a refusal", Decision.GAVE_UP),
    "the same call seven times": ([READ] * 7, "not run", Decision.GAVE_UP),
    "two calls in turn": ([READ, LIST] * 7, "the same call three times", Decision.GAVE_UP),
    "five errors": ([wrong(n) for n in range(5)] + [step(use("wait"))], "Several calls in a row", Decision.WAIT),
}


@pytest.mark.parametrize(("steps", "told", "decision"), list(PLANNER_ROWS.values()), ids=list(PLANNER_ROWS))
async def test_a_planner_that_misbehaves(stage: Stage, steps: list[Step], told: str, decision: Decision) -> None:
    rehearsal = stage.serve(root=steps)
    outcome = await stage.turn("k1")
    assert outcome.decision is decision
    assert any(told in text for text in stage.texts(ROOT, "tool.result", "reminder"))
    assert rehearsal.report()["requests"] <= len(steps)


# Whatever a model says: it ends, once, and within bounds

several = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
COMMON = [
    say("Hm."),
    EMPTY,
    REFUSAL,
    CUT,
    READ,
    LIST,
    wrong(0),
    step(use("fly")),
    step(use("grep", pattern=7)),
    BLOCKED,
]
WORK = [*COMMON, WRITE, LAND, step(use("shell", command="false")), step(READ.tools[0], WRITE.tools[0]), finish()]
PLAN = [
    *COMMON,
    step(use("wait")),
    step(use("spawn_tasks", tasks=[{"title": "One", "intent": "x"}])),
    step(use("cancel", ids=["9.9-00000000"])),
    step(use("rewrite_scratchpad", content="Note.")),
    step(use("rewrite_scratchpad", content="Note."), use("wait")),
    finish(),
]
ROUNDS = 40
TOKENS = 100_000
LEAST_A_CALL = 2_000
"""What a call uses up at the least, by system prompt and tools alone."""

PLANNED = 600_000
"""Tokens of a planner: what bounds one that goes on for ever without going in circles."""


@several
@given(pattern=st.lists(st.sampled_from(WORK), min_size=1, max_size=6), number=st.integers(0, 10_000_000))
@example(pattern=[WRITE, LAND, READ, finish()], number=0)  # the one that lands: drawn ones hardly do
async def test_any_worker_ends_in_exactly_one_true_handoff(stage: Stage, pattern: list[Step], number: int) -> None:
    title = f"Task {len(stage.rehearsals)}"
    rehearsal = stage.serve(tasks={title: pattern * ROUNDS})
    order = stage.task(title, len(stage.rehearsals)).model_copy(
        update={"granted": Amount(tokens=TOKENS), "more": False}
    )
    outcome = await stage.work(order)
    assert isinstance(outcome, WorkerDone)
    (stored,) = [event for event in stage.log(order.me) if event.type == "handoff"]
    handoff = stage.handoff(outcome.ref)
    assert stored.seq == outcome.ref.seq
    assert handoff.report.status is not HandoffStatus.CANCELLED
    assert all(stage.hub.is_ancestor(oid, stage.hub.tip()) for oid in handoff.facts.landed)
    assert handoff.report.status is not HandoffStatus.DONE or handoff.facts.landed
    assert rehearsal.report()["requests"] <= TOKENS // LEAST_A_CALL
    assert outcome.spent.tokens <= TOKENS


@several
@given(pattern=st.lists(st.sampled_from(PLAN), min_size=1, max_size=6))
async def test_any_planner_comes_to_exactly_one_end(stage: Stage, pattern: list[Step]) -> None:
    stage.serve(root=pattern * ROUNDS)
    folder = stage.folder / f"again-{len(stage.rehearsals)}"
    folder.mkdir()
    fresh = Stage(folder)
    fresh.models, fresh.rehearsals = stage.models, stage.rehearsals
    ending, state = await live(fresh)
    assert ending.status in set(HandoffStatus)
    assert state.children.account.spent.tokens <= PLANNED
    for noted in fresh.log(ROOT):
        assert not isinstance(noted.body, TurnEnd) or noted.body.outcome.decision in set(Decision)


async def live(stage: Stage) -> tuple[PlannerEnd, PlannerState]:
    """A planner's whole life as its workflow leads it, with children that hand off at once."""
    state = PlannerState(
        context=stage.context,
        me=ROOT,
        title="All",
        scope=stage.scope,
        depth=1,
        children=new_children(Amount(tokens=PLANNED, tasks=6), Sizes()),
    )
    now, turns = 0.0, 0
    while (ending := state.end_due()) is None:
        now += 100.0
        tick(state, now)
        if state.end_due() is None and state.wake_at(now) is not None:
            turns += 1
            order = next_turn(state, "run", Final() if state.wants_final() else None)
            outcome = await stage.turn(order.key, order.from_seq, **order.model_dump(exclude={"key", "from_seq"}))
            calls = [event for event in stage.log(ROOT) if event.type == "llm.response" and event.turn == order.turn]
            assert len(calls) <= CALLS_PER_TURN
            state.take_turn(order, outcome, now)
            if outcome.decision is Decision.OUT_OF_BUDGET:
                state.children.no_more = True
        for key in list(state.children.open):
            spent = Amount(tokens=2_000, tasks=1)
            state.take_handoff(stage.handed_off(key).model_copy(update={"spent": spent}), now)
        assert turns <= PLANNED // LEAST_A_CALL
    return ending, state


def result(key: str, digest: str, **flags: Any) -> AnyEvent:
    return event(answer(key=key, digest=digest, **flags))


CALLS = st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.booleans())
REPLIES = st.one_of(st.sampled_from(["text", "empty", "refusal", "length"]), st.lists(CALLS, min_size=1, max_size=3))


@settings(max_examples=300)
@given(st.lists(REPLIES, min_size=1, max_size=4))
def test_who_goes_in_circles_is_stopped_within_bounds(circle: list[Any]) -> None:
    """The same few replies over and over, with the same results and nothing new done, never go on for ever."""
    seen = Guards()
    for count in range(1, 200):
        one = circle[count % len(circle)]
        calls = one if isinstance(one, list) else []
        stop = "tool" if calls else one
        said = "x" if stop == "text" else ""
        seen.apply(event(reply(said, *[call()] * len(calls), stop=stop)))
        for key, digest, error in calls:
            refused = seen.is_refused(key)
            same = {"refused": True, "error": True} if refused else {"error": error}
            seen.apply(result(key, f"{key}{digest}" if refused else key, **same))
        if seen.stop_due is not None:
            break
        for why in seen.reminders_due:
            seen.apply(event(Reminder(text="", why=why)))
    assert seen.stop_due is not None
    assert count <= 7 * len(circle) + MUTE_REPLIES
