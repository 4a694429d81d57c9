"""Figures of a run that goes on: at every moment the sum of what its agents' logs tell."""

import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.agents.loop.usage import usage_of
from headway.domain.figures import RunFigures
from headway.domain.handoff import HandoffStatus
from headway.domain.ids import AgentId, ChildKey, Incarnation, child_id
from headway.domain.planner_turn import Decision, TurnOutcome
from headway.domain.results import LandAnswer
from headway.domain.state.budget import Amount
from headway.eventlog.events.conversation import Call
from headway.eventlog.events.life import TurnEnd
from headway.eventlog.local_store import LocalStore
from headway.eventlog.store import AgentLog
from headway.eventlog.views.figures import FiguresReader, figures_of
from tests.eventlog.steps import RUN
from tests.support import events

ROOT = AgentId(f"{RUN}/root-0a1b2c3d")
SUB, TASK = child_id(ROOT, ChildKey("1.0-aaaaaaaa")), child_id(ROOT, ChildKey("1.1-bbbbbbbb"))
DEEP = child_id(SUB, ChildKey("1.0-cccccccc"))
AGENTS = {ROOT: "planner", SUB: "planner", TASK: "worker", DEEP: "worker"}


def logs_of(store: LocalStore) -> Path:
    return store.run_folder(RUN) / "logs"


def look(store: LocalStore) -> RunFigures:
    return figures_of(store, RUN)


def request(log: AgentLog, tokens: int = 900) -> None:
    log.append(events.request(tokens))


def reply(log: AgentLog, tokens: int, *calls: Call) -> None:
    log.append(events.reply("", *calls, tokens=tokens, micro_usd=tokens), dur_ms=500.0)


def test_a_run_without_logs_has_used_up_nothing(store: LocalStore) -> None:
    assert look(store).total.spent == Amount()


def test_every_agent_is_counted_with_all_that_is_below_it(store: LocalStore) -> None:
    for number, (agent, role) in enumerate(AGENTS.items()):
        with store.open(agent, role="planner" if role == "planner" else "worker") as log:
            if role == "worker":
                log.append(events.started(title=f"Task {number}"))
            request(log)
            reply(log, 10**number)
            if role == "worker":
                log.append(events.landed(f"c{number}"))
                log.append(events.landed(f"c{number}"))
    figures = look(store)
    spent = {agent: figures.total_of(agent).spent.tokens for agent in AGENTS}
    assert spent == {ROOT: 1111, SUB: 1010, TASK: 100, DEEP: 1000}
    assert figures.total.spent == Amount(tokens=1111, micro_usd=1111, tasks=2)
    assert (figures.total.commits, figures.total_of(SUB).commits, figures.total.calls) == (2, 1, 4)
    assert {role: each.spent.tokens for role, each in figures.by_role.items()} == {"planner": 11, "worker": 1100}
    assert figures.total.active_s == pytest.approx(2.0)


def test_a_call_under_way_is_told_apart_and_one_whose_asker_is_gone_counts_as_reserved(store: LocalStore) -> None:
    with store.open(TASK, role="worker") as log:
        request(log, 900)
        assert look(store).total.spent == Amount()
        assert look(store).total.reserved == Amount(tokens=900, micro_usd=900)
        log.append(events.retry("connection lost"))
        assert (look(store).total.spent, look(store).total.reserved) == (Amount(), Amount())
        request(log, 700)
    with store.open(TASK, role="worker"):  # the process that asked died
        figures = look(store)
    assert figures.total.spent == Amount(tokens=700, micro_usd=700)
    assert figures.total.reserved == Amount()


