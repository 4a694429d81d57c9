"""What refuses a run before its first model call, and that a refusal leaves nothing."""

from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
from pydantic import SecretStr

from headway.domain.errors import UserError
from headway.domain.run import PreparedRun, PrepareRun
from headway.eventlog.local_store import LocalStore
from headway.eventlog.verdicts import newest_verdict
from headway.models.client import Model
from headway.models.endpoint import Endpoint
from headway.models.roles import ModelRoles
from tests.agents.stage import Stage, finish
from tests.agents.test_run_desk import OTHER, desk, order
from tests.models.servers import Answer, Asked, Server
from tests.models.test_probe import TALKS, WORKS, problem, served


def of(stage: Stage, **more: Any) -> PrepareRun:
    given = order(str(stage.source))
    return given.model_copy(update={"spec": given.spec | more})


async def prepared(stage: Stage, **more: Any) -> tuple[PreparedRun, list[str]]:
    beats: list[str] = []
    stage.serve(root=[finish()])
    return await desk(stage).prepare(of(stage, **more), (), beats.append), beats


REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "setup fails": (
        {"setup": "echo no such tool; exit 3", "check": "true"},
        ["setup: exit code 3, on the base", "no such tool", "Correct `setup`"],
    ),
    "setup alone fails": ({"setup": "exit 3"}, ["setup: exit code 3, on the base"]),
    "the check is misspelt": (
        {"check": "mkae test"},
        ["check: exit code 127", "cannot be executed", "Correct `check`"],
    ),
    "the check is no program": ({"check": "./README.md"}, ["check: exit code 126"]),
    "the check does not end": (
        {"check": "sleep 60", "limits": {"command_seconds": 1}},
        ["check: killed: timed out after 1 s", "limits.command_seconds"],
    ),
}


@pytest.mark.parametrize(("more", "told"), REFUSED.values(), ids=REFUSED)
async def test_commands_that_can_prove_nothing_refuse_the_start_and_leave_nothing(
    stage: Stage, more: dict[str, Any], told: list[str]
) -> None:
    with pytest.raises(UserError) as refused:
        await prepared(stage, **more)
    for words in told:
        assert words in str(refused.value)
    folder = stage.folder / "state" / "runs" / OTHER
    assert not folder.exists(), "the name is free"
    assert not [part for part in psutil.disk_partitions(all=True) if part.mountpoint.startswith(f"{folder}/")]
    assert [rehearsal.report()["requests"] for rehearsal in stage.rehearsals] == [0]


async def test_a_check_that_fails_on_the_base_is_told_and_refuses_nothing(stage: Stage) -> None:
    made, beats = await prepared(stage, check="echo 'E: two tests failed'; exit 1")
    assert [note for note in made.notes if note.startswith("the check does not pass on the base")]
    assert "running check" in beats
    verdict = newest_verdict(LocalStore(stage.folder / "state"), OTHER)
    assert verdict is not None
    assert verdict.failing == "E: two tests failed", "the root planner begins with it"


async def test_what_is_tried_once_is_not_tried_again_after_a_crash(stage: Stage) -> None:
    ran = stage.folder / "ran"
    await prepared(stage, check=f"echo x >> {ran}")
    await prepared(stage, check=f"echo x >> {ran}")
    assert ran.read_text() == "x\n"


async def test_uncommitted_changes_are_told_and_the_checkout_is_not_touched(stage: Stage) -> None:
    assert not [note for note in (await prepared(stage))[0].notes if "uncommitted" in note]
    (stage.source / "README.md").write_text("changed")
    (stage.source / "new.txt").write_text("new")
    index = (stage.source / ".git" / "index").read_bytes()
    notes = (await prepared(stage))[0].notes
    assert f"2 uncommitted changes in {stage.source} are not part of the run" in notes
    assert (stage.source / ".git" / "index").read_bytes() == index


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def asking(stage: Stage, server: Server) -> Callable[..., Any]:
    """Prepares a run whose model is at a server that answers these."""

    async def ask(answers: dict[str, Answer], *, named: str = "", url: str = "") -> PreparedRun:
        def answer(asked: Asked) -> Answer:
            return answers.get(asked.path, Answer({"error": {"message": "no such page"}}, 404))

        server.answer = answer
        endpoint = Endpoint(base_url=url or server.url, api="chat", api_key=SecretStr("not-the-right-one-1"))
        async with Model(endpoint) as model:
            models = ModelRoles(model, {"planner": named, "worker": named} if named else {})
            return await desk(stage, models).prepare(of(stage), (), lambda _: None)

    return ask


MODELS: dict[str, tuple[dict[str, Answer], list[str]]] = {
    "a wrong key": ({"/v1/models": problem("who are you", 401)}, ["401", "Set OPENAI_API_KEY"]),
    "a web page": ({"/v1/models": Answer("<html>Sign in</html>")}, ["not the API of a model's server"]),
    "no models": ({"/v1/models": Answer({"data": []})}, ["lists no models"]),
    "no list": ({}, ["no model is named", "OPENAI_BASE_URL"]),
}
NAMED: dict[str, tuple[dict[str, Answer], list[str]]] = {
    "a wrong key": ({"/v1/models": problem("who are you", 401)}, ["401", "Set OPENAI_API_KEY"]),
    "an unknown name": ({"/v1/models": served()}, ["'other'", "models.planner.model"]),
    "no list and an unknown name": ({}, ["'other'", "models.planner.model"]),
    "no tools": (
        {"/v1/models": served(), "/v1/chat/completions": problem("x does not support tools")},
        ["take a model that has tools"],
    ),
}


@pytest.mark.parametrize(("answers", "told"), MODELS.values(), ids=MODELS)
async def test_an_endpoint_that_only_its_user_can_correct_refuses_a_run_that_names_no_model(
    answers: dict[str, Answer], told: list[str], asking: Callable[..., Any]
) -> None:
    with pytest.raises(UserError) as refused:
        await asking(answers)
    assert all(words in str(refused.value) for words in told), refused.value


@pytest.mark.parametrize(("answers", "told"), NAMED.values(), ids=NAMED)
async def test_and_one_that_names_its_model(
    answers: dict[str, Answer], told: list[str], asking: Callable[..., Any]
) -> None:
    with pytest.raises(UserError) as refused:
        await asking(answers, named="other")
    assert all(words in str(refused.value) for words in told), refused.value


async def test_a_server_that_is_down_refuses_the_start(asking: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match=r"cannot be reached[^\n]*\nStart that server"):
        await asking({}, url="http://127.0.0.1:1/v1")


@pytest.mark.parametrize(
    "answers",
    [
        {"/v1/models": problem("slow down", 429)},
        {"/v1/models": problem("quota", 402)},
        {"/v1/models": problem("oops", 500)},
        {"/v1/models": served(), "/v1/chat/completions": WORKS},
        {"/v1/chat/completions": WORKS},
        {"/v1/chat/completions": TALKS},
    ],
    ids=["too many calls", "no quota", "a fault that passes", "not listed but served", "no list", "no list, no call"],
)
async def test_what_passes_by_itself_refuses_nothing(answers: dict[str, Answer], asking: Callable[..., Any]) -> None:
    assert await asking(answers, named="other")
