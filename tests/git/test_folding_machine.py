"""Whoever lands together, and whatever happens meanwhile: the trunk is what landing one after the other would make.

Processes die, stop or take their time at any step, leases are lost, single submissions break what carries them, and the
queue holds files that nobody can read.
"""

import os
import pickle
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from headway.domain.errors import LeaseLost
from headway.domain.ids import AgentId, Fence, Oid
from headway.git import refs
from headway.git.landing import group_commit, trunk_lock
from headway.git.landing.landing import (
    Conflicted,
    Landed,
    Landing,
    LandingBroken,
    LandingOutcome,
    NothingToLand,
    Submission,
)
from headway.git.landing.pack import Pack
from headway.git.landing.queue_files import QueueFiles
from headway.git.landing.trunk_lock import TrunkLock
from headway.git.ledger import LandingLedger
from headway.git.workspace.workspace import Workspace
from headway.system.process import Process
from tests.git.ground import Ground, make_repository, task
from tests.support.waiting import wait_until

AGENTS = (0, 1, 2)
NAMES = ("a", "b", "d/c", "own-0", "own-1", "own-2")
MOMENTS = ("put", "swap", "read_ref", "add", "answer", "withdraw")
WAYS = ("dies", "stops", "is slow")
CARRYING = ("read", "commit_text", "write", "swap", "read_ref", "add")
"""Steps of whoever carries, at each of which leases may be lost."""

TORN = (b"", b"{", b"[]", b'{"ticket": 1}', b"\xff\0", b"null")
PATIENCE_S = 0.3
_BROKEN, _LOST = 3, 4
_ROOMS: dict[str, object] = {
    "put": QueueFiles,
    "read": QueueFiles,
    "answer": QueueFiles,
    "withdraw": QueueFiles,
    "swap": group_commit,
    "commit_text": group_commit,
    "read_ref": refs,
    "add": LandingLedger,
    "write": Pack,
}
Files = dict[str, str]


def _at(moment: str, happens: Callable[[], object]) -> None:
    """Have something happen where this process comes to `moment` in a landing; a submission is in the queue by then."""
    real: Callable[..., object] = getattr(_ROOMS[moment], moment)

    def here(*args: object, **more: object) -> object:
        done = real(*args, **more) if moment == "put" else None
        happens()
        return done if moment == "put" else real(*args, **more)

    setattr(_ROOMS[moment], moment, here)


