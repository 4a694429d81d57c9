"""Faults as agents meet them: through the real client, in both formats."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.domain.errors import HeadwayError, TransientError, UserError
from headway.domain.headings import ROOT_HEADING, scope_heading, task_heading
from headway.models.failures import ContextOverflow
from headway.models.turn import Turn
from headway.rehearsal.asker import Asker
from headway.rehearsal.fault import Fault, drawn
from headway.rehearsal.host import Rehearsal
from headway.rehearsal.playbook import PlannerScript, Playbook, Step, TaskScript, ToolUse
from headway.rehearsal.playbook_reader import parse_playbook
from tests.rehearsal.agents import Agent, model_at
from tests.support.waiting import until

LOOK = Step(text="I look.", tools=(ToolUse(name="shell", args={"command": "ls"}),), repeat=20)
PLAYBOOK = Playbook(
    name="faulty",
    planners=(PlannerScript(scope="root", calls=(LOOK,)), PlannerScript(scope="docs", calls=(LOOK,))),
    tasks=(TaskScript(title="T*", calls=(LOOK,)),),
)
BOTH = pytest.mark.parametrize("api", ["chat", "responses"])


@asynccontextmanager
async def agent_with(
    *faults: Fault, first: str = "", api: str = "chat", port: int = 0
) -> AsyncIterator[tuple[Agent, Rehearsal]]:
    with Rehearsal(PLAYBOOK.model_copy(update={"faults": faults}), port) as rehearsal:
        async with model_at(rehearsal.url, api) as model:
            yield Agent(model, first or task_heading("T")), rehearsal


async def persist(agent: Agent, times: int = 50) -> tuple[Turn, list[HeadwayError]]:
    """Ask until there is an answer."""
    errors: list[HeadwayError] = []
    for _ in range(times):
        try:
            return await agent.go(), errors
        except HeadwayError as error:
            errors.append(error)
    raise AssertionError(errors)


def transient(text: str, delay: float | None = None) -> Callable[[HeadwayError], bool]:
    return lambda error: isinstance(error, TransientError) and text in str(error) and error.delay_s == delay


def at_any_delay(text: str) -> Callable[[HeadwayError], bool]:
    return lambda error: isinstance(error, TransientError) and text in str(error)


def overflow(text: str) -> Callable[[HeadwayError], bool]:
    return lambda error: isinstance(error, ContextOverflow) and text in str(error)


@BOTH
@pytest.mark.parametrize(
    ("fault", "meant"),
    [
        ({"kind": "rate_limit"}, transient("429", 1.0)),
        ({"kind": "rate_limit", "retry_after_s": 0}, transient("429", 0.0)),
        ({"kind": "rate_limit", "retry_after_s": 2.5}, transient("429", 2.5)),
        ({"kind": "quota"}, transient("no quota left", 60.0)),
        ({"kind": "server_error"}, transient("500")),
        ({"kind": "unavailable"}, transient("503")),
        ({"kind": "unavailable", "retry_after_s": 3}, transient("503", 3.0)),
        ({"kind": "hang", "seconds": 0.05}, transient("504")),
        ({"kind": "truncated"}, transient("no JSON")),
        ({"kind": "html"}, at_any_delay("answered 200 with a page")),
        ({"kind": "dropped"}, transient("the answer broke off")),
        ({"kind": "overflow", "words": "openai"}, overflow("maximum context length")),
        ({"kind": "overflow", "words": "vllm"}, overflow("in the completion")),
        ({"kind": "overflow", "words": "llama.cpp"}, overflow("available context size")),
        ({"kind": "overflow"}, overflow("context")),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
async def test_each_fault_of_the_wire_is_met_as_what_it_is_and_ends(
    api: str, fault: dict[str, object], meant: Callable[[HeadwayError], bool]
) -> None:
    async with agent_with(Fault.model_validate({"share": 1} | fault), api=api) as (agent, rehearsal):
        turn, errors = await persist(agent)
        assert len(errors) == 3
        assert all(meant(error) for error in errors), errors
        assert turn.text == "I look."
        report = rehearsal.report()
    assert report["faults"] == {fault["kind"]: 3}
    assert (report["requests"], report["retries"], report["repeats"], report["unheard"]) == (4, 3, 0, 0)


@BOTH
@pytest.mark.parametrize("kind", ["unknown_tool", "bad_arguments", "empty", "toolless", "refusal"])
async def test_each_fault_of_the_model_is_an_answer_that_takes_no_step(api: str, kind: str) -> None:
    async with agent_with(Fault.model_validate({"kind": kind, "share": 1, "times": 2}), api=api) as (agent, rehearsal):
        turns = []
        for _ in range(6):
            turns.append(await agent.go())
            agent.hear("Go on.")
        useless = [turn for number, turn in enumerate(turns) if number not in {2, 5}]
        assert [turns[at].text for at in (2, 5)] == ["I look."] * 2
        expected = {"empty": "empty", "toolless": "text", "refusal": "refusal"}.get(kind, "tool")
        assert {turn.stop for turn in useless} == {expected}
        names = {call.name for turn in useless for call in turn.calls}
        assert names == {"unknown_tool": {"consult_the_oracle"}, "bad_arguments": {"read_file"}}.get(kind, set())
        ids = [call.id for turn in turns for call in turn.calls]
        assert len(set(ids)) == len(ids)
        report = rehearsal.report()
    assert report["faults"] == {kind: 4}
    assert (report["requests"], report["retries"], report["repeats"]) == (6, 0, 0)


async def test_bad_arguments_are_sometimes_no_json() -> None:
    async with agent_with(Fault(kind="bad_arguments", share=1)) as (agent, _):
        seen: set[type | None] = set()
        for turn in [await agent.go() for _ in range(20)][::2]:
            try:
                seen.add(type(json.loads(turn.calls[0].arguments)))
            except json.JSONDecodeError:
                seen.add(None)
    assert seen == {dict, None}


async def outcomes(*faults: Fault, first: str = "", count: int = 20) -> list[str]:
    async with agent_with(*faults, first=first) as (agent, _):
        said = []
        for _ in range(count):
            turn, errors = await persist(agent)
            said.append(f"{len(errors)}{turn.text}")
        return said


async def test_what_is_drawn_depends_on_the_seed_and_on_who_asks_where() -> None:
    def rules(seed: int) -> list[Fault]:
        return [Fault(kind="unavailable", share=0.3, seed=seed), Fault(kind="toolless", share=0.3, seed=seed)]

    first = await outcomes(*rules(1))
    assert await outcomes(*rules(1)) == first
    assert len(set(first)) > 3
    assert await outcomes(*rules(2)) != first
    assert await outcomes(*rules(1), first=task_heading("T2")) != first
    assert await outcomes(*rules(1), first=task_heading("T", 2)) != first


@pytest.mark.parametrize(
    ("only", "hit"),
    [
        ("planners", {"root", "docs"}),
        ("tasks", {"T1", "T2"}),
        ("root", {"root"}),
        ("T?", {"T1", "T2"}),
        ("T1", {"T1"}),
        ("d*", {"docs"}),
        (None, {"root", "docs", "T1", "T2"}),
    ],
)
async def test_a_rule_may_be_for_some_only(only: str | None, hit: set[str]) -> None:
    headings = {"root": ROOT_HEADING, "docs": scope_heading("docs")} | {t: task_heading(t) for t in ("T1", "T2")}
    found = set()
    with Rehearsal(PLAYBOOK.model_copy(update={"faults": (Fault(kind="html", share=1, only=only),)})) as rehearsal:
        async with model_at(rehearsal.url) as model:
            for name, heading in headings.items():
                _, errors = await persist(Agent(model, heading, f"r/{name}"))
                found |= {name} if errors else set()
    assert found == hit


async def test_kinds_together_keep_the_bound_of_the_one_that_allows_most() -> None:
    rules = [Fault(kind="html", share=1, times=2), Fault(kind="quota", share=1, times=4)]
    async with agent_with(*rules) as (agent, rehearsal):
        _, errors = await persist(agent)
        assert ["a page" in str(error) for error in errors] == [True, True, False, False]
        assert rehearsal.report()["faults"] == {"html": 2, "quota": 2}


async def test_a_summary_is_never_spoilt_by_the_model_nor_too_long() -> None:
    rules = (Fault(kind="toolless", share=1), Fault(kind="overflow", share=1), Fault(kind="html", share=1, times=1))
    async with agent_with(*rules) as (agent, _):
        with pytest.raises(TransientError):
            await agent.ask(words_only=True)
        assert "0 calls so far" in (await agent.ask(words_only=True)).text


async def test_a_restarted_server_draws_again_from_the_start() -> None:
    rule = Fault(kind="unavailable", share=1, times=2)
    async with agent_with(rule) as (agent, before):
        with pytest.raises(TransientError):
            await agent.go()
    async with agent_with(rule, port=before.port) as (again, _):
        again.items[:] = agent.items
        _, errors = await persist(again)
    assert len(errors) == 2


async def test_a_hang_ends_when_the_client_leaves() -> None:
    async with agent_with(Fault(kind="hang", share=1, times=1, seconds=600)) as (agent, rehearsal):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(agent.ask(), 0.3)
        await until(lambda: rehearsal.report()["in_flight"] == 0)
        assert (await agent.go()).text == "I look."
        report = rehearsal.report()
    assert (report["retries"], report["unheard"]) == (1, 0)


async def test_a_server_goes_down_while_requests_hang(capfd: pytest.CaptureFixture[str]) -> None:
    async with agent_with(Fault(kind="hang", share=1, seconds=600)) as (agent, rehearsal):
        asked = asyncio.create_task(agent.ask())
        await until(lambda: rehearsal.report()["in_flight"] == 1)
        started = time.perf_counter()
        await asyncio.to_thread(rehearsal.stop)
        assert time.perf_counter() - started < 5
        with pytest.raises(HeadwayError):
            await asked
    assert capfd.readouterr().err == ""


@BOTH
async def test_an_answer_for_which_nobody_stayed_is_no_repeat(api: str) -> None:
    playbook = PLAYBOOK.model_copy(update={"latency_ms": 300})
    with Rehearsal(playbook) as rehearsal:
        async with model_at(rehearsal.url, api) as model:
            agent = Agent(model, task_heading("T"))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(agent.ask(), 0.1)
            await until(lambda: rehearsal.report()["in_flight"] == 0)
            await agent.ask()
            await agent.ask()
        report = rehearsal.report()
    assert (report["requests"], report["unheard"], report["repeats"], report["retries"]) == (3, 1, 1, 0)


def test_a_large_answer_counts_only_when_it_was_taken() -> None:
    large = Step(text="x" * 30_000_000)
    playbook = Playbook(name="large", tasks=(TaskScript(title="T", calls=(large,)),))
    body = {"messages": [{"role": "user", "content": task_heading("T")}]}
    with Rehearsal(playbook) as rehearsal, httpx2.Client(trust_env=False) as client:
        for expected in ((1, 0, 0), (2, 1, 0)):
            with client.stream("POST", rehearsal.url + "/chat/completions", json=body) as response:
                assert response.status_code == 200
            report = rehearsal.report()
            assert (report["requests"], report["unheard"], report["repeats"]) == expected
        assert len(client.post(rehearsal.url + "/chat/completions", json=body).content) > 30_000_000
        client.post(rehearsal.url + "/chat/completions", json=body)
        assert rehearsal.report()["repeats"] == 1


async def test_the_next_attempt_of_a_task_repeats_nothing() -> None:
    with Rehearsal(PLAYBOOK) as rehearsal:
        async with model_at(rehearsal.url) as model:
            for attempt in (1, 2):
                await Agent(model, task_heading("T", attempt), "r/t").go()
        assert rehearsal.report()["repeats"] == 0


@given(share=st.floats(0.05, 0.95), seed=st.integers(0, 1 << 32))
def test_about_as_many_are_hit_as_the_share_says(share: float, seed: int) -> None:
    rules = (Fault(kind="html", share=share),)
    hits = sum(drawn(rules, seed, Asker(f"T{n}"), 0, 1) is not None for n in range(1000))
    assert abs(hits / 1000 - share) < 0.08


def test_what_is_wrong_with_a_rule_is_told() -> None:
    with pytest.raises(UserError) as caught:
        parse_playbook("{name: x, faults: [{kind: html, shre: 1, seconds: 3}, {kind: gremlin, share: 2}]}", "p")
    assert str(caught.value).splitlines() == [
        "p: faults[0].share: is required",
        "p: faults[0].shre: is not a field; did you mean 'share'?",
        *str(caught.value).splitlines()[2:],
    ]
    with pytest.raises(UserError, match="'seconds' is for hang, not for html"):
        parse_playbook("{name: x, faults: [{kind: html, share: 1, seconds: 3}]}")
