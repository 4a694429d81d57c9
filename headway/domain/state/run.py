"""A run's state: what happens to it, event by event."""

from typing import Any

from pydantic import BaseModel

from headway.domain.check import CheckVerdict, RunCheck
from headway.domain.commands import (
    Abandon,
    Call,
    Cancelled,
    Command,
    Failed,
    Launch,
    ListAs,
    Observed,
    Record,
    Signal,
    StartChild,
)
from headway.domain.handoff import HandoffNotice
from headway.domain.ids import AgentId, ChildKey, is_adopted, key_below
from headway.domain.messages import Ask, DescribeChildren, FoundClosed, Grant
from headway.domain.model_outage import ModelOutage, with_news
from headway.domain.order import Order
from headway.domain.run import (
    Note,
    Publish,
    Published,
    RunReport,
    WriteReport,
)
from headway.domain.state.consequences import AsksToCancel, Audits, GivesOut, Holds, Parks, Proves, Reports
from headway.domain.state.control import Control, Hold
from headway.domain.state.run_facts import RunPresent
from headway.domain.state.run_intake import RunIntake
from headway.domain.state.waits import CANCEL_AGAIN_S, CANCEL_WAITS_S, Retry
from headway.domain.tree import TreeNode

AUDIT_AGAIN_S = 1.0
REPORTS = 3
"""Tries to write the report before the run closes with the facts that it has itself."""


class Signalled(BaseModel):
    """An order that came by signal. A refusal is its answer, and a note of the run."""

    order: Order
    run: str


