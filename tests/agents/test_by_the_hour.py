"""A worker of a run that may spend so much in an hour."""

from headway.agents.loop.usage import usage_of
from headway.domain.errors import Parked
from headway.domain.handoff import HandoffStatus
from headway.domain.messages import WorkOrder
from headway.domain.state.budget import MICRO
from headway.models.spending import Spending
from headway.rehearsal.playbook import Tokens
from tests.agents.stage import Stage, finish, step, use

TITLE = "Write a file"
USD = 0.03
PRICE = {"input": 1.0, "output": 1.0}


async def test_a_worker_waits_for_the_hour_nothing_is_paid_meanwhile_and_it_goes_on(stage: Stage) -> None:
    now = [1_760_000_000.0]
    stage.spending = Spending(stage.folder / "spending", clock=lambda: now[0], wall=float)
    stage.limits = {"usd_per_hour": USD}
    stage.more = {"models": {"worker": {"price": PRICE}}}
    looks = [step(use("grep", pattern=f"nothing {n}"), tokens=Tokens(input=2_000, output=8_000)) for n in range(4)]
    stage.serve(tasks={TITLE: [*looks, finish("Nothing to do.", "not_needed")]})
    order = stage.task()
    waited = 0
    while (parked := await until(stage, order)) is not None:
        waited += 1
        spent = usage_of(stage.store.all_events(order.me)).amount
        assert spent.micro_usd <= USD * MICRO * waited, "a call that waits is not paid"
        assert 0 < parked <= 3_610
        now[0] += parked
    assert waited >= 1
    _, handoff = await stage.done(order)
    assert handoff.report.status is HandoffStatus.NOT_NEEDED
    assert usage_of(stage.store.all_events(order.me)).calls == 5


async def test_what_the_user_changed_since_the_run_began_is_what_counts(stage: Stage) -> None:
    stage.spending = Spending(stage.folder / "spending", clock=lambda: 1_760_000_000.0, wall=float)
    stage.limits = {"usd_per_hour": USD}
    stage.more = {"models": {"worker": {"price": PRICE}}}
    looks = [step(use("grep", pattern=f"nothing {n}"), tokens=Tokens(input=2_000, output=8_000)) for n in range(4)]
    stage.serve(tasks={TITLE: [*looks, finish("Nothing to do.", "not_needed")]})
    order = stage.task()
    assert await until(stage, order) is not None
    raised = order.model_copy(update={"context": order.context.model_copy(update={"limits": {"usd_per_hour": "none"}})})
    _, handoff = await stage.done(raised)
    assert handoff.report.status is HandoffStatus.NOT_NEEDED
    assert usage_of(stage.store.all_events(order.me)).calls == 5


async def until(stage: Stage, order: WorkOrder) -> float | None:
    """Seconds until the worker is to go on; None once it has handed off."""
    try:
        await stage.work(order)
    except Parked as parked:
        return parked.delay_s
    return None
