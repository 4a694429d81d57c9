"""The workflow `Run`: one effort on one repository, from the user's instructions to the final report."""

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from activities.repository import Repository
from headway.domain.details import run_details
from headway.domain.errors import UserError
from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import ChildKey, Incarnation, RunName, is_adopted, run_name_problem
from headway.domain.messages import Ask
from headway.domain.model_outage import ModelOutage
from headway.domain.run import PreparedRun, PrepareRun, RunReport
from headway.domain.run_status import status
from headway.domain.spec import parse_spec
from headway.domain.state.control import Amend, Control, Pause, Resume, SetLimits
from headway.domain.state.run import Order, RunState
from headway.domain.tree import TreeNode
from workflows import effects, execution, options, signals
from workflows.children import known_attributes, tell_state
from workflows.delivery import Delivery
from workflows.effects import Failed
from workflows.root import Root

CONTINUED = "headway.continued"
"""The one field of the input of a run that continued as new; no user's input may have it."""

PROOFS = 3


@workflow.defn
class Run:
    """Prepares the hub, starts the root planner, waits for its handoff, proves the trunk and reports."""

    def __init__(self) -> None:
        self.state = RunState()
        self.stirred = False
        self.again = False

    @workflow.run
    async def run(self, *inputs: Any) -> RunReport:
        """Take the input untyped: with a typed argument, bad JSON would leave the run RUNNING permanently."""
        try:
            await self._begin(inputs)
            root = await self._wait_for_root()
            await self._prove()
            return await self._report(root.status)
        except asyncio.CancelledError as error:
            signals.taken_as_cancelled(error)
        await signals.to_the_end(self._cancel())
        raise asyncio.CancelledError

    @workflow.signal
    def handoff(self, notice: HandoffNotice) -> None:
        """The root planner's handoff is stored."""
        self.state.signals += 1
        self._hear(notice.child)
        self.state.take_handoff(notice)
        self.stirred = True

    @workflow.signal
    def ask(self, ask: Ask) -> None:
        """The root planner used up all that the run may use."""
        self.state.signals += 1
        self._hear(ask.child)
        if self.state.books is not None and self.state.is_ours(ask.child):
            self.state.hear_of(ask.child)
            self.state.books.take_ask(ask)
        self.stirred = True

    @workflow.signal
    def digest(self, node: TreeNode) -> None:
        """The digest of the root planner, for the tree."""
        self.state.signals += 1
        self._hear(node.key)
        if self.state.is_ours(node.key) and not is_adopted(node.key):
            self.state.tree, self.state.last_heard = node, execution.now()
            self.state.hear_of(node.key)

    @workflow.update
    def pause(self, order: Pause) -> str:
        """Hold a subtree at its next step."""
        return self._pause(order)

    @pause.validator
    def _may_pause(self, order: Pause) -> None:
        self.state.check(order, execution.me())

    @workflow.signal(name="pause")
    def pause_told(self, order: Pause) -> None:
        """The same, for a client that only signals."""
        if self._accepts(order):
            self._pause(order)

    @workflow.update
    def resume(self, order: Resume) -> str:
        """Let a subtree go on; a parked run gets another root planner."""
        return self._resume(order)

    @resume.validator
    def _may_resume(self, order: Resume) -> None:
        self.state.check(order, execution.me())

    @workflow.signal(name="resume")
    def resume_told(self, order: Resume) -> None:
        """The same, for a client that only signals."""
        if self._accepts(order):
            self._resume(order)

    @workflow.update
    async def set_limits(self, order: SetLimits) -> str:
        """Change the limits of the whole run."""
        return await self._carried_out(order)

    @set_limits.validator
    def _may_set_limits(self, order: SetLimits) -> None:
        self.state.check(order, execution.me())

    @workflow.signal(name="set_limits")
    def set_limits_told(self, order: SetLimits) -> None:
        """The same, for a client that only signals."""
        if self._accepts(order):
            self._take(order)

    @workflow.update
    async def amend(self, order: Amend) -> str:
        """Have every later epoch and task of the run carry a text."""
        return await self._carried_out(order)

    @amend.validator
    def _may_amend(self, order: Amend) -> None:
        self.state.check(order, execution.me())

    @workflow.signal(name="amend")
    def amend_told(self, order: Amend) -> None:
        """The same, for a client that only signals."""
        if self._accepts(order):
            self._take(order)

    @workflow.query
    def control(self) -> Control:
        """The control record, for the processes in which agents work."""
        return self.state.book.control

    @workflow.signal
    def parking(self, parking: ModelOutage) -> None:
        """A model refuses the run's agents, or answers again."""
        self.state.signals += 1
        self.state.take_parking(parking)
        self.stirred = True

    @workflow.query
    def parkings(self) -> tuple[ModelOutage, ...]:
        """The parkings that the run knows, for the processes that report them."""
        return self.state.parkings

    @workflow.query
    def status(self) -> dict[str, object]:
        """State of the run."""
        return status(self.state)

    @workflow.query
    def tree(self) -> TreeNode | None:
        """The tree of agents, as far as digests told."""
        return self.state.tree

    def _hear(self, key: ChildKey) -> None:
        """An agent below speaks. One that the run does not know has a closed root planner: it is looked up at once."""
        if is_adopted(key) and self.state.books is not None and key not in self.state.books.children:
            self.state.last_heard = min(self.state.last_heard, execution.now() - self.state.context.audit_s)
            self.stirred = True

    def _accepts(self, order: Order) -> bool:
        """True if a signalled order passes the validator of the update of the same name."""
        self.state.signals += 1
        return self.state.accept(order, execution.me())

    def _pause(self, order: Pause) -> str:
        self.stirred = True
        return self.state.book.pause(order, execution.now())

    def _resume(self, order: Resume) -> str:
        self.stirred = True
        root = self.state.root
        parked = self.state.phase == "needs_attention" and root is not None
        again = parked and root is not None and order.target in {execution.me(), execution.child(root.child)}
        self.again = self.again or again
        return self.state.book.resume(order, parked=again)

    def _take(self, order: SetLimits | Amend) -> None:
        self.state.take_order(order)
        self.stirred = True

    async def _carried_out(self, order: SetLimits | Amend) -> str:
        self._take(order)
        answers = self.state.book.answers
        await workflow.wait_condition(lambda: order.request in answers)
        return answers[order.request]

    async def _begin(self, inputs: tuple[Any, ...]) -> None:
        info = workflow.info()
        first = inputs[0] if inputs else None
        if info.continued_run_id is not None and isinstance(first, dict) and CONTINUED in first:
            self.state = RunState.model_validate(first[CONTINUED])
            return
        prepared = await self._prepare(first, len(inputs))
        attributes = known_attributes(prepared.context, "run", 0)
        if attributes:
            workflow.upsert_search_attributes([pair.key.value_set(pair.value) for pair in attributes])
        key = self.state.begin(prepared, execution.now())
        self._show()
        await self.root.start(key)

    async def _prepare(self, raw: Any, count: int) -> PreparedRun:
        info = workflow.info()
        name = RunName(info.workflow_id)
        if problem := run_name_problem(name):
            raise _refused(UserError(f"workflow id {name!r}: {problem}", "Start it again under another --workflow-id."))
        if count > 1:
            raise _refused(UserError(f"input: must be one JSON object, got {count}", "Give --input once."))
        try:
            parse_spec(raw)
        except UserError as error:
            raise _refused(error) from error
        order = PrepareRun(
            run=name,
            incarnation=Incarnation(info.first_execution_run_id),
            spec=raw,
            started_at=info.start_time.timestamp(),
        )
        prepared = await effects.attempt(
            Repository.prepare_run, order, options.housekeeping(options.caller(self.state), "prepare the hub")
        )
        signals.heed_cancel()
        if isinstance(prepared, Failed):
            # Nothing has begun that could be lost: a run that cannot be prepared fails, with one readable message.
            raise _refused(UserError(prepared.why if prepared.by_user else f"the run cannot start: {prepared.why}"))
        return prepared

    async def _wait_for_root(self) -> HandoffNotice:
        """Until there is a handoff that counts, and nothing works on below a closed planner.

        A failed root parks the run: its user decides, within three days.
        """
        while True:
            await self._errands()
            signals.heed_cancel()
            root = self.state.root
            if self.state.asked:
                continue  # came while the others were carried out; its client waits for the answer
            ended = self.state.ended(execution.now())
            if ended is not None:
                return ended
            failed = root is not None and root.status is HandoffStatus.FAILED
            if failed and self.state.phase != "needs_attention":
                self.state.park(execution.now())
                await self._publish()
                continue  # its user may have let it go on meanwhile
            suggested = workflow.info().is_continue_as_new_suggested()
            if self.state.continue_due(suggested=suggested) and not self.stirred:
                self._continue()
            self._show()
            await self._sleep()

    async def _sleep(self) -> None:
        before, publish_at = self.state.root, self.state.published_at + options.PUBLISH_EVERY.total_seconds()
        due = min(publish_at, self.state.audit_at)
        if self.state.phase == "needs_attention" and not self.state.adopted:
            due = self.state.overdue
        if self.state.phase in {"hold", "needs_attention"} and execution.now() < self.state.overdue:
            due = min(due, self.state.overdue)
        try:
            await workflow.wait_condition(
                lambda: self.stirred or self.state.root != before,
                timeout=timedelta(seconds=max(1.0, due - execution.now())),
            )
        except TimeoutError:
            if execution.now() >= publish_at:
                await self._publish()
            await self.root.audit()

    def _continue(self) -> None:
        if workflow.all_handlers_finished():
            carried = self.state.model_copy(update={"signals": 0})
            workflow.continue_as_new({CONTINUED: carried.model_dump(mode="json", by_alias=True)})

    async def _errands(self) -> None:
        self.stirred = False
        if self.state.books is None:
            return
        await self.root.carry_out()
        await self.root.tell()
        if self.again and self.state.phase == "needs_attention":
            await self.root.start_again()
        self.again = False

    async def _publish(self) -> None:
        """Put the trunk on the user's repository; a slow push holds up nothing that the root or the user wants."""
        push = asyncio.ensure_future(self.delivery.publish())
        try:
            while not push.done():
                await workflow.wait_condition(lambda: push.done() or self.stirred)
                await self._errands()
            await push
        finally:
            push.cancel()

    async def _prove(self) -> None:
        """Check the trunk that is published. Work of an abandoned agent may still land meanwhile: then once more.

        A check that could not be run, or a trunk that could not be published, is tried again after a wait.
        """
        again_s, self.state.phase = self.state.context.again_s, "proving"
        self._show()
        for _ in range(PROOFS):
            await self.delivery.check()
            await self._publish()
            signals.heed_cancel()
            if self.state.proven_as_published:
                return
            if self.state.proof_is_blocked:
                await workflow.sleep(timedelta(seconds=again_s))
                again_s = effects.later(again_s)
        self.state.settle_proof()

    async def _report(self, status: HandoffStatus) -> RunReport:
        self.state.phase = "reporting"
        self._show()
        report = await self.delivery.report(status)
        self._show()
        return report

    async def _cancel(self) -> None:
        if self.state.books is None:
            return
        await self.root.cancel()
        await self._publish()
        if self.state.root is not None:
            await self._report(HandoffStatus.CANCELLED)

    @property
    def root(self) -> Root:
        """Made at each use, as `delivery` is."""
        return Root(self.state)

    @property
    def delivery(self) -> Delivery:
        """Made at each use: a run that continued as new has another state than it began with."""
        return Delivery(self.state)

    def _show(self) -> None:
        workflow.set_current_details(run_details(self.state))
        if self.state.prepared is not None:
            self.state.listed_as = tell_state(self.state.context, self.state.listed_as, self.state.stands)


def _refused(error: UserError) -> ApplicationError:
    return ApplicationError(str(error), type="UserError", non_retryable=True)
