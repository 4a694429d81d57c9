"""Whole runs against servers of others, each from its registry: LiteLLM's proxy, llama.cpp's server, aimock."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from headway.system.ports import free_ports
from tests.peers.habit import BOTH, CHAT, STREAMED, Form, Habit
from tests.peers.habits import HABITS
from tests.peers.installed import npm_of, python_of, serving
from tests.peers.playing import HEAD, QUIET_S, Order, Played, events_of, fleet
from tests.peers.server import HabitServer
from tests.support.environment import home, own_environment
from tests.support.repositories import make_repository

__all__ = ["home", "own_environment"]

pytestmark = [pytest.mark.long, pytest.mark.timeout(3000)]

KEY = "sk-peer-1234567890"
LITELLM = "litellm[proxy]==1.108.7"
LLAMA = ("xllamacpp==2026.10.11549", "gguf==0.19.0", "tokenizers", "numpy")
"""The wheel carries llama.cpp's own server; its library starts it."""
AIMOCK = "@copilotkit/aimock@1.43.0"
MINUTES_S = 150.0
"""A limit by the minute passes within."""
CHAOS = 0.05
"""Of each of three kinds."""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repository", 20)


@pytest.fixture
def upstream() -> Iterator[HabitServer]:
    """What stands behind a gateway."""
    with HabitServer(HABITS) as server:
        yield server


def named(name: str) -> Habit:
    return next(habit for habit in HABITS if habit.name == name)


def endpoint_of(name: str, form: Form, url: str, **more: str) -> tuple[str, dict[str, str]]:
    """An endpoint's name, and its variables."""
    name = f"{name}_{form.replace(', ', '_')}"
    api, _, streamed = form.partition(", ")
    values = {"URL": f"{url}/v1", "KEY": KEY, "API": api, "STREAM": "on" if streamed else "off"} | more
    return name, {f"HEADWAY_ENDPOINT_{name}_{key}".upper(): value for key, value in values.items()}


def told(played: Sequence[Played], expected: Mapping[str, str]) -> list[str]:
    """The rows that are not as expected; `expected` has the verdict by the server's name."""
    print(HEAD, *(each.row for each in played), sep="\n")
    return [each.row for each in played if each.verdict not in expected[each.order.name].split(" or ")]


BEHIND: dict[str, tuple[str, dict[str, Any], tuple[Form, ...], str]] = {
    "plain": ("plain", {}, BOTH, "lands"),
    "translated": ("plain", {"model": "hosted_vllm/some-model"}, BOTH, "lands"),
    "fallback": ("", {}, BOTH, "lands"),
    "limited": ("plain", {"rpm": 20}, ("chat", "responses, streamed"), "lands"),
    "slow": ("slow", {"timeout": 1, "stream_timeout": 1}, ("chat", "responses"), "lands"),
    "cut": ("cut_stream", {}, STREAMED, "lands"),
    "overloaded": ("overloaded_stream", {}, STREAMED, "lands"),
    "overflow": ("plain_overflow", {}, BOTH, "lands"),
    "moody": ("empty_refused", {}, ("chat",), "lands"),
    "order": ("template500", {}, CHAT, "lands"),
    "no quota": ("quota_gone", {}, ("chat",), "waits"),
    "bad key": ("key_refused", {}, ("chat",), "waits or ends truthfully"),
    "alone": ("", {}, ("chat",), "waits or ends truthfully"),
}
"""Models of the proxy: the habit behind each, LiteLLM's parameters, forms, and how a run ends."""


