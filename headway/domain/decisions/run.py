"""The rules of a run: what is due towards its root planner and its user, its waits, its proof and its end."""

from headway.domain.check import RunCheck
from headway.domain.commands import (
    Abandon,
    Call,
    CancelChild,
    Command,
    ContinueAsNew,
    End,
    Launch,
    ListAs,
    Record,
    Signal,
    Sleep,
)
from headway.domain.decisions.below import audits, start_planner
from headway.domain.decisions.lending import Lending
from headway.domain.decisions.planner import SIGNALS_PER_RUN
from headway.domain.handoff import HandoffStatus
from headway.domain.ids import AgentId, ChildKey, child_id
from headway.domain.messages import Grant
from headway.domain.run import Note, Publish, WriteReport
from headway.domain.state.budget import Amount
from headway.domain.state.children import Children, new_children
from headway.domain.state.consequences import AsksToCancel, Audits, GivesOut, Holds, Parks, Proves, Reports
from headway.domain.state.planner import PlannerState
from headway.domain.state.run import RunState
from headway.domain.state.waits import PUBLISH_EVERY_S

PROOFS = 3
"""Rounds of check and publication until they agree: work of an abandoned agent may still land meanwhile."""

CONTINUED = "headway.continued"
"""The one field of the input of a run that continued as new; no user's input may have it."""


def decide(state: RunState, now: float) -> list[Command]:
    """The commands that are due. The run has been prepared."""
    stands = state.stands
    shown: list[Command] = [] if stands == state.listed_as else [ListAs(stands)]
    if state.present.report is not None:
        return [*shown, End(state.present.report)]
    if state.present.cancelling:
        return shown + _cancel(state, now)
    return shown + (_carry_out(state) or _below(state, now) or _go_on(state, now))


def _me(state: RunState) -> AgentId:
    return AgentId(state.context.run)


def _children(state: RunState) -> Children:
    assert state.children is not None
    return state.children


# Its user


def _carry_out(state: RunState) -> list[Command]:
    """The activity that the next of the user's orders needs."""
    return [state.asked[0].first(state)] if state.asked else []


# Its agents


def _below(state: RunState, now: float) -> list[Command]:
    present = state.present
    if present.to_start is not None:
        return [_start(state, present.to_start)]
    if present.again and state.phase == "needs_attention" and state.root is not None:
        note = Note(run=state.context.run, prompt="messages/root_again", about=state.root.ref(_me(state)))
        return [Call(note, "the next root planner is told")]
    # First the control record: a grant after a recall is for a planner that has given back.
    return _informs(state) or _lend(state, now)


def _start(state: RunState, key: ChildKey) -> Command:
    """Start a root planner with all that the run may use."""
    prepared = state.prepared
    assert prepared is not None
    context, granted = prepared.context, _children(state).open[key].granted or Amount()
    return start_planner(
        key,
        PlannerState(
            context=context,
            me=child_id(_me(state), key),
            title=prepared.title,
            scope=prepared.scope,
            depth=1,
            children=new_children(granted, context.sizes, context.sizes.root_call),
            steers=list(state.present.first_words),
            control=state.book.control,
            recall=state.book.control.recall,
        ),
    )


def _informs(state: RunState) -> list[Command]:
    control, children = state.book.control, _children(state).open
    keys = children if control.version != state.told else dict.fromkeys(state.present.to_inform)
    return [Signal(child_id(_me(state), key), control) for key in keys if key in children and control.version]


def _lend(state: RunState, now: float) -> list[Command]:
    """The grants that are due. At the run's limit the run holds, and waits for its user."""
    children = _children(state)
    if state.adopted and state.gives_out_at(now) and not children.no_more:
        return [Record(GivesOut())]
    root = root_grant(state, now)
    # An open root planner holds all that the run may use, so adopted agents wait for its handoff. Afterwards, or when
    # the user let the time to act pass, they get the rest, and hear that no more will come.
    answers = Lending(children, but=state.root_key).answers() if state.adopted else {}
    told = [Signal(child_id(_me(state), key), grant) for key, grant in answers.items()]
    return [*root, *told]


def root_grant(state: RunState, now: float) -> list[Command]:
    """The grant to tell the root planner. It may use all that the run may use: when it asks for more, the run asks the
    user.
    """
    key, children = state.root_key, _children(state)
    if key is None:
        return []
    child, account = children.open[key], children.account
    # While more is lent than a lowered limit allows, nothing is lent: that would end the giving back.
    settled = account.balance.covers(Amount())
    free, final = account.free if settled else Amount(), False
    if not free and child.need != Amount():
        if child.need and state.phase == "running":
            return [Record(Holds())]
        final = state.phase == "hold" and now >= state.overdue
        if not final:
            return []
    total = (child.granted or Amount()) + free
    return [Signal(child_id(_me(state), key), Grant(total=total, final=final, grant_version=child.grant_version))]