class RunState(RunIntake):
    """Everything that a run's workflow knows, and how events change it."""

    # Events

    def apply(self, event: Any, now: float) -> bool:
        """Book an event. True if it may change what is decided."""
        match event:
            case Observed(long=long, settled=settled):
                self.present.long, self.present.settled = long, settled
                return False
            case Cancelled():
                self._cancel(now)
            case HandoffNotice():
                self.signals += 1
                self._hear(event.child, now)
                self.take_handoff(event)
            case Ask():
                self.signals += 1
                self._hear(event.child, now)
                if self.children is not None and self.is_ours(event.child):
                    self.hear_of(event.child)
                    self.children.take_ask(event)
            case TreeNode():
                self.signals += 1
                return self._take_digest(event, now)
            case ModelOutage():
                self.signals += 1
                self.parkings = with_news(self.parkings, event)
            case Order():
                self.take_order(event, now)
            case Signalled(order=order, run=run):
                self.signals += 1
                return self.accept(order, run) and self.apply(order, now)
            case _:
                return False
        return True

    def _take_digest(self, node: TreeNode, now: float) -> bool:
        heard = self._hear(node.key, now)
        if self.is_ours(node.key) and not is_adopted(node.key):
            self.tree, self.last_heard = node, now
            heard = self.hear_of(node.key) or heard
        return heard

    def _hear(self, key: ChildKey, now: float) -> bool:
        """An agent below speaks. One that the run does not know has a closed root planner: it is looked up at once."""
        unknown = is_adopted(key) and self.children is not None and key not in self.children.open
        if unknown:
            self.last_heard = min(self.last_heard, now - self.context.audit_s)
        return unknown

    def _cancel(self, now: float) -> None:
        present = self.present
        if present.cancelling or self.prepared is None:
            return
        # In the record as well, because it reaches running commands within two seconds; a heartbeat may take ten.
        hold = Hold(who="", why="the run is cancelled", at=now, now=True)
        self.book.control = self.book.control.with_cancelled(AgentId(self.context.run), hold)
        # Longer than the root planner waits for its own. Looked for soon, because a planner that was cancelled before
        # its first step ends without a word, and the server takes a second cancel of it as gladly as the first.
        present.cancelling, present.cancel_at = True, now
        present.cancel_until = now + (self.context.depth + 1) * CANCEL_WAITS_S

    # Commands that begin

    def begin(self, command: Command, now: float) -> None:
        """Book a command that is performed now."""
        present = self.present
        match command:
            case StartChild():
                present.to_start, present.first_words = None, ()
            case Signal(to=to, message=Grant() as grant):
                assert self.children is not None
                key = key_below(AgentId(self.context.run), to)
                self.children.answer(key, grant)
                if key == self.root_key:
                    self.end_hold()
            case Signal(to=to, message=Control() as control):
                key = key_below(AgentId(self.context.run), to)
                present.to_inform = [each for each in present.to_inform if each != key]
                self.told = control.version
            case Launch(order=Publish()):
                present.publishing, present.last_push = True, present.cancelling
            case Launch():
                present.checking = True
            case Abandon():
                present.publishing = present.checking = False
            case Call(order=Note()):
                present.again = False
            case ListAs(state=state):
                self.listed_as = state
            case Record(event=event):
                self._record(event, now)
            case _:
                pass

    def _record(self, event: BaseModel, now: float) -> None:
        present = self.present
        match event:
            case Holds():
                self.phase, self.parked_at = "hold", now
            case Parks():
                self.park(now)
                present.again = False
            case GivesOut() if self.children is not None:
                self.children.no_more = True
            case Audits():
                self.last_heard = self.audited_at = now
            case AsksToCancel():
                present.cancel_at, present.cancel_tries = now + CANCEL_AGAIN_S, present.cancel_tries + 1
            case Proves():
                self.phase, present.retry = "proving", Retry(again_s=self.context.again_s)
            case Reports():
                if not present.proven and not present.cancelling:
                    self.settle_proof()
                self.phase, present.retry = "reporting", Retry(again_s=self.context.again_s)
            case _:
                pass

    # Results of commands

    def finish(self, command: Command, result: Any, now: float) -> None:
        """Book the result of a command."""
        match command:
            case Call(request=request) if request:
                self.carry_out(self.asked.pop(0), result, now)
            case Call(order=DescribeChildren() as order):
                self._finish_audit(order, result, now)
            case Call(order=Note()):
                about = "telling the next root planner what became of the one before"
                self.trouble(about, result.why if isinstance(result, Failed) else "")
                if self.phase == "needs_attention":  # else the failed one was reset, and speaks again
                    self.present.first_words = () if isinstance(result, Failed) else (result,)
                    self.begin_again()
            case Call(order=WriteReport() as order):
                self._finish_report(order, result, now)
            case Launch(order=Publish()):
                self._finish_publishing(result, now)
            case Launch(order=RunCheck()):
                self.present.checking, self.present.checked = False, True
                self.verdict = self._verdict(result, now)
            case _:
                pass

    def _finish_audit(self, order: DescribeChildren, found: list[FoundClosed] | Failed, now: float) -> None:
        self.trouble("the audit", found.why if isinstance(found, Failed) else "")
        for closed in () if isinstance(found, Failed) else found:
            adopted = self.take_closed(closed, order.known)
            if adopted is None or closed.more:
                # The rest, or what counts, is found by the next audit.
                self.audited_at = now - self.context.audit_s + AUDIT_AGAIN_S
            self.present.to_inform += adopted or ()

    def _verdict(self, found: CheckVerdict | Failed, now: float) -> CheckVerdict:
        if isinstance(found, Failed):
            return CheckVerdict.could_not_run(self.trunk or self.context.base, found.why, now)
        return found

    def _finish_publishing(self, published: Published | Failed, now: float) -> None:
        present = self.present
        present.publishing = False
        present.published = present.cancelling
        if isinstance(published, Failed):
            self.miss_publication(published.why, now)
        else:
            self.take_publication(published, now)
        if self.phase == "proving":
            present.proofs, present.checked = present.proofs + 1, False
            present.proven = self.proven_as_published
            if self.proof_is_blocked:
                present.retry.failed("the proof is blocked", now)

    def _finish_report(self, order: WriteReport, report: RunReport | Failed, now: float) -> None:
        present = self.present
        present.reports += 1
        self.trouble("the report", report.why if isinstance(report, Failed) else "")
        if isinstance(report, Failed):
            present.retry.failed(report.why, now)
            if present.reports < REPORTS:
                return
            report = order.unwritten(report.why)
        present.report, self.phase, self.outcome = report, "closed", report.outcome

    def carried(self) -> "RunState":
        """The state as the next workflow run takes it over."""
        return self.model_copy(update={"signals": 0, "present": RunPresent()})
