"""Facts of a run as a whole, which go down unchanged to everything below it."""

import shlex
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from headway.domain.check import CheckVerdict
from headway.domain.handoff import HandoffStatus
from headway.domain.ids import Incarnation, Oid, RunName
from headway.domain.limit_table import Value
from headway.domain.refs import Ref
from headway.domain.spec import RunSpec
from headway.domain.state.budget import Amount, Bill, Ceiling, Sizes


class RunContext(BaseModel):
    """The frozen facts of a run. Carried by every workflow argument; small, with refs to long texts.

    Attributes:
        spec: Ref of the run's validated `RunSpec`.
        base: The commit the run started from.
        deadline: End of `limits.hours`, in seconds since the epoch; None without such a limit.
        sizes: Sizes of first calls, and the most that one task may use up.
        bounds_dollars: True if every model of the run has a price, so that a limit in dollars can be kept.
        limits: Limits that the user changed since the run began, other than the budget and the hours.
        hold_s: Time in which a run whose limit is reached waits for its user, in seconds.
        attributes: The search attributes of ours that this Temporal service knows.
        has_check: True if the user gave a command that proves a commit green.
        heartbeat_s: Heartbeat timeout of every activity.
        audit_s: Seconds of silence after which the planner looks for children that closed without a handoff.
        continue_after: Handoffs after which a planner continues as new.
        again_s: Seconds after which an effect that failed for good is tried again, the first time.
    """

    model_config = ConfigDict(frozen=True)

    run: RunName
    incarnation: Incarnation
    spec: Ref
    base: Oid
    sizes: Sizes = Sizes()
    deadline: float | None = None
    bounds_dollars: bool = False
    depth: int = 4
    open_tasks: int = 100
    attempts: int = 2
    limits: dict[str, Value] = Field(default_factory=dict)
    hold_s: float = 72 * 3600.0
    attributes: tuple[str, ...] = ()
    has_check: bool = False
    heartbeat_s: int = 60
    audit_s: int = 600
    continue_after: int = 500
    again_s: float = 60.0

    def in_force(self, spec: RunSpec) -> RunSpec:
        """The run's input, with the limits that its user changed since."""
        return spec.model_copy(update={"limits": spec.limits.with_changes(self.limits)}) if self.limits else spec


class PrepareRun(BaseModel):
    """Argument of the activity that makes everything ready: the hub, the log, the facts.

    `spec` is the user's input as it came, because only its owner can say what it is worth.
    """

    model_config = ConfigDict(frozen=True)

    run: RunName
    incarnation: Incarnation
    spec: dict[str, object]
    started_at: float


class PreparedRun(BaseModel):
    """The start of a run: its context, and notes for a reader.

    Attributes:
        unpriced: The fields of the input that set the missing prices.
    """

    model_config = ConfigDict(frozen=True)

    context: RunContext
    scope: Ref
    title: str
    budget: Amount
    repo: str
    level: str
    rehearsal: bool = False
    notes: tuple[str, ...] = ()
    unpriced: tuple[str, ...] = ()


class Outcome(StrEnum):
    """End of a run; closed."""

    DONE = "done"
    DONE_UNPROVEN = "done_unproven"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"


def branch_of(run: RunName) -> str:
    """The branch of the user's repository that a run publishes."""
    return f"headway/{run}/main"


def outcome_of(root: HandoffStatus, verdict: CheckVerdict | None, problem: str = "") -> Outcome:
    """`done` only if the user's check passes on the final trunk, whatever the root planner says.

    A check that could not be run proves nothing, and refutes nothing. `problem` is the reason why the user's repository
    does not have the final trunk: the run is not done then.
    """
    if problem and root in {HandoffStatus.DONE, HandoffStatus.NOT_NEEDED}:
        return Outcome.PARTIAL
    match root:
        case HandoffStatus.DONE | HandoffStatus.NOT_NEEDED:
            if verdict is None or not verdict.ran:
                return Outcome.DONE_UNPROVEN
            return Outcome.DONE if verdict.passed else Outcome.PARTIAL
        case HandoffStatus.PARTIAL | HandoffStatus.BLOCKED:
            return Outcome.PARTIAL
        case HandoffStatus.CANCELLED:
            return Outcome.CANCELLED
        case HandoffStatus.FAILED:
            return Outcome.FAILED


