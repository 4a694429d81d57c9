"""Proves a commit: the user's check, run in a workspace of its own that is thrown away."""

import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from headway.domain.check import CheckVerdict, RunCheck
from headway.domain.ids import AgentId, Oid, RunName, short_hash
from headway.domain.progress import Progress
from headway.domain.spec import RunSpec
from headway.editing.files import Files
from headway.eventlog.events.life import RunStart
from headway.eventlog.store import LogStore
from headway.eventlog.verdicts import note_verdict
from headway.git.hub import Hub
from headway.git.workspace.workspace import Workspace
from headway.git.workspace.workspaces import Workspaces
from headway.policy.sandbox_policy import sandbox_spec_of
from headway.runs.setup_runner import ensure_base_layer, set_up_files
from headway.sandbox.outcome import how_it_ended
from headway.sandbox.runner import Command, CommandResult, Sandbox
from headway.system.excerpt import cut
from headway.system.threads import in_thread

CHOICE = (
    "dependencies changed, and setup has these on the base's files only, because agents may have written what it runs "
    "now: `policy.setup_trust` says what it keeps (network, full)"
)
"""The user's choice when `setup` fails for lack of withheld rights."""

SETUP_REMEDY = "Correct `setup`, or what it needs, so that it succeeds on the base."
CHECK_REMEDY = (
    "Correct `check`. It may fail on the base, but it must be a command that runs in a checkout and ends by itself."
)
TIMEOUT_REMEDY = "Raise limits.command_seconds, or give a check that ends sooner and asks nothing."

FAILING_CHARS = 2_000
FAILING_LINES = 20
_FAILURE = re.compile(
    r"\b(error|errors|failed|failure|fail|exception|panic|panicked|traceback|assert\w*|undefined|not found|fatal)\b",
    re.IGNORECASE,
)


NOT_EXECUTABLE = frozenset({126, 127})
"""Exit codes of a shell that could not execute the command."""


@dataclass(frozen=True)
class Proof:
    """The result of `setup` and `check` on one commit.

    Attributes:
        obstacle: Reason why they can prove no commit as they are given, in words; empty where they can.
        remedy: The user's next step, in one sentence.
    """

    verdict: CheckVerdict
    obstacle: str = ""
    remedy: str = ""


class Checker:
    """Runs `check`, after `setup`, on one commit."""

    def __init__(
        self,
        store: LogStore,
        hubs: Callable[[RunName], Hub],
        workspaces: Callable[[RunName], Workspaces],
        sandbox: Sandbox,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._hubs = hubs
        self._workspaces = workspaces
        self._sandbox = sandbox
        self._clock = clock

    async def check(self, order: RunCheck, progress: Progress) -> CheckVerdict:
        """The check's verdict on the commit, or on the present trunk when none is named.

        A run without a check gives a verdict that did not pass.
        """
        await in_thread(self._store.expect, order.run, order.incarnation)
        spec = self._store.said(order.spec, RunStart).spec
        commit = order.commit if order.commit is not None else await in_thread(self._hubs(order.run).tip)
        if spec.check is None:
            return CheckVerdict(commit=commit, passed=False, why="no check was given", at=self._clock())
        verdict = (await self.prove(order.run, order.asked_by, spec, commit, progress)).verdict
        await in_thread(self._note, order.run, verdict)
        return verdict

    async def prove(self, run: RunName, asked_by: AgentId, spec: RunSpec, commit: Oid, progress: Progress) -> Proof:
        """Run `setup` and `check` on a commit of the run's hub. It needs no log, so it can run before the run begins.

        Without a check, `setup` alone runs.
        """
        places = self._workspaces(run)
        progress("makes a workspace")
        await ensure_base_layer(places, spec, self._sandbox, AgentId(run), progress)
        workspace = await in_thread(_open, places, run, asked_by, commit)
        try:
            return await self._run(spec, commit, workspace, progress)
        finally:
            # It holds no agent's work, so it is removed without a check that all is saved.
            await in_thread(places.discard, workspace)

    def _note(self, run: RunName, verdict: CheckVerdict) -> None:
        hub = self._hubs(run)
        if hub.is_ancestor(verdict.commit, hub.tip()):
            note_verdict(self._store, run, verdict)

    async def _run(self, spec: RunSpec, commit: Oid, workspace: Workspace, progress: Progress) -> Proof:
        seconds = 0.0
        if spec.setup is not None:
            progress("running setup")
            done = await in_thread(workspace.setup_done, spec.setup)
            if done is None or not done.final:
                done = await set_up_files(self._sandbox, workspace.task, workspace, spec, spec.setup)
                seconds += done.seconds
            if done.withheld:
                why = f"setup: {done.ended} without {' and '.join(done.withheld)}; {CHOICE}"
                return Proof(CheckVerdict.could_not_run(commit, why, self._clock()))
            if done.exit_code != 0:
                verdict = self._red(commit, f"setup: {done.ended}", done.output, seconds)
                return Proof(verdict, f"setup: {done.ended}", SETUP_REMEDY)
        if spec.check is None:
            return Proof(CheckVerdict(commit=commit, passed=False, why="no check was given", at=self._clock()))
        progress("running check")
        home = Files(workspace.path).home()
        walls = await in_thread(sandbox_spec_of, workspace.task, workspace, spec)
        limit = float(spec.limits.command_seconds)
        result = await self._sandbox.run(
            Command(line=spec.check, cwd=workspace.path, timeout_s=limit, walls=walls, home=home)
        )
        seconds += result.seconds
        if result.exit_code != 0:
            return Proof(self._red(commit, how_it_ended(result), result.output, seconds), *_obstacle(result))
        passed = CheckVerdict(commit=commit, passed=True, why="passed", seconds=round(seconds, 1), at=self._clock())
        return Proof(passed)

    def _red(self, commit: Oid, why: str, output: str, seconds: float) -> CheckVerdict:
        return CheckVerdict(
            commit=commit,
            passed=False,
            why=why,
            seconds=round(seconds, 1),
            failing=failing_lines(output),
            at=self._clock(),
        )


def failing_lines(output: str) -> str:
    """The first lines that look like the failure; the last ones where none does."""
    lines = [line.rstrip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if _FAILURE.search(line)]
    return cut("\n".join((telling or lines[-FAILING_LINES:])[:FAILING_LINES]), FAILING_CHARS)


def _obstacle(result: CommandResult) -> tuple[str, str]:
    """Reason why a check that ended so proves no commit, and the remedy; a check that merely fails is no obstacle."""
    if result.exit_code in NOT_EXECUTABLE:
        return f"check: {how_it_ended(result)}: the command cannot be executed", CHECK_REMEDY
    if result.killed_for == "timeout":
        return f"check: {how_it_ended(result)}", TIMEOUT_REMEDY
    if result.killed_for is not None:
        return f"check: {how_it_ended(result)}", CHECK_REMEDY
    return "", ""


def _open(places: Workspaces, run: RunName, asked_by: AgentId, commit: Oid) -> Workspace:
    # A name of its own each time: a check whose process was killed must not lend its files to the next.
    name = AgentId(f"{run}/check-{short_hash(asked_by, commit, uuid.uuid4().hex)}")
    return places.open(name, 1, 1, at=commit)
