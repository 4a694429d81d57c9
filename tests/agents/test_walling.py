"""What a run's policy gives to its commands, and what it keeps from them."""

import base64
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from headway.domain.errors import UserError
from headway.domain.ids import AgentId
from headway.domain.spec import RunSpec, SetupRights
from headway.git.workspace.workspace import Workspace
from headway.policy.sandbox_policy import check_policy, sandbox_spec_of, without_secrets
from headway.runs.setup_runner import SETUP_OUTPUT_CHARS
from headway.sandbox.process.output import LINE_CHARS, Capture
from headway.sandbox.spec import SandboxSpec
from headway.system.excerpt import cut_middle
from tests.agents.stage import ROOT, Stage

AGENT = AgentId(f"{ROOT}/1.1-00000000")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Stage(tmp_path).places.open(AGENT, 1, 1)


def spec(**policy: object) -> RunSpec:
    return RunSpec.model_validate({"repo": "r", "instructions": "i", "policy": policy})


def on_base(said: RunSpec) -> SetupRights:
    return said.policy.setup_rights(of_base=True)


@pytest.mark.parametrize(
    ("trust", "network", "given"),
    [
        ("base", "setup", (False, False, ("network", "policy.setup_env"))),
        ("base", "tasks", (True, False, ("policy.setup_env",))),
        ("base", "none", (False, False, ("policy.setup_env",))),
        ("network", "setup", (True, False, ("policy.setup_env",))),
        ("network", "none", (False, False, ("policy.setup_env",))),
        ("full", "setup", (True, True, ())),
        ("full", "none", (False, True, ())),
    ],
)
def test_what_agents_may_have_written_gets_what_the_user_trusts_it_with(
    trust: str, network: str, given: tuple[bool, bool, tuple[str, ...]]
) -> None:
    policy = spec(network=network, setup_env=["TOKEN"], setup_trust=trust).policy
    rights = policy.setup_rights(of_base=False)
    assert (rights.network, rights.secrets, rights.withheld) == given
    assert policy.setup_rights(of_base=True).withheld == ()


def test_a_setup_with_secrets_uses_no_cache_that_agents_have_written(workspace: Workspace) -> None:
    said = spec(setup_env=["TOKEN"], caches=["pip"])
    (cache,) = sandbox_spec_of(AGENT, workspace, said, setup=on_base(said)).caches
    (cache.folder / "planted").write_text("x")
    assert sandbox_spec_of(AGENT, workspace, said, setup=on_base(said)).caches == ()
    assert sandbox_spec_of(AGENT, workspace, said, setup=said.policy.setup_rights(of_base=False)).caches == (cache,)


@pytest.mark.parametrize(
    ("policy", "setup", "task"), [("none", False, False), ("setup", True, False), ("tasks", True, True)]
)
def test_the_network_is_for_whom_the_policy_names(workspace: Workspace, policy: str, setup: bool, task: bool) -> None:
    said = spec(network=policy)
    assert sandbox_spec_of(AGENT, workspace, said, setup=on_base(said)).network is setup
    assert sandbox_spec_of(AGENT, workspace, said).network is task


def test_only_setup_gets_the_values_of_the_variables_that_are_named(workspace: Workspace) -> None:
    said, env = spec(setup_env=["TOKEN"]), {"TOKEN": "plum-pie", "OTHER": "x"}
    assert sandbox_spec_of(AGENT, workspace, said, setup=on_base(said), env=env).secrets == {"TOKEN": "plum-pie"}
    assert sandbox_spec_of(AGENT, workspace, said, env=env).secrets == {}


def test_every_command_but_setup_runs_through_the_wrapping_one(workspace: Workspace) -> None:
    said = spec(wrap="with-database")
    assert sandbox_spec_of(AGENT, workspace, said).wrap == "with-database"
    assert sandbox_spec_of(AGENT, workspace, said, setup=on_base(said)).wrap is None


def test_the_hubs_objects_can_be_read_and_its_refs_cannot(workspace: Workspace, tmp_path: Path) -> None:
    readable = sandbox_spec_of(AGENT, workspace, spec(read_only=[str(tmp_path)])).readable
    assert readable == (workspace.hub.folder / "objects", tmp_path)


def test_values_of_setup_are_taken_out_of_what_is_logged_and_shown(tmp_path: Path) -> None:
    walls = SandboxSpec(agent="a", workspace=tmp_path, secrets={"LONG": "plum-pie", "PART": "plum", "TINY": "e"})
    assert without_secrets("plum-pie, plum, else", walls) == "[redacted], [redacted], else"
    assert "plum" not in repr(walls)


