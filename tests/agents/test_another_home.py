"""A worker process with another HEADWAY_HOME on the same service hands a run's work back, and makes nothing of it."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.heartbeat import as_application_error
from headway.agents.first_calls import sizes_of
from headway.agents.handoff_store import HandoffStore
from headway.agents.planner.planner import PlannerAgent
from headway.agents.tools.catalogue import PLANNER_TOOLS, RESULTS, WORKER_TOOLS
from headway.agents.worker.worker import WorkerAgent
from headway.domain.check import RunCheck
from headway.domain.handoff import HandoffStatus
from headway.domain.ids import AgentId, Incarnation, RunName
from headway.domain.messages import EndWorker, StoreHandoff
from headway.domain.refs import Ref
from headway.domain.run import Note, Publish, WriteAmendment, WriteReport
from headway.eventlog.local_store import LocalStore
from headway.git.hub import Hub
from headway.git.workspace.workspaces import Workspaces
from headway.runs.check import Checker
from headway.runs.lifecycle import MachineFacts, RunLifecycle
from headway.runs.trials import Trials
from tests.agents.stage import INCARNATION, ROOT, RUN, Stage
from tests.support.sandboxes import PlainSandbox

REF = Ref(log=ROOT, seq=0)


def quiet(_: str) -> None:
    """A beat that is not looked at."""


class Elsewhere:
    """The parts of a worker process whose state folder is another one."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.store = LocalStore(stage.folder / "another-home", results=RESULTS)
        hubs, prompts, models = self._hub, stage._prompts, stage.chosen
        self.planner = PlannerAgent(self.store, hubs, models, prompts, time.time, tools=PLANNER_TOOLS)
        self.worker = WorkerAgent(
            self.store, hubs, self._places, PlainSandbox(), models, prompts, time.time, tools=WORKER_TOOLS
        )
        self.handoffs = HandoffStore(self.store, hubs)
        self.checker = Checker(self.store, hubs, self._places, PlainSandbox())
        machine = MachineFacts("plain", ())
        preflight = Trials(models, self.checker, self._places)
        given = (self.store, hubs, models, prompts)
        self.desk = RunLifecycle(
            *given, machine=machine, preflight=preflight, folders=self.store.run_folder, first_calls=sizes_of
        )

    def _hub(self, run: RunName) -> Hub:
        return Hub(self.store.run_folder(run) / "hub.git")

    def _places(self, run: RunName) -> Workspaces:
        return Workspaces(self.store.run_folder(run) / "workspaces", self._hub(run), "clone")

    def effects(self) -> dict[str, Callable[[], Awaitable[Any]]]:
        """Every effect of a run, but for the one that begins it."""
        context, task = self.stage.context, self.stage.task()
        store = StoreHandoff(context=context, me=ROOT, title="", role="planner", status=HandoffStatus.FAILED)
        end = EndWorker(order=task, status=HandoffStatus.FAILED, why="it failed")
        check = RunCheck(run=RUN, incarnation=INCARNATION, spec=context.spec, asked_by=ROOT)
        turn = self.stage.turn_order("r/1")
        return {
            "plan_turn": lambda: self.planner.turn(turn, quiet),
            "run_worker": lambda: self.worker.work(task, quiet),
            "end_worker": lambda: self.worker.end(end),
            "store_handoff": lambda: self.handoffs.store(store),
            "run_check": lambda: self.checker.check(check, quiet),
            "publish": lambda: self.desk.publish(Publish(run=RUN)),
            "write_note": lambda: self.desk.note(Note(run=RUN, prompt="messages/root_again", about=REF)),
            "write_amendment": lambda: self.desk.amendment(WriteAmendment(run=RUN, request="1", text="Use tabs.")),
            "write_report": lambda: self.desk.report(WriteReport(context=context, root=REF, status=HandoffStatus.DONE)),
        }


BY_START = ("plan_turn", "run_worker", "end_worker", "store_handoff", "run_check", "write_report")
"""The effects whose argument names the start of the run."""
CASES = [(effect, "") for effect in (*BY_START, "publish", "write_note", "write_amendment")]
CASES += [(effect, "another start") for effect in BY_START]


@pytest.mark.parametrize(("effect", "other"), CASES)
async def test_the_work_of_a_run_that_lives_elsewhere_is_handed_back(stage: Stage, effect: str, other: str) -> None:
    stage.serve()
    elsewhere = Elsewhere(stage)
    if other:
        elsewhere.store.claim(RUN, Incarnation(other))
    before = sorted(path for path in elsewhere.store.run_folder(RUN).rglob("*"))
    call = as_application_error(elsewhere.effects()[effect])
    with pytest.raises(ApplicationError) as failure:
        await ActivityEnvironment().run(call)
    assert failure.value.non_retryable is False
    assert failure.value.next_retry_delay is not None
    assert str(elsewhere.store.run_folder(RUN)) in failure.value.message
    assert "HEADWAY_HOME" in failure.value.message
    assert sorted(path for path in elsewhere.store.run_folder(RUN).rglob("*")) == before, "nothing is made there"


async def test_at_home_all_is_found(stage: Stage) -> None:
    stage.store.expect(RUN, INCARNATION)
    stage.store.expect(RUN)
    assert stage.store.agents(RUN) in ([], [AgentId(RUN)])