def _strike(way: str) -> None:
    if way == "is slow":
        time.sleep(PATIENCE_S * 3)
    else:
        os.kill(os.getpid(), signal.SIGKILL if way == "dies" else signal.SIGSTOP)


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
        self.ground.landing = Landing(self.ground.hub, self._holds)

    def _lost(self, agent: int) -> Path:
        return self.folder / f"lost-{agent}-{self.leases[agent]}"

    def _holds(self, fence: Fence) -> bool:
        return not (self.folder / fence).exists()

    def _check(self, agent: int) -> None:
        if self._lost(agent).exists():
            raise LeaseLost(f"a newer holder works for agent {agent}")

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

    @rule(
        struck=st.dictionaries(
            st.sampled_from(AGENTS), st.tuples(st.sampled_from(WAYS), st.sampled_from(MOMENTS)), max_size=2
        ),
        broken=st.sets(st.sampled_from(AGENTS), max_size=2),
        lost=st.dictionaries(st.sampled_from(AGENTS), st.sampled_from(CARRYING), max_size=1),
        torn=st.lists(st.sampled_from(TORN), max_size=3),
        wedge=st.booleans(),
    )
    def land_together(
        self,
        struck: dict[int, tuple[str, str]],
        broken: set[int],
        lost: dict[int, str],
        torn: list[bytes],
        wedge: bool,
    ) -> None:
        for agent in {*struck, *broken, *lost}:
            # What happens to it is of interest where it has something to land.
            self._write(agent, f"own-{agent}")
        queue = self.ground.hub.folder / "landing/queue"
        queue.mkdir(parents=True, exist_ok=True)
        for number, content in enumerate(torn * (30 if wedge else 1)):
            (queue / f"00000000-{number:020}-1-0123456789ab-{number}").write_bytes(content)
        before = {agent: (self.base[agent], self._files(agent)) for agent in AGENTS}
        asked = {agent: self._ask(agent) for agent in AGENTS}
        lock = TrunkLock(self.ground.hub.folder / "land.flock")
        while not lock.take():
            time.sleep(0.005)
        landers = {agent: self._lander(agent, asked[agent], struck.get(agent), broken, lost) for agent in AGENTS}
        self._until_queued([landers[agent] for agent in AGENTS if before[agent][1] != self.at[before[agent][0]]])
        lock.release()
        lock.close()
        ends = {agent: self._end(agent, landers[agent], struck.get(agent), lost) for agent in AGENTS}
        outcomes = {agent: ends[agent] or self._again(agent, asked[agent]) for agent in AGENTS}
        self._is_serial(before, outcomes)

    def _ask(self, agent: int) -> Submission:
        return self.ground.ask(
            self.spaces[agent], place=f"{time.monotonic_ns()}", fence=f"lost-{agent}-{self.leases[agent]}"
        )

    def _lander(
        self, agent: int, asked: Submission, struck: tuple[str, str] | None, broken: set[int], lost: dict[int, str]
    ) -> int:
        pid = os.fork()
        if pid == 0:
            trunk_lock.PATIENCE_S = PATIENCE_S
            try:
                if struck is not None:
                    _at(struck[1], lambda: _strike(struck[0]))
                for loser, moment in lost.items():
                    _at(moment, self._lost(loser).touch)
                _break({task(each) for each in broken})
                outcome = self.ground.landing.land(self.spaces[agent], asked, lambda: self._check(agent))
                (self.folder / f"{agent}.outcome").write_bytes(pickle.dumps(outcome))
                os._exit(0)
            except LandingBroken:
                os._exit(_BROKEN)
            except LeaseLost:
                os._exit(_LOST)
            except BaseException:  # noqa: BLE001 - the child of a fork must not go on as its parent
                (self.folder / f"{agent}.error").write_text(traceback.format_exc())
            finally:
                os._exit(1)
        return pid

    def _until_queued(self, pids: list[int]) -> None:
        """Wait until each has something in the queue, or has died of it: who comes next clears that away."""
        queue = self.ground.hub.folder / "landing/queue"
        end = time.monotonic() + 60
        while waited := [pid for pid in pids if not list(queue.glob(f"[!.]*-{pid}-*")) and not _ended(pid)]:
            failed = [error.read_text() for error in self.folder.glob("*.error")]
            assert not failed, failed[0]
            assert time.monotonic() < end, (waited, list(queue.iterdir()))
            time.sleep(0.005)

    def _end(self, agent: int, pid: int, struck: tuple[str, str] | None, lost: dict[int, str]) -> LandingOutcome | None:
        """What its process was told; None when that has not come to an end with it."""
        status = os.waitpid(pid, os.WUNTRACED)[1]
        if os.WIFSTOPPED(status):
            # Whoever waits for the lock kills one that holds it; one that does not is the supervisor's.
            lock = TrunkLock(self.ground.hub.folder / "land.flock")
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(trunk_lock, "PATIENCE_S", PATIENCE_S)
                wait_until(lock.take)
            lock.release()
            lock.close()
            os.kill(pid, signal.SIGKILL)
            status = os.waitpid(pid, 0)[1]
        code = os.waitstatus_to_exitcode(status)
        error = self.folder / f"{agent}.error"
        assert not error.exists(), error.read_text()
        assert code in (0, _BROKEN, _LOST, -signal.SIGKILL)
        if code == -signal.SIGKILL:
            assert struck is not None
            assert struck[0] != "is slow"
        if code == _LOST:
            assert self._lost(agent).exists()
        outcome: LandingOutcome | None = None
        if code == 0:
            outcome = pickle.loads((self.folder / f"{agent}.outcome").read_bytes())
            if self._lost(agent).exists():
                self.leases[agent] += 1
                self.spaces[agent] = self.ground.open(agent, lease=self.leases[agent])
        landed = [commit for commit in self.ground.hub.landed(self.tip) if commit.task == task(agent)]
        # What is lost or dies once the trunk has moved has landed, and the next holder finds it.
        late = code == -signal.SIGKILL or (code == _LOST and lost[agent] == "add")
        assert len(landed) == (code == 0 and isinstance(outcome, Landed)) or late
        return outcome

    def _again(self, agent: int, asked: Submission) -> LandingOutcome:
        """As the next holder of the task does: the same call, under a newer lease."""
        self.leases[agent] += 1
        self.spaces[agent] = self.ground.open(agent, lease=self.leases[agent])
        renewed = replace(asked, fence=Fence(f"lost-{agent}-{self.leases[agent]}"))
        return self.ground.landing.land(self.spaces[agent], renewed, lambda: self._check(agent))

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


def _ended(pid: int) -> bool:
    found = Process.of(pid)
    return found is None or not found.alive


def _break(tasks: set[AgentId]) -> None:
    """Have the landings of these tasks break whoever carries them, in a way that nobody foresaw."""
    real = group_commit.commit_text  # type: ignore[attr-defined]

    def text(tree: Oid, parents: tuple[Oid, ...], author: str, message: str) -> bytes:
        if any(f"Headway-Task: {each}\n" in message for each in tasks):
            raise RuntimeError("a bug that only these meet")
        found: bytes = real(tree, parents, author, message)
        return found

    setattr(group_commit, "commit_text", text)  # noqa: B010


def _read(workspace: Workspace) -> Files:
    found = {name: workspace.path / name for name in NAMES}
    return {name: path.read_text() for name, path in found.items() if path.exists()}


TestFoldingMachine = FoldingMachine.TestCase
# A failure is told as it came: each step takes processes and seconds, and to find a smaller one would take hours.
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
TestFoldingMachine.settings = settings(max_examples=3, stateful_step_count=6, deadline=None, phases=_PHASES)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_the_same_for_long() -> None:
    many = settings(max_examples=60, stateful_step_count=20, deadline=None, phases=_PHASES)
    run_state_machine_as_test(FoldingMachine, settings=many)
