"""Any order of edits, landings, snapshots and reopenings gives what a simple model of three-way merging says."""

import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from headway.git.landing.landing import Conflicted, Landed, NothingToLand
from headway.git.workspace import overlay
from headway.git.workspace.snapshot import newest, snapshot
from headway.git.workspace.workspace import Workspace
from tests.git.ground import Ground, allowed, make_repository

NAMES = ("a", "b", "d/c", "d/e")
AGENTS = (0, 1)
Files = dict[str, str]


def _files(workspace: Workspace) -> Files:
    found = {name: workspace.path / name for name in NAMES}
    return {name: path.read_text() for name, path in found.items() if path.exists()}


class LandingMachine(RuleBasedStateMachine):
    """Files of one line each, so that two different edits of one file always conflict."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        start: Files = {"a": "start of a\n", "d/c": "start of c\n"}
        source = make_repository(self.folder / "source", {**start})
        self.ground = Ground.prepare(self.folder / "state", source)
        self.trunk = dict(start)
        self.base = {agent: dict(start) for agent in AGENTS}
        self.mine = {agent: dict(start) for agent in AGENTS}
        self.workspaces = {agent: self.ground.open(agent) for agent in AGENTS}
        self.landed = 0
        self.texts = 0

    @rule(agent=st.sampled_from(AGENTS), name=st.sampled_from(NAMES))
    def write(self, agent: int, name: str) -> None:
        self.texts += 1
        self.mine[agent][name] = f"{self.texts} written by agent {agent} into {name * 9}\n"
        path = self.workspaces[agent].path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(self.mine[agent][name])

    @rule(agent=st.sampled_from(AGENTS), name=st.sampled_from(NAMES))
    def delete(self, agent: int, name: str) -> None:
        if self.mine[agent].pop(name, None) is not None:
            (self.workspaces[agent].path / name).unlink()

    @rule(agent=st.sampled_from(AGENTS))
    def open_again(self, agent: int) -> None:
        before = self.workspaces[agent]
        self.workspaces[agent] = self.ground.open(agent, lease=before.lease + 1)

    @rule(agent=st.sampled_from(AGENTS))
    def keep(self, agent: int) -> None:
        workspace = self.workspaces[agent]
        kept = snapshot(self.ground.hub, workspace, workspace.task, allowed)
        assert (kept is None) == (self.mine[agent] == self.base[agent])
        if kept is not None:
            assert newest(self.ground.hub, workspace.task) == kept

    @rule(agent=st.sampled_from(AGENTS), part=st.sampled_from([None, "a", "d"]))
    def land(self, agent: int, part: str | None) -> None:
        base, mine = self.base[agent], self.mine[agent]
        if part is not None and not any(_below(name, part) for name in (*base, *mine)):
            return
        chosen = {name for name in NAMES if (part is None or _below(name, part)) and mine.get(name) != base.get(name)}
        theirs = {name for name in NAMES if self.trunk.get(name) != base.get(name)}
        fought = {name for name in chosen & theirs if mine.get(name) != self.trunk.get(name)}
        outcome = self.ground.land(self.workspaces[agent], paths=None if part is None else (part,))
        if not chosen:
            assert isinstance(outcome, NothingToLand)
        elif fought:
            assert isinstance(outcome, Conflicted)
            assert set(outcome.paths) == fought
            self._take_the_trunks(agent)
        else:
            assert isinstance(outcome, (Landed, NothingToLand))
            self.landed += isinstance(outcome, Landed)
            assert isinstance(outcome, Landed) == any(mine.get(n) != self.trunk.get(n) for n in chosen)
            for name in chosen:
                _put(self.trunk, name, mine.get(name))
            self._take_the_trunks(agent)

    @rule(name=st.sampled_from(NAMES))
    def contend(self, name: str) -> None:
        """Both write the same file and land. Without this rule hardly any history has a conflict."""
        for agent in AGENTS:
            self.write(agent, name)
        for agent in AGENTS:
            self.land(agent, None)

    def _take_the_trunks(self, agent: int) -> None:
        """The workspace stands on the trunk now; where its own edits conflict, the agent takes the trunk's side."""
        base, mine = self.base[agent], self.mine[agent]
        for name in NAMES:
            theirs = self.trunk.get(name)
            if theirs != base.get(name) and mine.get(name) not in (base.get(name), theirs):
                path = self.workspaces[agent].path / name
                path.unlink(missing_ok=True)
                if theirs is not None:
                    path.parent.mkdir(exist_ok=True)
                    path.write_text(theirs)
                _put(mine, name, theirs)
            elif theirs != base.get(name):
                _put(mine, name, theirs)
        self.base[agent] = dict(self.trunk)

    @precondition(lambda self: hasattr(self, "ground"))
    @invariant()
    def everything_is_where_the_model_says(self) -> None:
        assert self.ground.landings() == self.landed
        for agent in AGENTS:
            assert _files(self.workspaces[agent]) == self.mine[agent]
            changed = {n for n in NAMES if self.mine[agent].get(n) != self.base[agent].get(n)}
            assert set(self.workspaces[agent].changes().paths) == changed
        for name in NAMES:
            on_trunk = self.ground.hub.repo.run("cat-file", "blob", f"refs/heads/main:{name}", ok=None)
            assert (on_trunk.out.decode() if on_trunk.code == 0 else None) == self.trunk.get(name)

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.ground.check_whole()
            overlay.unmount_below(self.folder)
            shutil.rmtree(self.folder)


def _below(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}/")


def _put(files: Files, name: str, text: str | None) -> None:
    if text is None:
        files.pop(name, None)
    else:
        files[name] = text


TestLandingMachine = LandingMachine.TestCase
TestLandingMachine.settings = settings(max_examples=6, stateful_step_count=8, deadline=None)