VALUE, OTHER = "npm/Zq9x+17%THE=TOKEN_that-is&ours?", "pip/Wv8y+26%ANY=VALUES_we-can&show?"


def _small(url: str) -> str:
    return re.sub("%..", lambda escape: escape[0].lower(), url)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _folded(text: str, width: int, between: str = "\n") -> str:
    return between.join(text[at : at + width] for at in range(0, len(text), width))


WRITTEN: dict[str, Callable[[str], str]] = {
    "plain": lambda value: f"key={value} and more",
    "in an address": lambda value: f"https://registry.example/?key={quote(value, '')}&a=b",
    "in an address, small": lambda value: f"https://registry.example/?key={_small(quote(value, ''))}",
    "as a path": quote,
    "as a form": quote_plus,
    "as JSON": lambda value: json.dumps({"key": value}),
    "as base64": _base64,
    "as base64 after one": lambda value: _base64(f"x{value}more"),
    "as base64 after two": lambda value: _base64(f"xy{value}more"),
    "in base64 for addresses": lambda value: base64.urlsafe_b64encode(f"??>{value}".encode()).decode(),
    "as a Basic header": lambda value: "Authorization: Basic " + _base64(f"ada:{value}"),
    "folded": lambda value: _folded(value, 10),
    "as folded base64": lambda value: _folded(_base64(f"ada:{value}"), 16, "\r\n  "),
    "at the end of a line that is cut": lambda value: "x" * (LINE_CHARS - 20) + value,
    "in many lines": lambda value: f"{value}\n" * 20_000,
    "across the end of what is kept": lambda value: "\x1b[0m" * 32_765 + value + "\nmore" * 100_000,
    "across the end of what is kept, folded": lambda value: "\x1b[0m" * 32_765 + _folded(value, 3) + "\nok" * 200_000,
    "across the start of what is kept": lambda value: "x" * 200_000 + value + "\n" + "\x1b[0m" * 32_765,
}


@pytest.mark.parametrize("how", WRITTEN)
def test_what_is_shown_of_a_setup_does_not_depend_on_its_secret(tmp_path: Path, how: str) -> None:
    """But for a character of base64 at each side, which a neighbour has a part in."""
    first, second = (_shown(WRITTEN[how](value), value, tmp_path) for value in (VALUE, OTHER))
    assert len(first) == len(second)
    told = sum(one != other for one, other in zip(first, second, strict=True))
    assert told <= (2 if "ase64" in how or "Basic" in how else 0)


def _shown(said: str, value: str, place: Path) -> str:
    walls = SandboxSpec(agent="a", workspace=place, secrets={"TOKEN": value})
    capture = Capture(redact=partial(without_secrets, walls=walls))
    for at in range(0, len(said), 4096):
        capture.feed(said[at : at + 4096].encode())
    return cut_middle(capture.text()[0], SETUP_OUTPUT_CHARS)


def test_what_a_run_may_not_have_is_refused_at_its_start(tmp_path: Path) -> None:
    state = tmp_path / "state"
    (state / "runs").mkdir(parents=True)
    said = spec(read_only=[str(state / "runs"), str(tmp_path), "/nowhere", "/proc"], setup_env=["TOKEN"])
    with pytest.raises(UserError) as refused:
        check_policy(said, (state,), env={})
    ours = "it would show Headway's own state: logs, keys, other workspaces"
    assert refused.value.message.splitlines() == [
        f"input: policy.read_only: {state / 'runs'} is not shown: {ours}",
        f"policy.read_only: {tmp_path} is not shown: {ours}",
        "policy.read_only: /nowhere is not shown: it does not exist on the machine that runs the commands",
        "policy.read_only: /proc is not shown: it would show what belongs to the system or to other users",
        "policy.setup_env: TOKEN is not set in the environment of the worker processes",
    ]
    check_policy(spec(read_only=["/usr/share"], setup_env=["TOKEN"]), (state,), env={"TOKEN": "x"})


async def test_a_failed_setup_tells_nothing_of_its_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.agents.test_check import verdict

    monkeypatch.setenv("TOKEN_FOR_SETUP", "plum-pie-17")
    more = {"setup": 'echo "error: $TOKEN_FOR_SETUP $(echo "ada:$TOKEN_FOR_SETUP" | base64)"; exit 1', "check": "true"}
    found = await verdict(Stage(tmp_path, more=more | {"policy": {"setup_env": ["TOKEN_FOR_SETUP"]}}))
    assert found.failing.startswith("error: [redacted]")
    assert base64.b64encode(b"plum-pie-17").decode()[:-4] not in found.failing