def _audit(state: RunState) -> list[Command]:
    """Look for agents that closed without a handoff."""
    return [Record(Audits()), *audits(state.context, _me(state), _children(state))]


# Its life


def _go_on(state: RunState, now: float) -> list[Command]:
    if state.present.busy:
        return [Sleep()]
    if state.phase == "proving":
        return _prove(state, now)
    if state.phase == "reporting":
        assert state.root is not None
        return _report(state, state.root.status, now)
    if state.ended(now) is not None:
        return [Record(Proves())]
    failed = state.root is not None and state.root.status is HandoffStatus.FAILED
    if failed and state.phase != "needs_attention":
        return [Record(Parks()), _publish(state)]
    if state.present.settled and continue_due(state, suggested=state.present.long):
        return [ContinueAsNew({CONTINUED: state.carried().model_dump(mode="json", by_alias=True)})]
    return _rest(state, now)


def _rest(state: RunState, now: float) -> list[Command]:
    """Wait for the root planner and the user; publish and audit now and then."""
    alone = state.phase == "needs_attention" and not state.adopted
    publish_at = state.published_at + PUBLISH_EVERY_S
    if not alone and now >= publish_at:
        return [_publish(state)]
    if not alone and now >= state.audit_at and _children(state).open:
        return _audit(state)
    waits = state.phase in {"hold", "needs_attention"}
    alarms = [*([] if alone else [publish_at, state.audit_at]), *([state.overdue] if waits else [])]
    return [Sleep(min((at for at in alarms if at > now), default=None))]


def _publish(state: RunState) -> Command:
    """Put the trunk on the user's repository. A slow push holds up nothing that the root or the user wants."""
    return Launch(Publish(run=state.context.run), "publish the trunk")


def _prove(state: RunState, now: float) -> list[Command]:
    """Check the trunk that is published. Work of an abandoned agent may still land meanwhile: then once more.

    A check that could not be run, or a trunk that could not be published, is tried again after a wait.
    """
    present, context = state.present, state.context
    if present.proven or present.proofs >= PROOFS:
        return [Record(Reports())]
    if now < present.retry.at:
        return [Sleep(present.retry.at)]
    if context.has_check and not present.checked:
        check = RunCheck(run=context.run, incarnation=context.incarnation, spec=context.spec, asked_by=_me(state))
        return [Launch(check, "check of the final trunk")]
    return [_publish(state)]


def _report(state: RunState, status: HandoffStatus, now: float) -> list[Command]:
    """Write the report; the run is closed then, also where it cannot be written."""
    if now < state.present.retry.at:
        return [Sleep(state.present.retry.at)]
    root, prepared, account = state.root, state.prepared, _children(state).account
    assert root is not None
    assert prepared is not None
    order = WriteReport(
        context=prepared.context,
        root=root.ref(_me(state)),
        status=status,
        trunk=state.trunk,
        verdict=state.verdict,
        spent=account.spent,
        granted=account.granted,
        problem=state.publish_problem,
        rehearsal=prepared.rehearsal,
    )
    return [Call(order, "report")]


def _cancel(state: RunState, now: float) -> list[Command]:
    """Cancel the agents, and wait for the root planner's handoff for as long as it may wait for those below."""
    present, children = state.present, _children(state)
    if present.busy:
        return [Sleep()] if present.last_push else [Abandon()]
    waits = bool(children.open) and now < present.cancel_until
    if waits and now >= present.cancel_at:
        asks = [CancelChild(child_id(_me(state), key)) for key in children.open]
        return [Record(AsksToCancel()), *asks, *(_audit(state) if present.cancel_tries else [])]
    if state.asked:
        return _carry_out(state)  # its client waits for the answer
    if waits:
        return [Sleep(min(present.cancel_at, present.cancel_until))]
    if not present.published:
        return [_publish(state)]
    if state.root is None:
        return [End(None)]
    if state.phase != "reporting":
        return [Record(Reports())]
    return _report(state, HandoffStatus.CANCELLED, now)


def continue_due(state: RunState, *, suggested: bool) -> bool:
    """True if the history is long enough to be closed at the next quiet moment."""
    return suggested or state.signals >= SIGNALS_PER_RUN
