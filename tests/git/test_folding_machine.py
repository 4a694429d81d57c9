"""Whoever lands together, and whoever dies while it does: the trunk is what landing one after the other would make."""

import os
import pickle
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from headway.domain.ids import Oid
from headway.git import folding
from headway.git.landing import Conflicted, Landed, LandingOutcome, NothingToLand, Submission
from headway.git.ledger import Ledger
from headway.git.spool import Spool
from headway.git.trunk_lock import TrunkLock
from headway.git.workspace import Workspace
from tests.git.ground import Ground, allowed, make_repository, task

AGENTS = (0, 1, 2)
NAMES = ("a", "b", "d/c", "own-0", "own-1", "own-2")
DEATHS = ("put", "swap", "add", "answer", "withdraw")
Files = dict[str, str]


def _dying_at(moment: str) -> None:
    """Have this process die where it comes to `moment` in a landing."""
    room: object = {"put": Spool, "swap": folding, "add": Ledger, "answer": Spool, "withdraw": Spool}[moment]
    real: Callable[..., object] = getattr(room, moment)

    def die(*args: object, **more: object) -> object:
        if moment == "put":
            real(*args, **more)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    setattr(room, moment, die)


class FoldingMachine(RuleBasedStateMachine):
    """Files of one line each, so that two different edits of one file always conflict."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        start: Files = {"a": "start of a\n", "d/c": "start of c\n"}
        self.ground = Ground.prepare(self.folder / "state", make_repository(self.folder / "source", {**start}), "clone")
        self.tip = self.ground.facts.base
        self.at: dict[Oid, Files] = {self.tip: start}
        self.base = dict.fromkeys(AGENTS, self.tip)
        self.spaces = {agent: self.ground.open(agent) for agent in AGENTS}
        self.leases = dict.fromkeys(AGENTS, 1)
        self.texts = 0

    @rule(agent=st.sampled_from(AGENTS), name=st.sampled_from(NAMES), gone=st.booleans())
    def edit(self, agent: int, name: str, gone: bool) -> None:
        path = self.spaces[agent].path / name
        if gone:
            path.unlink(missing_ok=True)
            return
        self._write(agent, name)

    def _write(self, agent: int, name: str) -> None:
        path = self.spaces[agent].path / name
        self.texts += 1
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{self.texts} written by agent {agent} into {name * 9}\n")

    @rule(dying=st.dictionaries(st.sampled_from(AGENTS), st.sampled_from(DEATHS), max_size=2))
    def land_together(self, dying: dict[int, str]) -> None:
        for agent in dying:
            # A death is of interest to who has something to land.
            self._write(agent, f"own-{agent}")
        before = {agent: (self.base[agent], self._files(agent)) for agent in AGENTS}
        asked = {agent: self.ground.ask(self.spaces[agent], place=f"{time.monotonic_ns()}") for agent in AGENTS}
        lock = TrunkLock(self.ground.hub.folder / "land.flock")
        while not lock.take():
            time.sleep(0.005)
        landers = {agent: self._lander(agent, asked[agent], dying.get(agent)) for agent in AGENTS}
        self._until_queued([agent for agent in AGENTS if before[agent][1] != self.at[before[agent][0]]])
        lock.release()
        lock.close()
        outcomes = {agent: self._outcome(agent, landers[agent], asked[agent]) for agent in AGENTS}
        self._is_serial(before, outcomes)

    def _lander(self, agent: int, asked: Submission, death: str | None) -> int:
        pid = os.fork()
        if pid == 0:
            try:
                if death is not None:
                    _dying_at(death)
                outcome = self.ground.landing.land(self.spaces[agent], asked, allowed)
                (self.folder / f"{agent}.outcome").write_bytes(pickle.dumps(outcome))
                os._exit(0)
            except BaseException:  # noqa: BLE001 - the child of a fork must not go on as its parent
                (self.folder / f"{agent}.error").write_text(traceback.format_exc())
            finally:
                os._exit(1)
        return pid

    def _until_queued(self, agents: list[int]) -> None:
        queue = self.ground.hub.folder / "landing/queue"
        until = time.monotonic() + 60
        while agents and (not queue.is_dir() or len(list(queue.iterdir())) < len(agents)):
            failed = [error.read_text() for error in self.folder.glob("*.error")]
            assert not failed, failed[0]
            assert time.monotonic() < until, list(queue.iterdir())
            time.sleep(0.005)

    def _outcome(self, agent: int, pid: int, asked: Submission) -> LandingOutcome:
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert code in (0, -signal.SIGKILL)
        if code == 0:
            outcome: LandingOutcome = pickle.loads((self.folder / f"{agent}.outcome").read_bytes())
            return outcome
        # As the next holder of the task does: the same call, under a newer lease.
        self.leases[agent] += 1
        self.spaces[agent] = self.ground.open(agent, lease=self.leases[agent])
        return self.ground.landing.land(self.spaces[agent], asked, allowed)

    def _is_serial(self, before: dict[int, tuple[Oid, Files]], outcomes: dict[int, LandingOutcome]) -> None:
        landed = self.ground.hub.landed(self.tip)
        assert len(landed) == sum(isinstance(outcome, Landed) for outcome in outcomes.values())
        for commit in landed:
            (agent,) = [a for a in AGENTS if task(a) == commit.task]
            outcome = outcomes[agent]
            assert isinstance(outcome, Landed)
            assert outcome.commit == commit.oid
            base, mine = before[agent]
            trunk = dict(self.at[self.tip])
            assert not self._fought(base, mine, trunk)
            for name in self._changed(base, mine):
                trunk.pop(name, None)
                if name in mine:
                    trunk[name] = mine[name]
            self.tip = commit.oid
            self.at[self.tip] = trunk
        for agent, outcome in outcomes.items():
            base, mine = before[agent]
            assert isinstance(outcome, (Landed, Conflicted, NothingToLand))
            fought = self._fought(base, mine, self.at[outcome.trunk])
            if isinstance(outcome, Conflicted):
                assert set(outcome.paths) == fought
                self._take_the_trunks(agent, fought)
            elif isinstance(outcome, NothingToLand):
                assert all(mine.get(n) == self.at[outcome.trunk].get(n) for n in self._changed(base, mine))
            self.base[agent] = self.spaces[agent].base

    def _take_the_trunks(self, agent: int, fought: set[str]) -> None:
        for name in fought:
            path = self.spaces[agent].path / name
            path.unlink(missing_ok=True)
            text = self.at[self.spaces[agent].base].get(name)
            if text is not None:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text)

    def _changed(self, base: Oid, mine: Files) -> set[str]:
        return {name for name in NAMES if mine.get(name) != self.at[base].get(name)}

    def _fought(self, base: Oid, mine: Files, trunk: Files) -> set[str]:
        theirs = {name for name in NAMES if trunk.get(name) != self.at[base].get(name)}
        return {name for name in self._changed(base, mine) & theirs if mine.get(name) != trunk.get(name)}

    def _files(self, agent: int) -> Files:
        return _read(self.spaces[agent])

    @precondition(lambda self: hasattr(self, "ground"))
    @invariant()
    def the_trunk_is_what_the_model_says(self) -> None:
        assert self.ground.hub.tip() == self.tip
        for name in NAMES:
            on_trunk = self.ground.hub.repo.run("cat-file", "blob", f"refs/heads/main:{name}", ok=None)
            assert (on_trunk.out.decode() if on_trunk.code == 0 else None) == self.at[self.tip].get(name)

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.ground.check_whole()
            shutil.rmtree(self.folder)


def _read(workspace: Workspace) -> Files:
    found = {name: workspace.path / name for name in NAMES}
    return {name: path.read_text() for name, path in found.items() if path.exists()}


TestFoldingMachine = FoldingMachine.TestCase
TestFoldingMachine.settings = settings(max_examples=4, stateful_step_count=8, deadline=None)
