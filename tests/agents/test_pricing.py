"""Whether limits in dollars can be kept is known at the start."""

import pytest

from headway.domain.errors import UserError
from headway.domain.limit_table import Limits
from headway.domain.spec import RunSpec
from headway.domain.state.budget import UNLIMITED
from headway.models.pricing import pricing_of

PRICED = {"planner": ("big", True), "worker": ("small", True)}
UNPRICED = PRICED | {"worker": ("own", False), "fixer": ("own", False)}


def spec(**limits: object) -> RunSpec:
    return RunSpec(repo="/r", instructions="Do it.", limits=Limits.model_validate(limits))


def test_where_each_model_has_a_price_limits_in_dollars_can_be_kept() -> None:
    pricing = pricing_of(PRICED, spec())
    assert pricing.bounded
    assert pricing.usd(20.0) == 20_000_000
    assert pricing.notes == pricing.unpriced == ()


@pytest.mark.parametrize("limit", ["usd", "task_usd", "usd_per_hour"])
def test_a_limit_in_dollars_that_nobody_can_keep_is_refused_and_the_message_names_what_sets_the_price(
    limit: str,
) -> None:
    with pytest.raises(UserError) as refused:
        pricing_of(UNPRICED, spec(**{limit: 5.0}))
    assert refused.value.message.startswith(f"limits.{limit}: the price of the model 'own' is not known")
    assert "models.worker.price and models.fixer.price" in refused.value.remedy


@pytest.mark.parametrize("limits", [{}, {"usd": "none", "usd_per_hour": "none"}])
def test_a_default_in_dollars_gives_way_to_the_limit_on_tokens(limits: dict[str, object]) -> None:
    pricing = pricing_of(UNPRICED, spec(**limits))
    assert not pricing.bounded
    assert pricing.usd(20.0) == UNLIMITED
    assert pricing.unpriced == ("models.worker.price", "models.fixer.price")
    assert "bounded by its tokens" in pricing.notes[0]
