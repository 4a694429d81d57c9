"""The rehearsal as agents meet it: over HTTP, through the real client, in both formats."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from headway.domain.handoff import HandoffStatus
from headway.domain.headings import ROOT_HEADING, handoff_heading, scope_heading, task_heading
from headway.domain.ids import ChildKey
from headway.models.client import Model
from headway.models.failures import FatalModelError
from headway.models.probe import probe
from headway.models.turn import Turn
from headway.rehearsal.host import Rehearsal
from headway.rehearsal.playbook import Playbook
from headway.rehearsal.playbook_reader import parse_playbook
from tests.rehearsal.agents import Agent, model_at

PLAYBOOK = parse_playbook("""
name: demo
planners:
- scope: root
  calls:
  - text: I plan.
    tools:
    - spawn_tasks: {tasks: [{title: Add docs, intent: "use {{ mustache }}"}]}
    - rewrite_scratchpad: {content: asked for docs}
  - after_handoffs: 2
    tools: [{cancel: {ids: ["{{id:Add docs}}"], reason: "no {{id:Add docs}}"}}]
  - tools: [{finish: {status: done, summary: all}}]
- scope: parser
  calls:
  - tools: [{finish: {status: done, summary: parser}}]
tasks:
- title: Add docs
  calls:
  - text: Looking.
    tools: [{shell: {command: ls}}]
    tokens: {input: 1234, output: 56}
  - tools: [{write_file: {path: a, content: x}}, {land: {message: a}}]
  - tools: [{finish: {status: done, summary: docs}}]
- title: Add docs
  attempt: 2
  calls:
  - text: Again.
- title: "Fix *"
  calls:
  - text: I cannot do that.
    stop: refusal
  - stop: empty
  - text: I was cu
    tools: [{shell: {command: "echo a long command"}}]
    stop: length
  - tools: [{shell: {command: ls}}]
    repeat: 2
