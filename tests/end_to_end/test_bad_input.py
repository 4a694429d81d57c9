"""Input that no run can start from: the run fails at once, with one message that says what to do."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from headway.domain.ids import RunName
from headway.host.service_settings import find_settings, load_settings
from headway.host.temporal_cli import find_cli
from tests.support.command import headway
from tests.support.playbooks import flat
from tests.support.repositories import git
from tests.support.site import Machine, shared_machine

AT_ONCE_S = 10
UNREACHABLE = {"HEADWAY_ENDPOINT_DEAD_URL": "http://127.0.0.1:1/v1"}


@pytest.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machine]:
    async with shared_machine(tmp_path_factory.mktemp("machine"), env=UNREACHABLE) as site:
        yield site


@pytest.fixture
def bad(tmp_path: Path, small_repository: Path) -> dict[str, tuple[dict[str, Any], str, str]]:
    """Inputs, each with what is said of it and what to do about it."""
    usable = {"repo": str(small_repository), "instructions": "Write."}
    plain, empty, bare = tmp_path / "plain", tmp_path / "empty", tmp_path / "bare.git"
    plain.mkdir()
    git("init", "--quiet", str(empty))
    git("init", "--quiet", "--bare", str(bare))
    return {
        "plain": ({"repo": str(plain)}, f"repo: {plain} is not a git repository", f"git -C {plain} init"),
        "empty": ({"repo": str(empty)}, f"repo: {empty} has no commit to start from", "Commit first: git -C"),
        "bare": ({"repo": str(bare)}, f"repo: {bare} has no commit to start from", "Push a commit to it first"),
        "base": (
            {"repo": str(small_repository), "base": "no-such-branch"},
            f"base: {small_repository} has no branch, tag or commit 'no-such-branch'",
            f"git -C {small_repository} branch --all",
        ),
        "setup": (
            {**usable, "setup": "echo no such package; exit 3", "check": "true"},
            "setup: exit code 3, on the base",
            "Correct `setup`",
        ),
        "check": ({**usable, "check": "mkae test"}, "check: exit code 127", "Correct `check`"),
        "dead": (
            {**usable, "models": {"worker": {"endpoint": "dead", "model": "m"}}},
            "http://127.0.0.1:1/v1: cannot be reached",
            "Start that server, or correct HEADWAY_ENDPOINT_DEAD_URL",
        ),
        "undeclared": (
            {**usable, "models": {"worker": {"endpoint": "box"}}},
            "models.worker.endpoint: 'box' is not an endpoint",
            "HEADWAY_ENDPOINT_<NAME>_URL",
        ),
    }


async def refused(site: Machine, name: str, **more: Any) -> str:
    """The one message with which a run fails, at once."""
    started = time.monotonic()
    run = await site.start(name, **more)
    with pytest.raises(WorkflowFailureError) as failed:
        await asyncio.wait_for(run.result(), 60)
    assert time.monotonic() - started < AT_ONCE_S
    assert isinstance(failed.value.cause, ApplicationError), "the failure itself says it, and not a cause of it"
    return failed.value.cause.message


async def test_a_run_on_what_it_cannot_start_from_fails_at_once_with_the_remedy(
    shared: Machine, small_repository: Path, tmp_path: Path, bad: dict[str, tuple[dict[str, Any], str, str]]
) -> None:
    file = tmp_path / "input.json"
    with shared.playing(small_repository, flat("bad", 1)) as site:
        target = site.client.service_client.config.target_host
        for name, (given, said, remedy) in bad.items():
            message = await refused(site, name, **given)
            assert message.startswith(said)
            assert remedy in message
            file.write_text(json.dumps({"instructions": "Write.", **given}))
            for detach in ((), ("--detach",)) if name == "plain" else ((),):
                argv = ("run", "--input", str(file), "--name", f"{name}-cli", *detach)
                shown = await headway(site.home, *argv, TEMPORAL_ADDRESS=target)
                text = " ".join(shown.refusal.split())
                assert text.count(said) == 1, shown
                assert remedy in text
                assert f"the name '{name}-cli' is free" in text
                assert "has started" not in shown.out
            assert not site.store.run_folder(RunName(name)).exists()
        git("-C", str(small_repository), "branch", "headway")
        assert "there is a branch 'headway'" in await refused(site, "taken")
        git("-C", str(small_repository), "branch", "-D", "headway")
        assert site.rehearsal.report()["requests"] == 0
    log = (shared.home / "logs" / "planning.log").read_text()
    assert "Traceback" not in log, "what its user corrects is no fault of the program"
    assert all(f" prepare_run of {name}, try 1: UserError: {said}" in log for name, (_, said, _) in bad.items())


async def test_a_start_that_was_refused_does_not_use_up_the_name(
    shared: Machine, small_repository: Path, tmp_path: Path
) -> None:
    """On a bare repository, which has no checkout to merge in and is published to like any other."""
    bare = tmp_path / "bare.git"
    git("clone", "--quiet", "--bare", str(small_repository), str(bare))
    with shared.playing(bare, flat("again", 1)) as site:
        env = {"TEMPORAL_ADDRESS": site.client.service_client.config.target_host}
        given = ("run", str(bare), "Write.", "--name", "again")
        assert (await headway(site.home, *given, "--base", "mian", **env)).refusal
        shown = await headway(site.home, *given, "--base", "main", "--check", "true", "--quiet", **env)
        assert shown.code == 0, shown
        assert shown.out.startswith("again: done, and the check passes on the trunk\n"), "quiet: the result alone"
        assert f"fetch     git fetch {bare} headway/again/main\n" in shown.out
        assert git("-C", str(bare), "rev-parse", "headway/again/main").strip() == site.hub("again").tip()
        once_more = await headway(site.home, *given, **env)
        assert "a run named 'again' is there already" in once_more.refusal


async def test_the_name_of_a_run_that_is_over_is_refused_with_the_remedy(
    shared: Machine, small_repository: Path
) -> None:
    temporal = str(find_cli(load_settings(find_settings()).cli).path)
    with shared.playing(small_repository, flat("twice", 1)) as site:
        first = await site.start("twice")
        report = await asyncio.wait_for(first.result(), 60)
        # As `temporal workflow start` does, whose default lets a name be used again.
        message = await refused(site, "twice")
        assert message.startswith("run 'twice': there was a run of this name before")
        assert "headway rm twice" in message
        assert site.hub("twice").tip() == report["trunk"], "nothing of the first run was touched"
        assert git("-C", str(small_repository), "rev-parse", "headway/twice/main").strip() == report["trunk"]
        address = ("--address", site.client.service_client.config.target_host)
        start = ("--type", "Run", "--task-queue", "headway", "--workflow-id", "twice")
        given = ("--input", f'{{"repo": "{small_repository}", "instructions": "Write."}}')
        asked = await asyncio.create_subprocess_exec(
            temporal, "workflow", "execute", *start, *given, *address, stdout=-1, stderr=-1
        )
        out, err = await asyncio.wait_for(asked.communicate(), 60)
        assert asked.returncode != 0
        assert "headway rm twice" in (out + err).decode()
