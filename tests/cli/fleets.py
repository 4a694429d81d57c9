"""Looks at runs of any size, from real agent logs: nothing of the screen's own is used to make them."""

import time
from pathlib import Path

from headway.agents.tools.catalogue import RESULTS
from headway.cli.display.watch import Look
from headway.domain.ids import AgentId, ChildKey, Incarnation, Oid, RunName, child_id
from headway.domain.planner_turn import Decision, TurnOutcome
from headway.domain.results import LandAnswer
from headway.domain.spec import RunSpec
from headway.domain.state.budget import Amount
from headway.domain.state.control import Control, Hold
from headway.domain.tree import TreeNode
from headway.eventlog.events.life import RunStart, TurnEnd, TurnStart
from headway.eventlog.local_store import LocalStore
from headway.eventlog.store import AgentLog
from headway.eventlog.views.figures import figures_of
from headway.runs.landed_commits import RunCommit
from tests.support.events import answer, handed_off, landed, reply, request, retry, started
from tests.support.events import call as asked_for

RUN = RunName("fleet")
ROOT = AgentId(f"{RUN}/root-0a1b2c3d")
GRANTED = {"tokens": 20_000_000, "tasks": 1000, "usd": 20.0}


def agent(index: int) -> AgentId:
    return child_id(ROOT, ChildKey(f"1.{index}-{index:08x}"))


def begin(log: AgentLog, title: str, attempt: int = 1) -> None:
    log.append(started(attempt, title))


def call(log: AgentLog, name: str, arguments: str, tokens: int = 1_000) -> None:
    """An answered model call that asks for a tool."""
    log.append(request(9_000))
    log.append(reply("", asked_for(name, arguments), tokens=tokens, micro_usd=10 * tokens), dur_ms=500.0)


def conflict(log: AgentLog, path: str, rounds: int) -> None:
    call(log, "land", '{"message": "Change it"}')
    log.append(answer("land", result=LandAnswer(landing="conflicted", rounds=rounds, paths=(path,))))


def hand_off(log: AgentLog, status: str, summary: str) -> None:
    log.append(handed_off(status, summary))


def look_at_fleet(home: Path, count: int) -> Look:
    """`count` tasks under a root planner: of each kind of trouble one, a fifth is done, a third has no log yet."""
    store = LocalStore(home, results=RESULTS)
    store.claim(RUN, Incarnation("i"))
    with store.open(AgentId(RUN), role="run") as log:
        log.append(RunStart(spec=RunSpec(repo="/x", instructions="Tidy up.")))
    with store.open(ROOT, role="planner") as log:
        log.append(TurnStart(key="k", pinned=Oid("0" * 40)))
        call(log, "spawn_tasks", "{}")
        log.append(TurnEnd(key="k", outcome=TurnOutcome(decision=Decision.WAIT, seq=0, own=Amount())))
    states, whys = {}, {}
    for index in range(count):
        states[index] = "asked" if index >= count - count // 3 else "open"
        if index == count - 1:
            states[index], whys[index] = "waits for budget", "needs $0.55, its planner has $0.15 free"
        if states[index] == "open":
            with store.open(agent(index), role="worker", task=agent(index)) as log:
                states[index] = _play(log, index, count)
    nodes = tuple(_node(index, state, whys.get(index, "")) for index, state in states.items())
    tree = TreeNode(
        id=ROOT, key=ChildKey("root-0a1b2c3d"), kind="planner", title="Tidy up", state="waits", children=nodes,
        counts={"done": count // 5, "open": count - count // 5},
    )  # fmt: skip
    commits = tuple(
        RunCommit(f"{index:07x}", f"Finish task {index}", agent(index), time.time() - 60, Oid(f"{index:040x}"))
        for index in range(count // 5)
    )
    status = {"phase": "running", "granted": GRANTED, "attention": ["parked since 10:00: agents wait for model 'm'"]}
    control = Control(version=1, paused={agent(5): Hold(who="ada", why="lunch", at=time.time())})
    figures = figures_of(store, RUN).model_copy(update={"began_at": time.time() - 120})
    return Look(RUN, status, tree, commits, control, figures)


def _node(index: int, state: str, why: str) -> TreeNode:
    key = ChildKey(agent(index).rpartition("/")[2])
    return TreeNode(id=agent(index), key=key, kind="task", title=f"Task {index}", state=state, why=why)


def _play(log: AgentLog, index: int, count: int) -> str:
    title = f"Task {index}"
    begin(log, title, attempt=2 if index == 3 else 1)
    call(log, "shell", '{"command": "pytest -q"}')
    match index:
        case 0:
            conflict(log, "hot.py", 2)
            log.append(request())
        case 1:
            for _ in range(3):
                log.append(request())
                log.append(retry("503: overloaded"))
        case 2:
            hand_off(log, "failed", "The tests need a database.")
            return "failed"
        case _ if index >= count - count // 3 - count // 5:
            log.append(answer("land", result=LandAnswer(landing="landed", commit=Oid(f"{index}"))))
            log.append(landed(f"{index}"))
            hand_off(log, "done", "It is done.")
            return "done"
    return "open"
