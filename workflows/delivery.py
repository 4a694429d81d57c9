"""The end products of a run: the branch on the user's repository, the proof, the report."""

from datetime import timedelta

from temporalio import workflow

from activities.repository import Checks, Repository
from headway.domain.check import CheckVerdict, RunCheck
from headway.domain.handoff import HandoffStatus
from headway.domain.run import Publish, RunReport, WriteReport
from headway.domain.state.run import RunState
from workflows import effects, execution, options
from workflows.effects import Failed

REPORTS = 3
"""Tries to write the report before the run closes with the facts that it has itself."""


class Delivery:
    """Asks for the effects at a run's end, and books their results in its state."""

    def __init__(self, state: RunState) -> None:
        self.state = state

    async def publish(self) -> None:
        """Put the trunk on the user's repository, and see that it is there."""
        order = Publish(run=self.state.context.run)
        published = await effects.attempt(
            Repository.publish, order, options.housekeeping(options.caller(self.state), "publish the trunk")
        )
        if isinstance(published, Failed):
            self.state.miss_publication(published.why, execution.now())
        else:
            self.state.take_publication(published, execution.now())

    async def check(self) -> None:
        """Run the user's check on the trunk as it stands, if there is one."""
        context = self.state.context
        if not context.has_check:
            return
        order = RunCheck(run=context.run, incarnation=context.incarnation, spec=context.spec, asked_by=execution.me())
        verdict = await effects.attempt(
            Checks.run_check, order, options.proving(options.caller(self.state), "check of the final trunk")
        )
        if isinstance(verdict, Failed):
            verdict = CheckVerdict.could_not_run(self.state.trunk or context.base, verdict.why, execution.now())
        self.state.verdict = verdict

    async def report(self, status: HandoffStatus) -> RunReport:
        """Write the report; the run is closed then, also where it cannot be written."""
        report = await self._written(self._order(status))
        self.state.phase, self.state.outcome = "closed", report.outcome
        return report

    async def _written(self, order: WriteReport) -> RunReport:
        again_s = self.state.context.again_s
        why = ""
        for tried in range(REPORTS):
            if tried:
                await workflow.sleep(timedelta(seconds=again_s))
                again_s = effects.later(again_s)
            report = await effects.attempt(
                Repository.write_report, order, options.housekeeping(options.caller(self.state), "report")
            )
            if not isinstance(report, Failed):
                self.state.trouble("the report")
                return report
            why = report.why
            self.state.trouble("the report", why)
        return order.unwritten(why)

    def _order(self, status: HandoffStatus) -> WriteReport:
        root, prepared, books = self.state.root, self.state.prepared, self.state.books
        assert root is not None
        assert prepared is not None
        assert books is not None
        return WriteReport(
            context=prepared.context,
            root=root.ref(execution.me()),
            status=status,
            trunk=self.state.trunk,
            verdict=self.state.verdict,
            spent=books.purse.spent,
            granted=books.purse.granted,
            problem=self.state.publish_problem,
            rehearsal=prepared.rehearsal,
        )
