"""A planner's state: what happens to it, event by event.

No I/O and no clock: `now` is given, in seconds since the epoch, by the workflow's own time.
"""

from typing import Any

from pydantic import BaseModel

from headway.domain.check import CheckVerdict, RunCheck
from headway.domain.commands import (
    Abandon,
    Call,
    CancelChild,
    Cancelled,
    Command,
    Failed,
    Launch,
    ListAs,
    Observed,
    Record,
    Signal,
    SignalAbove,
    StartChild,
)
from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import ChildKey, is_adopted, key_below
from headway.domain.messages import Ask, CallBack, DescribeChildren, FoundClosed, Grant, StoredHandoff, StoreHandoff
from headway.domain.planner_turn import Decision, Final, PlanTurn, TurnOutcome
from headway.domain.state.budget import Amount
from headway.domain.state.consequences import AsksToCancel, Audits, CancelsAll, Closes, GivesUpChildren, NeedIsMet
from headway.domain.state.control import Control
from headway.domain.state.planner_facts import PlannerEnd, Present
from headway.domain.state.planner_intake import PlannerIntake
from headway.domain.state.waits import CANCEL_WAITS_S, Retry, held_again_after
from headway.domain.tree import TreeNode


class PlannerState(PlannerIntake):
    """Everything that a planner's workflow knows, and how events change it."""

    # Events

    def apply(self, event: Any, now: float) -> bool:
        """Book an event. True if it may change what is decided."""
        match event:
            case Observed(long=long, settled=settled):
                self.present.long, self.present.settled = long, settled
                self.last_heard = self.last_heard or now
                return False
            case Cancelled():
                if self.present.handing_up is None:
                    self._cancel_all("cancelled", now)
                return True
            case HandoffNotice() | Ask() | Grant() | CallBack() | TreeNode() | Control():
                self.signals += 1
                return self._take(event, now)
            case _:
                return False

    def _take(self, event: HandoffNotice | Ask | Grant | CallBack | TreeNode | Control, now: float) -> bool:
        match event:
            case HandoffNotice(child=child):
                heard, before = self._hear(child, now), self.wake_at(now)
                taken = self.take_handoff(event, now)
                waits = self.children.anything_waits or self.need or self.wake_at(now) != before
                return heard or (taken and bool(waits))
            case Ask(child=child):
                self._hear(child, now)
                self.children.take_ask(event)
                self.hear_recall(event.grant_version[0])
            case Grant():
                self.take_grant(event)
            case CallBack(lack=lack):
                self.called = lack
            case TreeNode(key=key):
                self.present.below[key] = event
                return self._hear(key, now)
            case Control():
                self.take_control(event)
        return True

    def _hear(self, key: ChildKey, now: float) -> bool:
        """An agent below speaks. One whose planner is closed is adopted at the audit that finds that one closed."""
        unknown = is_adopted(key) and key not in self.children.open
        if unknown:
            self.audit_soon(now)
        return unknown

    # Commands that begin

    def begin(self, command: Command, now: float) -> None:
        """Book a command that is performed now."""
        present = self.present
        match command:
            case StartChild(key=key, granted=granted):
                self.children.start(key, granted)
            case Signal(to=to, message=message):
                self._begin_signal(key_below(self.me, to), message)
            case SignalAbove(message=Ask() as ask):
                self._begin_ask(ask)
            case SignalAbove(message=TreeNode() as node):
                present.digest, present.digest_at = node, now
            case CancelChild(child=child):
                key = key_below(self.me, child)
                present.to_cancel = [each for each in present.to_cancel if each != key]
            case Call(order=StoreHandoff(me=me)) if me == self.me:
                present.handing_up = present.handing_up or self.end_due()
                present.retry = present.retry if present.retry.again_s else Retry(again_s=self.context.again_s)
            case Launch(order=PlanTurn() as order):
                present.turn, self.turn_key, self.guard = order, order.key, order.final
                self.children.account.aside = order.allowance - self.children.account.own
            case Launch():
                present.checking = True
            case Abandon():
                present.turn, present.checking = None, False
            case ListAs(state=state):
                self.listed_as = state
            case Record(event=event):
                self._record(event, now)
            case _:
                pass

    def _begin_signal(self, key: ChildKey, message: Grant | CallBack | Control) -> None:
        match message:
            case Grant():
                self.children.answer(key, message)
            case CallBack():
                self.children.open[key].called = True
            case Control():
                self.present.to_inform = [each for each in self.present.to_inform if each != key]

    def _begin_ask(self, ask: Ask) -> None:
        self.present.asked_with = ask
        if ask.grant_version > self.grant_version:  # with it a part of the grant is given back
            self.children.account.granted, self.grant_version = ask.granted, ask.grant_version
            self.called = self.called if self.returning else None

    def _record(self, event: BaseModel, now: float) -> None:
        match event:
            case Closes(ending=ending):
                self.close(ending)
            case NeedIsMet():
                self.need = Amount()
            case CancelsAll(why=why):
                self._cancel_all(why, now)
            case AsksToCancel():
                again = self.present.cancel_again_s
                self.present.cancel_at, self.present.cancel_tries = now + again, self.present.cancel_tries + 1
                self.present.cancel_again_s = min(2 * again, CANCEL_WAITS_S / 2)
            case GivesUpChildren():
                self.present.cancel_over = True
            case Audits():
                self.last_heard, self.present.audit_due = now, False
                self.children.call_again()
                self.present.asked_with = None  # an ask that found its parent in the middle of a reset is asked again
            case _:
                pass

    def _cancel_all(self, why: str, now: float) -> None:
        present = self.present
        if present.cancelling:
            return
        self.close(PlannerEnd(status=HandoffStatus.CANCELLED, why=why))
        self.closing = PlannerEnd(status=HandoffStatus.CANCELLED, why=why)
        # Longer the higher up, so that no planner gives up on a child that still waits for its own.
        levels = max(1, self.context.depth - self.depth + 1)
        present.cancelling, present.cancel_at, present.cancel_until = True, now, now + levels * CANCEL_WAITS_S

    # Results of commands

    def finish(self, command: Command, result: Any, now: float) -> None:
        """Book the result of a command."""
        match command, result:
            case StartChild(key=key), True:
                self.present.to_inform.append(key)  # it was started before, or by another planner
                self.present.audit_due = True
            case SignalAbove(message=HandoffNotice()), _:
                self.present.told = True
            case SignalAbove(), False:
                self.present.all_gone = True
            case CancelChild(), False:
                self.present.audit_due = self.present.audit_due or self.present.cancelling
            case Call(order=DescribeChildren() as order), _:
                self._finish_audit(order, result, now)
            case Call(order=StoreHandoff() as order), _:
                self._finish_storing(order, result, now)
            case Launch(order=PlanTurn() as order), _:
                self.present.turn = None
                self._finish_turn(order, result, now)
            case Launch(order=RunCheck()), _:
                self.present.checking = False
                self.guard = Final(verdict=self._verdict(result, now))
            case _:
                pass

    def _finish_audit(self, order: DescribeChildren, found: list[FoundClosed] | Failed, now: float) -> None:
        if isinstance(found, Failed):
            return self._trouble("the audit", found.why)
        self._trouble("the audit")
        for closed in found:
            adopted = self.take_closed(closed, order.known, now)
            if adopted is None or closed.more:
                self.audit_soon(now)
            self.present.to_inform += adopted or ()
        return None

    def _finish_storing(self, order: StoreHandoff, stored: StoredHandoff | Failed, now: float) -> None:
        present, mine = self.present, order.me == self.me
        about = "storing the handoff" if mine else "storing a handoff"
        if isinstance(stored, Failed):
            self._trouble(about, stored.why)
            if mine:
                return present.retry.failed(stored.why, now)
            present.drop_at = now + self.context.again_s
            return None
        self._trouble(about)
        if mine:
            present.stored = stored
            account = self.children.account
            account.own = account.own.most(stored.spent)  # a turn that never came back is paid
            return None
        key = key_below(self.me, order.me)
        notice = HandoffNotice(child=key, status=stored.status, seq=stored.ref.seq, spent=stored.spent)
        self.take_handoff(notice, now)
        return None

    def _verdict(self, found: CheckVerdict | Failed, now: float) -> CheckVerdict:
        if isinstance(found, Failed):
            return CheckVerdict.could_not_run(self.pinned or self.context.base, found.why, now)
        return found

    def _trouble(self, about: str, why: str = "") -> None:
        """Note an effect that failed for good and is tried again; without `why`, that it succeeded."""
        self.present.troubles.pop(about, None)
        if why:
            self.present.troubles[about] = f"{about} failed: {why}"

    def _finish_turn(self, order: PlanTurn, outcome: TurnOutcome | Failed, now: float) -> None:
        present = self.present
        if isinstance(outcome, Failed):
            return self.close(PlannerEnd(status=HandoffStatus.FAILED, why=outcome.why))
        present.to_cancel += self.take_turn(order, outcome, now)
        news = outcome.control is not None and outcome.control.version > self.control.version
        if outcome.control is not None:
            self.take_control(outcome.control)  # the signal may never come; those below hear of it as well
        if outcome.decision is not Decision.SUSPENDED or outcome.until or news or self.held:
            present.blind_s = Present().blind_s
            return None
        # It was held, and is not any more as far as is known: asked at once it would only say so again.
        present.blind_until, present.blind_s = now + present.blind_s, held_again_after(present.blind_s)
        return None

    def carried(self) -> "PlannerState":
        """The state as the next workflow run takes it over."""
        children = self.children.settled_before(self.turn)
        return self.model_copy(update={"handled": 0, "signals": 0, "children": children, "present": Present()})