""")

HANDOFFS = [
    handoff_heading(ChildKey(f"1.{n}-0000000{n}"), HandoffStatus.DONE, title)
    for n, title in enumerate(["Add docs", "Fix x", "Fix y"])
]


@pytest_asyncio.fixture(params=["chat", "responses"], scope="module")
async def spoken(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Rehearsal, Model]]:
    with Rehearsal(PLAYBOOK) as rehearsal:
        async with model_at(rehearsal.url, request.param) as model:
            yield rehearsal, model


def called(turn: Turn) -> list[tuple[str, object]]:
    return [(call.name, json.loads(call.arguments)) for call in turn.calls]


async def test_a_worker_is_led_through_its_calls(spoken: tuple[Rehearsal, Model]) -> None:
    rehearsal, model = spoken
    agent = Agent(model, task_heading("Add docs") + "\n\nWrite them.")
    first = await agent.go()
    assert (first.text, called(first)) == ("Looking.", [("shell", {"command": "ls"})])
    assert (first.usage.input, first.usage.output, first.tokens) == (1234, 56, 1290)
    assert first.model == "rehearsal"
    second = await agent.go()
    assert [name for name, _ in called(second)] == ["write_file", "land"]
    assert second.usage.input == pytest.approx(len(b"".join(agent.items)) / 4, rel=0.8)
    assert len({call.id for turn in (first, second) for call in turn.calls}) == 3
    assert called(await agent.go()) == [("finish", {"status": "done", "summary": "docs"})]
    with pytest.raises(FatalModelError, match=r"rehearsal demo: task 'Add docs' has no call 4 \(it has 3\)"):
        await agent.go()
    assert "task 'Add docs' has no call 4 (it has 3)" in rehearsal.problems()


async def test_a_planner_waits_for_handoffs_and_names_its_children(spoken: tuple[Rehearsal, Model]) -> None:
    _, model = spoken
    agent = Agent(model, ROOT_HEADING + "\n\nDo all.")
    spawn = await agent.go('asked: {"tasks": [{"id": "1.0-00000000", "title": "Add docs", "state": "accepted"}]} (1)')
    assert called(spawn)[0] == ("spawn_tasks", {"tasks": [{"title": "Add docs", "intent": "use {{ mustache }}"}]})
    for heard in ("nothing yet", HANDOFFS[0], HANDOFFS[0] + "\ntold twice"):
        wait = await agent.go()
        assert (wait.text, called(wait)) == ("(rehearsal: waiting for 2 handoffs)", [("wait", {})])
        agent.hear(heard)
    agent.hear("Since then:\n" + HANDOFFS[1])
    asked = called(await agent.go())
    assert asked == [("cancel", {"ids": ["1.0-00000000"], "reason": "no 1.0-00000000"})]
    assert called(await agent.go()) == [("finish", {"status": "done", "summary": "all"})]


async def test_a_child_is_also_known_by_its_handoff_and_else_missed(spoken: tuple[Rehearsal, Model]) -> None:
    _, model = spoken
    for told, known in ((HANDOFFS[:2], True), (HANDOFFS[1:], False)):
        agent = Agent(model, ROOT_HEADING)
        await agent.go()
        agent.hear("\n".join(told))
        if known:
            assert "1.0-00000000" in (await agent.go()).calls[0].arguments
        else:
            with pytest.raises(FatalModelError, match="no child titled 'Add docs'"):
                await agent.go()


async def test_a_handoff_is_heard_behind_a_tools_answer_too(spoken: tuple[Rehearsal, Model]) -> None:
    """Where a server takes no user's message behind a tool's, the client joins the two."""
    _, model = spoken
    agent = Agent(model, ROOT_HEADING)
    await agent.go("\n".join(("asked", HANDOFFS[0], HANDOFFS[1])))
    assert [name for name, _ in called(await agent.go())] == ["cancel"]


async def test_misbehaviour_is_scripted(spoken: tuple[Rehearsal, Model]) -> None:
    _, model = spoken
    agent = Agent(model, task_heading("Fix the parser"))
    refusal = await agent.go()
    assert (refusal.stop, refusal.text, refusal.calls) == ("refusal", "I cannot do that.", ())
    agent.hear("go on")
    silence = await agent.go()
    assert (silence.stop, silence.items) == ("empty", ())
    agent.hear("say something")
    cut = await agent.go()
    assert cut.stop == "length"
    with pytest.raises(json.JSONDecodeError):
        json.loads(cut.calls[0].arguments)
    assert [called(await agent.go()) for _ in range(2)] == [[("shell", {"command": "ls"})]] * 2
    with pytest.raises(FatalModelError, match=r"has no call 6 \(it has 5\)"):
        await agent.ask()


@pytest.mark.parametrize(
    ("first", "told"),
    [
        (task_heading("Add docs", 2), "Again."),
        (task_heading("Fix anything"), "I cannot do that."),
        (task_heading("Add doc"), "no script fits task 'Add doc'; the nearest is 'Add docs'"),
        (scope_heading("docs"), "no script fits planner 'docs'"),
        ("Hello", "the first message names no task and no scope: 'Hello'"),
    ],
)
async def test_who_asks_decides(spoken: tuple[Rehearsal, Model], first: str, told: str) -> None:
    rehearsal, model = spoken
    try:
        said = (await Agent(model, first).ask()).text
    except FatalModelError as error:
        said = str(error)
        assert told in "".join(rehearsal.problems())
    assert told in said


CONDITION = """
name: conditions
faults: [{kind: unknown_tool, share: 1, only: Land it}]
tasks:
- title: "Land *"
  values: {path: a.txt, message: "Land {{it}}"}
  calls:
  - tools: [{land: {message: "{{message}}", paths: ["{{path}}"]}}, {shell: {command: "echo {{path}} {{other}}"}}]
  - text: Again.
    if_last_answer_contains: Not landed
    repeat: 2
    optional: true
    else:
      text: Fine.
      if_last_answer_contains: Landed
      else: {text: "What?"}
  - text: Done.