class WriteAmendment(BaseModel):
    """Argument of the activity that stores an amendment's text in the run's log, once for each request."""

    model_config = ConfigDict(frozen=True)

    run: RunName
    request: str
    text: str
    who: str = ""
    why: str = ""


class Note(BaseModel):
    """Argument of the activity that writes a message for a planner into the run's log, from a prompt by name."""

    model_config = ConfigDict(frozen=True)

    run: RunName
    prompt: str
    about: Ref


class RunReport(BaseModel):
    """The result of the `Run` workflow: the user's products, in a size that reads well in the Web UI.

    Attributes:
        commits: The run's commits on the trunk; None where the report could not be written and they are not counted.
        branch: The branch for the user's repository; empty where nothing landed.
        problem: Reason why the user's repository does not have the trunk, in words; empty where it does.
        stands: The commit that the branch was put on last; None before the first.
        hub: The folder of the repository that holds the trunk in any case; empty where the report could not be written.
        report: Path of the report file; empty where it could not be written.
    """

    model_config = ConfigDict(frozen=True)

    run: RunName
    outcome: Outcome
    summary: str
    branch: str
    trunk: Oid
    commits: int | None
    check: CheckVerdict | None = None
    handoffs: dict[str, int] = {}
    spent: Bill = Bill()
    granted: Ceiling | None = None
    report: str = ""
    rehearsal: bool = False
    problem: str = ""
    stands: Oid | None = None
    hub: str = ""


def taking_home(report: RunReport) -> str:
    """The command that brings the landed commits into a repository, published or not; it makes a branch."""
    hub = report.hub or f"HEADWAY_HOME/runs/{report.run}/hub.git"
    return shlex.join(["git", "fetch", hub, f"{report.trunk}:refs/heads/{report.run}"])


class WriteReport(BaseModel):
    """Argument of the activity that counts landed commits and writes the report file."""

    model_config = ConfigDict(frozen=True)

    context: RunContext
    root: Ref
    status: HandoffStatus
    trunk: Oid | None = None
    verdict: CheckVerdict | None = None
    spent: Amount = Amount()
    granted: Amount | None = None
    problem: str = ""
    rehearsal: bool = False

    def unwritten(self, why: str) -> RunReport:
        """The run's result where its report cannot be written, by the run's own facts."""
        trunk = self.trunk or self.context.base
        problem = self.problem if trunk != self.context.base else ""
        return RunReport(
            run=self.context.run,
            outcome=outcome_of(self.status, self.verdict, problem),
            summary=f"The report could not be written: {why}\nThe agents' logs and the trunk are in HEADWAY_HOME.",
            branch=branch_of(self.context.run) if trunk != self.context.base else "",
            problem=problem,
            trunk=trunk,
            commits=None,
            check=self.verdict,
            spent=Bill.of(self.spent),
            granted=Ceiling.of(self.granted) if self.granted else None,
            rehearsal=self.rehearsal,
        )


class MeasureSpent(BaseModel):
    """Argument of the activity that sums a run's usage until now."""

    model_config = ConfigDict(frozen=True)

    run: RunName
    incarnation: Incarnation


class Publish(BaseModel):
    """Argument of the activity that puts the trunk on the user's repository as `headway/<run>/main`."""

    model_config = ConfigDict(frozen=True)

    run: RunName


class Published(BaseModel):
    """The state of the trunk, and the result of publishing it.

    Attributes:
        problem: The obstacle, in words for the user; the work is safe in the hub meanwhile.
        told: A note for the user on a success.
        progress: Another number than before means that an agent got a reply, landed or handed off since.
        progress_at: Time of that progress, in seconds since the epoch, by the clock of its machine; 0: never.
    """

    model_config = ConfigDict(frozen=True)

    trunk: Oid
    branch: str
    problem: str = ""
    told: str = ""
    progress: int = 0
    progress_at: float = 0.0