def test_what_an_agent_is_at_follows_from_its_newest_events(store: LocalStore) -> None:
    def now(agent: AgentId) -> tuple[str, str]:
        found = look(store).agents[agent].now
        return found.doing, found.what

    with store.open(ROOT, role="planner") as log:
        log.append(events.spawn("1.1-bbbbbbbb", titles=("Do it\n now",)))
        log.append(TurnEnd(key="k", outcome=TurnOutcome(decision=Decision.WAIT, seq=0, own=Amount())))
    with store.open(TASK, role="worker") as log:
        assert now(TASK) == ("starts", "")
        log.append(events.started(2, ""))
        request(log)
        assert now(TASK) == ("thinks", "m")
        asked = log.append(events.retry("the server is busy"))
        found = look(store).agents[TASK].now
        assert (found.doing, found.failed_calls, found.why) == ("works", 1, "the server is busy")
        request(log)
        shell = events.call("shell", '{"command": "pytest  -q"}', "a")
        landing = events.call("land", '{"message": "It is done"}', "b")
        reply(log, 5, shell, landing)
        assert now(TASK) == ("runs", "shell pytest -q")
        log.append(events.answer(call_id="a"))
        assert now(TASK) == ("runs", "land It is done")
        log.append(events.answer("land", result=LandAnswer(landing="conflicted", rounds=2), call_id="b"))
        assert look(store).agents[TASK].now.conflicts == 2
        assert now(TASK) == ("works", "")
        log.append(events.handed_off("failed", "It broke.", retry=True))
        assert look(store).agents[TASK].status is None
        log.append(events.handed_off("failed", "It broke."))
    task = look(store).agents[TASK]
    assert (task.title, task.attempt, task.status) == ("Do it now", 2, HandoffStatus.FAILED)
    assert now(TASK) == ("ended", "It broke.")
    assert look(store).agents[ROOT].now.doing == "rests"
    assert task.began_at <= asked.ts


@pytest.mark.parametrize("arguments", ["", "{", "[]", "3", '{"command": 3}', '{"command": "' + "x" * 5000 + '"}'])
def test_a_call_with_any_arguments_is_told_in_one_line(store: LocalStore, arguments: str) -> None:
    with store.open(TASK, role="worker") as log:
        reply(log, 1, events.call("shell", arguments))
    now = look(store).agents[TASK].now
    assert now.doing == "runs"
    assert now.what.startswith("shell")
    assert len(now.what) <= 200


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_reader_that_looks_now_and_then_sees_what_a_new_one_sees(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever is written, torn and cut between two looks. The sums are those that hold agents to their limits."""
    chance = random.Random(seed)
    store = LocalStore(tmp_path_factory.mktemp("home"))
    store.claim(RUN, Incarnation("first"))
    reader = FiguresReader(store, RUN, clock=lambda: 0.0)
    for _ in range(20):
        agent = chance.choice(list(AGENTS))
        with store.open(agent, role="worker" if AGENTS[agent] == "worker" else "planner") as log:
            for _ in range(chance.randrange(4)):
                step = chance.randrange(5)
                if step == 0:
                    request(log, chance.randrange(1000))
                elif step == 1:
                    reply(log, chance.randrange(1000))
                elif step == 2:
                    log.append(events.retry("lost", cut_off=chance.random() < 0.5))
                elif step == 3:
                    log.append(events.landed(str(chance.randrange(9))))
                else:
                    log.append(events.started())
        path = logs_of(store) / f"{agent.removeprefix(f'{RUN}/')}.jsonl"
        if chance.random() < 0.2:  # a crash of the machine
            whole = path.read_bytes()
            path.write_bytes(whole[: chance.randrange(len(whole))] + b"\0" * chance.randrange(3))
        if chance.random() < 0.6:
            assert reader.look() == FiguresReader(store, RUN, clock=lambda: 0.0).look()
    figures = reader.look()
    paid = sum((usage_of(store.stream(agent)).amount for agent in AGENTS), Amount())
    assert (figures.total.spent + figures.total.reserved).model_copy(update={"tasks": 0}) == paid


def test_only_logs_that_grew_are_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of ten thousand tasks is looked at every second."""
    store, opened = LocalStore(tmp_path), list[str]()
    store.claim(RUN, Incarnation("first"))
    for agent in AGENTS:
        with store.open(agent, role="worker") as log:
            reply(log, 5)
    reader = FiguresReader(store, RUN)
    assert reader.look().total.spent.tokens == 20
    with store.open(DEEP, role="worker") as log:
        reply(log, 7)
    plain = os.open

    def noted(path: os.PathLike[str] | str, *rest: int) -> int:
        opened.append(os.fspath(path))
        return plain(path, *rest)

    monkeypatch.setattr(os, "open", noted)
    figures = reader.look()
    assert figures.total.spent.tokens == 27
    assert figures.total_of(SUB).spent.tokens == figures.agents[SUB].total.spent.tokens == 17
    assert [Path(path).stem for path in opened] == ["1.0-cccccccc"]
