"""`setup` has secrets and network while it runs what the user wrote; what it made then stays when it fails later."""

import itertools
import os
import shutil
from pathlib import Path

import pytest

from headway.domain.check import RunCheck
from headway.domain.ids import AgentId, Fence, Oid
from headway.domain.spec import RunSpec
from headway.eventlog.events.life import RunStart
from headway.git.changes import Changes
from headway.git.landing.landing import Landed, Landing, Submission
from headway.git.workspace.setup_cache import SetupDone, withheld_note
from headway.git.workspace.workspace import Workspace
from headway.git.workspace.workspace_backend import overlay_trouble
from headway.git.workspace.workspaces import Workspaces
from headway.runs import setup_runner
from headway.runs.check import Checker
from headway.runs.setup_runner import ensure_base_layer, set_up_files
from headway.sandbox.backends.backends import Backends
from headway.sandbox.local import LocalSandbox
from headway.sandbox.resources import Resources
from headway.sandbox.runner import Command, CommandResult
from tests.agents.stage import RUN, Stage

TOKEN = "npm_THE_TOKEN_0002"
SETUP = "echo run >> .headway/home/ran; rm -rf lib; sh setup.sh"
HONEST = '[ "$NPM_TOKEN" ] && mkdir -p lib && echo made > lib/dependency\n'
LEAKING = 'mkdir -p lib; echo "token=$NPM_TOKEN" | tee lib/config; grep -c 00000000 /proc/net/route; ' + HONEST

NUMBERS = itertools.count()

needs_bubblewrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPM_TOKEN", TOKEN)


@pytest.fixture(scope="module")
def walled(tmp_path_factory: pytest.TempPathFactory) -> LocalSandbox:
    found = Backends((tmp_path_factory.mktemp("private"),), Resources()).choose(allow_weak=True)
    if not found.level.startswith("bubblewrap"):
        pytest.skip(f"bubblewrap does not work here: {found.level}")
    return found


