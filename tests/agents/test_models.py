"""Which model each role works with, and at which endpoint."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from headway.domain.errors import UserError
from headway.domain.ids import RunName
from headway.domain.spec import RunSpec, parse_spec
from headway.models.failures import Refused
from headway.models.roles import ModelRoles
from headway.models.settings import ModelSettings, model_findings
from tests.models.servers import Answer, Server

KEY = "sk-live-abcdefghijklmnop"
ENV = {
    "OPENAI_API_KEY": "sk-first-abcdefghijkl",
    "HEADWAY_PLANNER_MODEL": "big",
    "HEADWAY_WORKER_MODEL": "quick",
    "HEADWAY_ENDPOINT_BOX_URL": "http://gpu-box:8000/v1",
    "HEADWAY_ENDPOINT_BOX_WINDOW": "65536",
    "HEADWAY_ENDPOINT_BOX_MODEL": "open",
    "HEADWAY_ENDPOINT_FAR_AWAY_URL": "https://far.example.org/v1",
    "HEADWAY_ENDPOINT_FAR_AWAY_KEY": KEY,
    "HEADWAY_ENDPOINT_FAR_AWAY_API": "responses",
}


def spec(**models: Any) -> RunSpec:
    return parse_spec({"repo": "/r", "instructions": "Do it.", "models": models})


@asynccontextmanager
async def opened(home: Path, env: dict[str, str] = ENV) -> AsyncIterator[ModelRoles]:
    models = ModelSettings.read(env).open(home)
    yield models
    await models.close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


async def test_what_a_run_leaves_open_comes_from_the_environment(tmp_path: Path) -> None:
    async with opened(tmp_path) as models:
        roles = ("planner", "worker", "fixer", "compaction")
        chosen = [await models.choose(role, spec()) for role in roles]  # type: ignore[arg-type]
        assert [each.name for each in chosen] == ["big", "quick", "quick", "quick"]
        assert (await models.choose("compaction", spec(), "planner")).name == "big"
        assert await models.note_taker(spec(), "planner") is None
        assert {each.model.endpoint.name for each in chosen} == {"default"}


async def test_each_role_may_have_a_model_an_endpoint_and_an_effort_of_its_own(tmp_path: Path) -> None:
    wanted = spec(
        planner={"endpoint": "Far-Away", "model": "huge", "effort": "high"},
        worker={"endpoint": "box"},
        fixer={"effort": "low"},
        compaction={"endpoint": "box", "model": "small"},
    )
    async with opened(tmp_path) as models:
        planner, worker = await models.choose("planner", wanted), await models.choose("worker", wanted)
        fixer, notes = await models.choose("fixer", wanted), await models.note_taker(wanted, "planner")
    assert planner.facts == {
        "endpoint": "far_away",
        "address": "https://far.example.org/v1",
        "api": "responses",
        "model": "huge",
        "effort": "high",
    }
    assert (worker.name, worker.model.endpoint.window, worker.effort) == ("open", 65536, None)
    assert (fixer.name, fixer.effort) == ("open", "low")
    assert notes is not None
    assert (notes.name, notes.model) == ("small", worker.model)


async def test_an_endpoint_that_is_not_declared_is_refused_with_those_that_are(tmp_path: Path) -> None:
    async with opened(tmp_path) as models:
        with pytest.raises(UserError, match="there are: box, default, far_away") as caught:
            await models.choose("worker", spec(worker={"endpoint": "boxx"}))
        assert "HEADWAY_ENDPOINT_<NAME>_URL" in str(caught.value)


@pytest.mark.parametrize("url", ["http://elsewhere.example.org/v1", "elsewhere:8000", "a b", ""])
def test_a_run_cannot_bring_an_address_of_its_own(url: str) -> None:
    with pytest.raises(UserError, match=r"models\.worker\.endpoint: must be a name"):
        spec(worker={"endpoint": url})
    with pytest.raises(UserError, match="is not a field"):
        spec(worker={"base_url": url})


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"HEADWAY_ENDPOINT_BOX_URL": "gpu-box"}, "HEADWAY_ENDPOINT_BOX_URL: is no address"),
        ({"HEADWAY_ENDPOINT_BOX_URL": "https://far.example.org"}, "HEADWAY_ENDPOINT_BOX_KEY is not set"),
        ({"HEADWAY_ENDPOINT_BOX_KEY": KEY}, "HEADWAY_ENDPOINT_BOX_KEY: belongs to no endpoint"),
        ({"HEADWAY_PARKED_S": "soon"}, "HEADWAY_PARKED_S"),
        ({"HEADWAY_STREAM": "maybe"}, "on, off"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_told(env: dict[str, str], told: str) -> None:
    with pytest.raises(UserError, match=told) as caught:
        ModelSettings.read({"OPENAI_API_KEY": "sk-abcdef"} | env)
    assert KEY not in str(caught.value)


def test_every_key_is_known_as_a_secret() -> None:
    keys = {ENV["OPENAI_API_KEY"], KEY}
    assert set(ModelSettings.read(ENV).secrets) == keys
    assert KEY not in repr(ModelSettings.read(ENV))


async def test_the_doctor_hears_of_every_endpoint_and_of_what_is_parked(server: Server, tmp_path: Path) -> None:
    server.answer = Answer({"data": [{"id": "m"}]})
    env = {"OPENAI_BASE_URL": server.url, "HEADWAY_ENDPOINT_BOX_URL": "http://127.0.0.1:1/v1"}
    async with opened(tmp_path, env) as models:
        model = (await models.choose("worker", spec(worker={"model": "m"}))).model
        assert model._gates is not None
        with model._gates.using(server.url, "m", "") as gate:
            async with gate.permit(lambda _: None) as permit:
                await gate.refused(permit, Refused("quota", "nothing left", "Raise it.", 900))
            assert models.parkings(RunName("r")) == (), "this run calls another model"
            gate.runs.add(RunName("r"))
        assert [parking.why for parking in models.parkings(RunName("r"))] == ["nothing left"]
    found = await model_findings(env, tmp_path)
    assert [(each.topic, each.state) for each in found[:1]] == [("model", "good")]
    assert any(each.state == "broken" and "127.0.0.1:1" in each.says for each in found)
    assert (found[-1].state, found[-1].remedy) == ("lacking", "Raise it.")
    assert "nothing left" in found[-1].says


async def test_without_any_endpoint_the_doctor_says_what_to_set(tmp_path: Path) -> None:
    found = await model_findings({}, tmp_path)
    assert (found[0].state, "OPENAI_BASE_URL" in found[0].remedy) == ("broken", True)
