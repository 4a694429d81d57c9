"""The root planner as its run deals with it: started, told, lent to, looked for, cancelled.

So are agents that the run adopted, because a root planner closed above them.
"""

from temporalio import workflow

from activities.handoffs import Handoffs
from activities.repository import Repository
from headway.domain.errors import UserError
from headway.domain.ids import ChildKey
from headway.domain.messages import DescribeChildren, Grant
from headway.domain.planner_turn import ChildKind
from headway.domain.refs import Ref
from headway.domain.run import MeasureSpent, Note, WriteAmendment
from headway.domain.state.budget import Amount
from headway.domain.state.children import nothing_lent
from headway.domain.state.control import Amend, Hold
from headway.domain.state.planner import PlannerState
from headway.domain.state.run import RunState
from workflows import effects, execution, options, signals
from workflows.children import start_planner
from workflows.effects import Failed


class Root:
    """The run's actions towards its root planner, which it books in its state."""

    def __init__(self, state: RunState) -> None:
        self.state = state

    async def start(self, key: ChildKey, *messages_to_it: Ref) -> None:
        """Start a root planner with all that the run may use."""
        prepared, books = self.state.prepared, self.state.books
        assert prepared is not None
        assert books is not None
        context, granted = prepared.context, books.children[key].lent or Amount()
        await start_planner(
            PlannerState(
                context=context,
                me=execution.child(key),
                title=prepared.title,
                scope=prepared.scope,
                depth=1,
                books=nothing_lent(granted, context.sizes, context.sizes.root_call),
                steers=list(messages_to_it),
                control=self.state.book.control,
                control_told=self.state.book.control.version,
            )
        )

    async def start_again(self) -> None:
        """Start another one in the place of the one that failed."""
        failed = self.state.root
        assert failed is not None
        order = Note(run=self.state.context.run, prompt="messages/root_again", about=failed.ref(execution.me()))
        note = await effects.attempt(Repository.write_note, order, self._housekeeping("the next root planner is told"))
        about = "telling the next root planner what became of the one before"
        self.state.trouble(about, note.why if isinstance(note, Failed) else "")
        await self.start(self.state.begin_again(), *(() if isinstance(note, Failed) else (note,)))

    async def carry_out(self) -> None:
        """Carry out the user's orders: other limits, and amendments, whose text is stored before it counts."""
        while self.state.asked:
            order = self.state.asked[0]
            if isinstance(order, Amend):
                await self._amend(order)
            else:
                await self._measure()
                try:
                    self.state.set_limits(order)
                except UserError as error:
                    self.state.book.refuse(order.request, str(error))
            del self.state.asked[0]

    async def _measure(self) -> None:
        """Learn the usage until now: running agents have not told yet, and a new limit goes by it."""
        context = self.state.context
        order = MeasureSpent(run=context.run, incarnation=context.incarnation)
        measured = await effects.attempt(Repository.measure_spent, order, self._housekeeping("what is used up"))
        if not isinstance(measured, Failed):
            self.state.measured = self.state.measured.most(measured)

    async def _amend(self, order: Amend) -> None:
        text = WriteAmendment(run=self.state.context.run, **order.model_dump())
        ref = await effects.attempt(Repository.write_amendment, text, self._housekeeping("an amendment is stored"))
        if isinstance(ref, Failed):
            self.state.book.refuse(order.request, f"The amendment could not be stored; give it again later: {ref.why}")
        else:
            self.state.book.amend(order, ref.seq, execution.now())

    async def tell(self) -> None:
        """Tell it its grant, and the user's control record."""
        books, control = self.state.books, self.state.book.control
        assert books is not None
        # First the control record: a grant after a recall is for a planner that has given back.
        if control.version != self.state.told:
            self.state.told = control.version
            for key in list(books.children):
                await signals.tell(execution.child(key), signals.CONTROL, control)
        grant, root = self.state.lend_more(execution.now()), self.state.root_key
        if grant is not None and root is not None:
            await signals.tell(execution.child(root), signals.GRANT, grant)
        for answer in self.state.lend_to_adopted(execution.now()):
            told = Grant(total=answer.total, final=answer.final, grant_version=answer.grant_version)
            await signals.tell(execution.child(answer.child), signals.GRANT, told)

    async def audit(self, *, due: bool = False) -> None:
        """Audit the root planner and the adopted agents: find those that closed without a handoff."""
        books = self.state.books
        if books is None or not books.children or (not due and execution.now() < self.state.audit_at):
            return
        self.state.last_heard = self.state.audited_at = execution.now()
        planners = tuple(key for key, child in books.children.items() if child.kind is ChildKind.PLANNER)
        order = DescribeChildren(
            context=self.state.context,
            me=execution.me(),
            tasks=tuple(key for key, child in books.children.items() if child.kind is ChildKind.TASK),
            planners=planners,
            known=books.known_below(planners),
        )
        found = await effects.attempt(Handoffs.describe_children, order, self._housekeeping("audit"))
        self.state.trouble("the audit", found.why if isinstance(found, Failed) else "")
        for closed in () if isinstance(found, Failed) else found:
            adopted = self.state.take_closed(closed, order.known)
            if adopted is None or closed.more:
                self.state.audited_at = 0.0  # the rest, or what counts, is found by the next audit
            for key in adopted or ():
                await signals.tell(execution.child(key), signals.CONTROL, self.state.book.control)

    async def cancel(self) -> None:
        """Cancel it, and wait for its handoff for as long as it may wait for those below."""
        books = self.state.books
        if books is None:
            return
        # In the record as well, because it reaches running commands within two seconds; a heartbeat may take ten.
        hold = Hold(who="", why="the run is cancelled", at=execution.now(), now=True)
        self.state.book.control = self.state.book.control.with_cancelled(execution.me(), hold)
        # Longer than the root planner waits for its own. Looked for soon, because a planner that was cancelled before
        # its first step ends without a word, and the server takes a second cancel of it as gladly as the first.
        until = execution.now() + (self.state.context.depth + 1) * options.CANCEL_WAITS.total_seconds()
        while books.children and execution.now() < until:
            for key in list(books.children):
                await signals.cancel(execution.child(key))
            try:
                await workflow.wait_condition(lambda: not books.children, timeout=options.CANCEL_AGAIN)
            except TimeoutError:
                await self.audit(due=True)

    def _housekeeping(self, summary: str) -> options.ActivityOptions:
        return options.housekeeping(options.caller(self.state), summary)