"""


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize("title", ["Land it", "Land that"])
async def test_a_step_may_depend_on_the_answers_to_the_one_before(api: str, title: str) -> None:
    with Rehearsal(parse_playbook(CONDITION)) as rehearsal:
        async with model_at(rehearsal.url, api) as model:
            agent = Agent(model, task_heading(title))
            first = await next_step(agent, "error: Not landed: others changed the same places")
            assert called(first) == [
                ("land", {"message": "Land {{it}}", "paths": ["a.txt"]}),
                ("shell", {"command": "echo a.txt {{other}}"}),
            ]
            assert [(await next_step(agent)).text for _ in range(3)] == ["Again.", "What?", "Done."]
            other = Agent(model, task_heading(title), "r/other")
            await next_step(other, "Landed as 1234.")
            assert (await next_step(other)).text == "Fine."
        assert rehearsal.problems() == []


async def next_step(agent: Agent, output: str = "ok") -> Turn:
    """The next reply of the script, past the faults before it, whose answers must not count."""
    while (turn := await agent.ask()).text.startswith("(rehearsal: fault"):
        await agent.go("error: Landed or Not landed, this is no tool")
    await agent.go(output)
    return turn


async def test_a_subplanner_is_known_by_its_scope(spoken: tuple[Rehearsal, Model]) -> None:
    turn = await Agent(spoken[1], scope_heading("Own the parser and its tests")).ask()
    assert called(turn) == [("finish", {"status": "done", "summary": "parser"})]


async def test_a_new_epoch_goes_on_where_the_old_one_ended(spoken: tuple[Rehearsal, Model]) -> None:
    _, model = spoken
    agent = Agent(model, ROOT_HEADING)
    await agent.go()
    agent.hear("\n".join(HANDOFFS))
    summary = await agent.ask(words_only=True)
    assert summary.calls == ()
    later = Agent(model, ROOT_HEADING)
    later.hear("Your notes:\n" + summary.text)
    with pytest.raises(FatalModelError, match="call 2: no child titled"):
        await later.go()
    later.hear(HANDOFFS[0])
    assert called(await later.go())[0][0] == "cancel"
    again = await later.ask(words_only=True)
    last = Agent(model, ROOT_HEADING)
    last.hear(summary.text + again.text)
    assert called(await last.go())[0][0] == "finish"


async def play(playbook: Playbook, api: str, first: str, turns: int) -> list[Turn]:
    with Rehearsal(playbook) as rehearsal:
        async with model_at(rehearsal.url, api) as model:
            agent = Agent(model, first)
            return [await agent.go() for _ in range(turns)]


async def test_both_formats_say_the_same() -> None:
    for first, count in ((ROOT_HEADING, 2), (task_heading("Add docs"), 3), (task_heading("Fix it"), 5)):
        chat, responses = [await play(PLAYBOOK, api, first, count) for api in ("chat", "responses")]
        assert [(turn.items, turn.stop) for turn in chat] == [(turn.items, turn.stop) for turn in responses]


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_a_restart_changes_no_answer(api: str) -> None:
    with Rehearsal(PLAYBOOK) as before:
        async with model_at(before.url, api) as model:
            agent = Agent(model, task_heading("Add docs"))
            await agent.go()
            said = await agent.ask()
            assert (await agent.ask()).raw == said.raw
    with Rehearsal(PLAYBOOK, before.port) as after:
        async with model_at(after.url, api) as model:
            agent.model = model
            assert (await agent.ask()).raw == said.raw


async def test_it_says_that_it_is_a_rehearsal(spoken: tuple[Rehearsal, Model]) -> None:
    _, model = spoken
    found = await probe(model)
    assert (found.rehearsal, found.models, found.problem) == (True, ("rehearsal",), None)
    assert await model.choose_model(None) == "rehearsal"


def test_every_answer_says_so_also_to_who_asks_badly() -> None:
    with Rehearsal(PLAYBOOK) as rehearsal:
        with urllib.request.urlopen(rehearsal.url + "/models") as answer:
            assert answer.headers["X-Headway-Rehearsal"] == "demo"
            assert json.load(answer)["data"][0]["owned_by"] == "rehearsal"
        bad = urllib.request.Request(rehearsal.url + "/chat/completions", b"{", method="POST")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(bad)
        with caught.value as error:
            assert error.code == 400
            assert error.headers["X-Headway-Rehearsal"] == "demo"
            assert "is no JSON" in json.load(error)["error"]["message"]


def test_a_client_that_dies_within_its_request_is_no_fault(capfd: pytest.CaptureFixture[str]) -> None:
    with Rehearsal(PLAYBOOK) as rehearsal:
        with socket.create_connection(("127.0.0.1", rehearsal.port)) as client:
            client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        with urllib.request.urlopen(f"http://127.0.0.1:{rehearsal.port}/rehearsal/report") as report:
            assert json.load(report)["requests"] == 0
    assert "Traceback" not in capfd.readouterr().err
