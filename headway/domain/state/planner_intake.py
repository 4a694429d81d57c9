"""The input of a planner: handoffs, grants, orders, and the decisions of its turns."""

from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import ChildKey
from headway.domain.messages import FoundClosed, Grant
from headway.domain.planner_turn import Decision, PlanTurn, TurnOutcome
from headway.domain.state.budget import Amount
from headway.domain.state.control import Control
from headway.domain.state.planner_facts import PlannerEnd, PlannerFacts

IDLE_WAITS = 3
FRESH_EPOCHS = 3


class PlannerIntake(PlannerFacts):
    """A planner's facts, and how what comes in changes them."""

    def audit_soon(self, now: float) -> None:
        """Have the next audit come at once: an agent spoke whose planner may be closed, or the last one saw a part."""
        self.last_heard = min(self.last_heard, now - self.context.audit_s)

    def take_handoff(self, notice: HandoffNotice, now: float) -> bool:
        """Book a handoff for the next turn. False when it came before."""
        if not self.children.take(notice):
            return False
        self.inbox.append(notice)
        self.first_waiting = self.first_waiting if self.first_waiting is not None else now
        self.last_heard = now
        self.handled += 1
        return True

    def take_closed(self, found: FoundClosed, known: tuple[ChildKey, ...], now: float) -> tuple[ChildKey, ...] | None:
        """Book a child that an audit found closed, and adopt the agents that work on below it. Returns the adopted
        children.

        None when an agent below it told of its end meanwhile: its usage would count twice. The child is audited again.
        """
        ours = tuple(key for key in known if key.startswith(f"{found.child}/"))
        if self.children.known_below((found.child,)) != ours:
            return None
        adopted = tuple(orphan.key for orphan in found.orphans if self.children.adopt(orphan, found.child))
        if not found.more:
            self.take_handoff(found.notice, now)
        return adopted

    def take_grant(self, grant: Grant) -> None:
        """Book the parent's grant so far."""
        account = self.children.account
        if grant.grant_version > self.grant_version:  # a reset forgot that this much was given back
            account.granted, self.grant_version = grant.total, grant.grant_version
        elif grant.grant_version == self.grant_version:
            self.returning = self.returning and account.granted.covers(grant.total)
            account.granted = account.granted.most(grant.total)
        self.present.asked_with = None
        self.children.no_more = self.children.no_more or grant.final

    def hear_recall(self, recall: int) -> None:
        """A limit was lowered: the free budget goes back. A child may hear of it before its planner does, by the
        record that stopped it: granted more then, it would never give that back.
        """
        if recall > self.recall:
            self.recall, self.returning = recall, True

    def take_control(self, control: Control) -> None:
        """Take the user's control record; an older one that comes late changes nothing."""
        if control.version > self.control.version:
            self.hear_recall(control.recall)
            self.control = control
            self.parked_until = self.present.blind_until = 0.0  # a user who pauses and resumes wants it tried now
            # One that a lost past asked for may be at work before this one starts it.
            children = self.children.open.items()
            self.present.to_inform = [key for key, child in children if child.granted is not None or child.recovered]

    def close(self, ending: PlannerEnd) -> None:
        """Take no more turns and ask for no more: wait for outstanding children, then hand up.

        A child that still asks would otherwise wait for an answer, and the planner for the child.
        """
        self.closing = self.closing or ending
        self.children.no_more = True

    def take_turn(self, asked: PlanTurn, outcome: TurnOutcome, now: float) -> tuple[ChildKey, ...]:
        """Book a turn's decisions. Returns the started children that must be cancelled."""
        account = self.children.account
        account.own, account.aside = account.own.most(outcome.own), Amount()
        need, left = outcome.need, (asked.allowance - outcome.own).most(Amount())
        if need and left.covers(need):
            need += left.where(need)  # with only that much it would say the same again, at once
        account.call = (outcome.call or account.call).most(need)
        if outcome.decision in {Decision.OUT_OF_BUDGET, Decision.SUSPENDED, Decision.RENEWED}:
            self.need, self.parked_until = need, outcome.until
            return ()
        self.turn += 1
        self.turn_key, self.guard = "", None
        self.seq = outcome.seq
        # The handoffs that the turn really showed: a turn that was answered twice was asked with fewer than it is asked
        # now.
        self.inbox = self.inbox[outcome.told if outcome.told >= 0 else len(asked.inbox) :]
        self.steers = self.steers[outcome.steered if outcome.steered >= 0 else len(asked.steers) :]
        self.first_waiting = now if self.inbox else None
        self.fresh = self.nudge = False
        self.board, self.pinned = outcome.board or self.board, outcome.pinned
        self.final_shown = self.final_shown or asked.final is not None
        for spawned in outcome.spawned:
            self.children.ask_for(spawned)
        for spawned in outcome.recovered:
            self.children.ask_for(spawned, recovered=True)
        self._settle(outcome)
        return self.children.mark_cancelled(outcome.cancelled)

    def _settle(self, outcome: TurnOutcome) -> None:
        idle = not self.children.open and not self.inbox and not self.steers
        waited_idle = outcome.decision is Decision.WAIT and idle
        gave_up = outcome.decision is Decision.GAVE_UP
        # Only progress resets them: a planner that waits in vain and gives up in turn has to end.
        if not idle or outcome.decision is Decision.FINISH:
            self.idle_waits = 0
        # A planner whose conversation is refused may ask for the same tasks again and again.
        if outcome.decision in {Decision.WAIT, Decision.FINISH} and not idle:
            self.give_ups = 0
        self.idle_waits += waited_idle
        self.give_ups += gave_up
        self.nudge, self.fresh = waited_idle, gave_up
        match outcome.decision:
            case Decision.WAIT:
                self.rest = "wait"
            case Decision.FINISH:
                self.rest, self.last_finish = "finish", outcome.finish
            case _:
                self.rest = "none"
        if self.idle_waits >= IDLE_WAITS:
            self._close(HandoffStatus.PARTIAL, "the planner waited three times with nothing outstanding")
        if self.give_ups > FRESH_EPOCHS:
            self._close(HandoffStatus.FAILED, f"the planner's agent gave up: {outcome.why}")

    def _close(self, status: HandoffStatus, why: str) -> None:
        self.close(PlannerEnd(status=status, why=why))
