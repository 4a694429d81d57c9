"""What a run takes home: the branch on the user's repository, the proof, the report."""

from temporalio import workflow

from activities.repository import Checks, Repository
from headway.domain.check import RunCheck
from headway.domain.handoff import HandoffStatus
from headway.domain.run import Publish, RunReport, WriteReport
from headway.domain.running import RunState
from workflows import here, options


class Delivery:
    """Asks for the effects at a run's end, and books in its state what came of them."""

    def __init__(self, state: RunState) -> None:
        self.state = state

    async def publish(self) -> None:
        """Put the trunk on the user's repository, if it moved or could not be put there before."""
        known = None if self.state.publish_problem else self.state.trunk
        order = Publish(run=self.state.context.run, known=known)
        published = await workflow.execute_activity_method(
            Repository.publish, order, **options.housekeeping(options.caller(self.state), "publish the trunk")
        )
        self.state.take_publication(published, here.now())

    async def check(self) -> None:
        """Run the user's check on the trunk as it stands, if there is one."""
        context = self.state.context
        if not context.has_check:
            return
        order = RunCheck(run=context.run, incarnation=context.incarnation, spec=context.spec, asked_by=here.me())
        self.state.verdict = await workflow.execute_activity_method(
            Checks.run_check, order, **options.proving(options.caller(self.state), "check of the final trunk")
        )

    @property
    def proven_as_published(self) -> bool:
        """Whether the verdict, if there is one, speaks of the very commit that the user has."""
        return self.state.verdict is None or self.state.verdict.commit == self.state.trunk

    async def report(self, status: HandoffStatus) -> RunReport:
        """Write the report; the run is closed then."""
        root, prepared, books = self.state.root, self.state.prepared, self.state.books
        assert root is not None
        assert prepared is not None
        assert books is not None
        order = WriteReport(
            context=prepared.context,
            root=root.ref(here.me()),
            status=status,
            trunk=self.state.trunk,
            verdict=self.state.verdict,
            spent=books.purse.spent,
            granted=books.purse.granted,
            problem=self.state.publish_problem,
            rehearsal=prepared.rehearsal,
        )
        report = await workflow.execute_activity_method(
            Repository.write_report, order, **options.housekeeping(options.caller(self.state), "report")
        )
        self.state.phase, self.state.outcome = "closed", report.outcome
        return report