def litellm_config(upstream: HabitServer) -> dict[str, Any]:
    """LiteLLM's configuration. Models without a habit lead nowhere; one of them has a fallback."""
    models = []
    for name, (habit, more, _, _) in BEHIND.items():
        address = upstream.address(named(habit), "chat") if habit else "http://127.0.0.1:9/v1"
        params = {"model": "openai/some-model", "api_base": address, "api_key": "sk-none", **more}
        models.append({"model_name": name, "litellm_params": params})
    return {
        "model_list": models,
        "litellm_settings": {"telemetry": False, "num_retries": 0},
        "router_settings": {
            "num_retries": 0,
            "fallbacks": [{"fallback": ["plain"]}],
            "optional_pre_call_checks": ["enforce_model_rate_limits"],
        },
        "general_settings": {"master_key": KEY},
    }


async def test_litellm(home: Path, repository: Path, upstream: HabitServer, tmp_path: Path) -> None:
    python = python_of("litellm", LITELLM)
    config = tmp_path / "litellm.yaml"
    config.write_text(json.dumps(litellm_config(upstream)))
    (port,) = free_ports(1)
    command = [str(python.with_name("litellm")), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    env: dict[str, str] = {}
    orders = []
    with serving(command, port, tmp_path / "litellm.log", {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}) as url:
        for model, (_, _, forms, _) in BEHIND.items():
            for form in forms:
                name, variables = endpoint_of(f"lite_{model.replace(' ', '_')}", form, url)
                env |= variables
                orders.append(Order(model, form, name, model, quiet_s=MINUTES_S if model == "limited" else QUIET_S))
        async with fleet((), home, repository, env) as site:
            played = await site.play_all(orders)
    assert not told(played, {model: ends for model, (_, _, _, ends) in BEHIND.items()})


async def test_llama_cpp_with_random_weights(home: Path, repository: Path, tmp_path: Path) -> None:
    """Nonsense on a real wire: nothing lands, each agent ends with words, and few calls are made."""
    python = python_of("llama", *LLAMA)
    (port,) = free_ports(1)
    script = Path(__file__).with_name("random_model.py")
    env: dict[str, str] = {}
    orders = []
    plain = named("plain")
    with serving([str(python), str(script), str(tmp_path), str(port)], port, tmp_path / "llama.log") as url:
        for form in BOTH:
            name, variables = endpoint_of("llama", form, url, WINDOW="32768", MAX_OUTPUT="300")
            env |= variables
            orders.append(Order("random planner", form, name, "random"))
            orders.append(Order("random workers", form, name, "random", planner=("plain_chat", plain.model)))
        async with fleet([(plain, "chat")], home, repository, env) as site:
            played = await site.play_all(orders, at_once=4)
    assert not told(played, {"random planner": "ends truthfully or waits", "random workers": "ends truthfully"})
    assert all(each.calls > 3 for each in played), "each was really asked"


async def test_aimock_with_chaos(home: Path, repository: Path, upstream: HabitServer, tmp_path: Path) -> None:
    """Fifteen of a hundred answers are dropped, spoilt or broken off."""
    commands = npm_of("aimock", AIMOCK)
    (port,) = free_ports(1)
    behind = upstream.address(named("plain"), "chat").removesuffix("/v1")
    chaos = [part for kind in ("drop", "malformed", "disconnect") for part in (f"--chaos-{kind}", str(CHAOS))]
    fixtures = tmp_path / "fixtures"
    fixtures.mkdir()
    options = ["--port", str(port), "--fixtures", str(fixtures), "--proxy-only", "--provider-openai", behind]
    env: dict[str, str] = {}
    orders = []
    with serving([str(commands / "llmock"), *options, *chaos], port, tmp_path / "aimock.log") as url:
        for number in range(2):
            for form in BOTH:
                name, variables = endpoint_of(f"chaos{number}", form, url)
                env |= variables
                orders.append(Order(f"aimock {number}", form, name, "some-model", most_calls=60))
        async with fleet((), home, repository, env) as site:
            played = await site.play_all(orders)
    assert not told(played, {"aimock 0": "lands", "aimock 1": "lands"})
    assert sum(events_of(home, each.order.run, "llm.retry") for each in played) >= len(played), "it was chaos"