@pytest.fixture(params=["overlay", "clone"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    if request.param == "overlay" and overlay_trouble(Path("/tmp")):
        pytest.skip("needs overlays")
    more = {"setup": SETUP, "check": "[ -e lib/dependency ]", "policy": {"setup_env": ["NPM_TOKEN"]}}
    files = {".gitignore": "lib/\n", "package.json": "{}\n", "setup.sh": HONEST}
    stage = Stage(tmp_path, more=more, files=files)
    stage.places = Workspaces(stage.store.run_folder(RUN) / "workspaces", stage.hub, level=request.param)
    return stage


def spec_of(stage: Stage, **policy: object) -> RunSpec:
    spec = stage.store.said(stage.context.spec, RunStart).spec
    return spec.model_copy(update={"policy": spec.policy.model_copy(update=policy)})


def land(stage: Stage, files: dict[str, str]) -> None:
    """An agent's change."""
    order = stage.task(number=next(NUMBERS))
    workspace = stage.places.open(order.me, 1, 1)
    for name, content in files.items():
        (workspace.path / name).write_text(content)
    asked = Submission(
        message="Set up faster",
        author="Eve <eve@example.org>",
        run=RUN,
        task=order.me,
        planner=(),
        place=f"{order.me}:{os.urandom(4).hex()}",
        fence=Fence("held"),
    )
    assert isinstance(Landing(stage.hub, lambda _: True).land(workspace, asked, lambda: None), Landed)


async def opened(stage: Stage, spec: RunSpec, sandbox: LocalSandbox) -> tuple[Workspace, SetupDone]:
    """A worker's workspace as it is when the worker begins."""
    order = stage.task(number=next(NUMBERS))
    await ensure_base_layer(stage.places, spec, sandbox, order.me, stage.beats.append)
    workspace = stage.places.open(order.me, 1, 1)
    assert spec.setup is not None
    done = workspace.setup_done(spec.setup)
    return workspace, done or await set_up_files(sandbox, order.me, workspace, spec, spec.setup)


def dependency(workspace: Workspace) -> bool:
    return (workspace.path / "lib/dependency").exists()


@needs_bubblewrap
async def test_what_an_agent_landed_never_sees_the_secret_or_the_network(stage: Stage, walled: LocalSandbox) -> None:
    spec = spec_of(stage)
    first, done = await opened(stage, spec, walled)
    assert (done.exit_code, dependency(first)) == (0, True)
    land(stage, {"setup.sh": LEAKING, "package.json": '{"x": 1}\n'})
    workspace, done = await opened(stage, spec, walled)
    assert done.withheld == ("network", "policy.setup_env")
    everything = [
        p.read_text(errors="replace") for p in workspace.path.rglob("*") if p.is_file() and ".git" not in p.parts
    ]
    assert TOKEN not in done.output + "".join(everything)
    assert (workspace.path / "setup.sh").read_text() == LEAKING, "it stands on the trunk all the same"


@needs_bubblewrap
async def test_a_run_that_adds_a_dependency_goes_on(stage: Stage, walled: LocalSandbox) -> None:
    """`setup` fails for lack of what was withheld: what it made on the base is there, and no check is red for it."""
    spec = spec_of(stage)
    await opened(stage, spec, walled)
    land(stage, {"package.json": '{"dependencies": {"new": "1"}}\n'})
    workspace, done = await opened(stage, spec, walled)
    assert (done.exit_code != 0, done.withheld) == (True, ("network", "policy.setup_env"))
    assert dependency(workspace), "what it made on the base stays"
    assert workspace.changes() == Changes()
    checker = Checker(stage.store, lambda _: stage.hub, lambda _: stage.places, walled)
    order = RunCheck(run=RUN, incarnation=stage.context.incarnation, spec=stage.context.spec, asked_by=AgentId(RUN))
    verdict = await checker.check(order, stage.beats.append)
    assert (verdict.ran, verdict.passed) == (False, False)
    assert "policy.setup_trust" in withheld_note(stage.hub.folder), "the run's notes name the choice"
    for words in ("could not be run", "network and policy.setup_env", "policy.setup_trust"):
        assert words in verdict.why


@needs_bubblewrap
async def test_it_fails_once_and_is_not_tried_for_each_workspace(stage: Stage, walled: LocalSandbox) -> None:
    if stage.places.level != "overlay":
        pytest.skip("clones share no layers")
    spec = spec_of(stage)
    await opened(stage, spec, walled)
    land(stage, {"package.json": '{"x": 1}\n'})
    begun = len(stage.beats)
    for _ in range(3):
        await opened(stage, spec, walled)
    assert stage.beats[begun:].count("runs setup") == 1


@needs_bubblewrap
@pytest.mark.parametrize("trust", ["network", "full"])
async def test_the_user_can_trust_more(stage: Stage, walled: LocalSandbox, trust: str) -> None:
    spec = spec_of(stage, setup_trust=trust)
    await opened(stage, spec, walled)
    land(stage, {"package.json": '{"x": 1}\n'})
    workspace, done = await opened(stage, spec, walled)
    assert done.withheld == (() if trust == "full" else ("policy.setup_env",))
    assert dependency(workspace) or trust == "network"


@needs_bubblewrap
async def test_after_a_restart_of_the_machine_the_base_is_set_up_first(
    stage: Stage, walled: LocalSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its layers are gone with the boot, the trunk has moved on, and only the base may have the secret."""
    spec = spec_of(stage)
    land(stage, {"README.md": "moved on\n"})
    workspace, done = await opened(stage, spec, walled)
    assert (done.exit_code, dependency(workspace)) == (0, True)
    assert (workspace.path / "README.md").read_text() == "moved on\n"
    assert workspace.changes() == Changes()


class _Killed(BaseException):
    """As the death of the process: nothing of it is handled."""


@needs_bubblewrap
async def test_a_kill_on_the_way_by_the_base_loses_no_commit(
    stage: Stage, walled: LocalSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`setup` may take minutes; a worker that is killed then still stands on the commit that it was given."""
    if stage.places.level == "overlay":
        pytest.skip("its layers are made before the workspace")
    spec, move = spec_of(stage), setup_runner._move_to
    land(stage, {"README.md": "moved on\n", "package.json": '{"x": 1}\n'})
    tip = stage.hub.tip()

    for fatal in range(1, 4):
        moves = itertools.count(1)

        def dies(workspace: Workspace, commit: Oid, at: int = fatal, count: "itertools.count[int]" = moves) -> None:
            if next(count) == at:
                raise _Killed
            move(workspace, commit)

        order = stage.task(number=next(NUMBERS))
        workspace = stage.places.open(order.me, 1, 1)
        with monkeypatch.context() as patch:
            patch.setattr(setup_runner, "_move_to", dies)
            with pytest.raises(_Killed):
                await set_up_files(walled, order.me, workspace, spec, SETUP)
        workspace = stage.places.open(order.me, 1, 2)
        done = await set_up_files(walled, order.me, workspace, spec, SETUP)
        assert workspace.base == tip, f"killed before move {fatal}"
        assert (workspace.path / "README.md").read_text() == "moved on\n"
        assert done.withheld == ("network", "policy.setup_env")
        assert dependency(workspace)
        assert workspace.changes() == Changes()


POISONED = """echo 'echo "$NPM_TOKEN" > lib/stolen' > "$HOME/.rc"
git config core.fsmonitor 'sh -c "mkdir -p lib; echo $NPM_TOKEN > lib/stolen-by-git"'
mkdir -p lib; cp "$HOME/.rc" lib/rc
"""
HARMLESS = '[ ! -e "$HOME/.rc" ] || . "$HOME/.rc"; [ ! -e lib/rc ] || . lib/rc; git status > lib/status; '


@needs_bubblewrap
@pytest.mark.parametrize("killed", [False, True])
async def test_what_agents_set_up_is_gone_before_the_secret_comes_again(
    tmp_path: Path, walled: LocalSandbox, *, killed: bool
) -> None:
    """HOME, hooks and settings of git, what is ignored: the base's `setup` may run or read each of them."""
    command = "sh setup.sh"
    more = {"setup": command, "check": "true", "policy": {"setup_env": ["NPM_TOKEN"]}}
    files = {".gitignore": "lib/\n", "package.json": "{}\n", "setup.sh": "mkdir -p lib; " + HARMLESS + HONEST}
    stage = Stage(tmp_path, more=more, files=files)
    stage.places = Workspaces(stage.store.run_folder(RUN) / "workspaces", stage.hub, level="clone")
    spec = spec_of(stage)
    land(stage, {"setup.sh": POISONED + ("" if killed else "false\n"), "package.json": '{"x": 1}\n'})
    order = stage.task(number=next(NUMBERS))
    workspace = stage.places.open(order.me, 1, 1)
    if killed:
        with pytest.raises(_Killed):
            await set_up_files(_KilledAfter(walled, 2), order.me, workspace, spec, command)  # type: ignore[arg-type]
        workspace = stage.places.open(order.me, 1, 2)
    await set_up_files(walled, order.me, workspace, spec, command)
    holding = [p for p in workspace.path.rglob("*") if p.is_file() and TOKEN.encode() in p.read_bytes()]
    assert holding == []
    assert dependency(workspace)


class _KilledAfter:
    """A sandbox whose process dies at the end of its n-th command."""

    def __init__(self, sandbox: LocalSandbox, runs: int) -> None:
        self._sandbox = sandbox
        self._runs = runs
        self.level, self.refuses_network = sandbox.level, sandbox.refuses_network

    async def run(self, command: Command) -> CommandResult:
        result = await self._sandbox.run(command)
        self._runs -= 1
        if not self._runs:
            raise _Killed
        return result
