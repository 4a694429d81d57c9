"""The table of limits: a row is all that a limit needs before it is enforced."""

import pytest
from pydantic import ValidationError

from headway.cli.app import application
from headway.domain.limit_table import CHANGEABLE, LIMITS, Limits, finite
from headway.domain.orders.set_limits import SetLimits
from headway.domain.state.budget import MICRO, UNLIMITED


def test_every_limit_has_a_row() -> None:
    assert list(LIMITS) == list(Limits.model_fields)
    assert all(row.meaning for row in LIMITS.values())


def test_a_limit_that_may_change_has_a_field_of_the_order_and_an_option_of_the_command() -> None:
    import typer

    command = typer.main.get_command(application()).commands["limits"]  # type: ignore[attr-defined]
    options = {parameter.name for parameter in command.params}
    assert options == {"name", "why", *CHANGEABLE}
    assert set(SetLimits.model_fields) == {"request", "who", "why", *CHANGEABLE}


@pytest.mark.parametrize("name", sorted(set(Limits.model_fields) - set(CHANGEABLE)))
def test_another_limit_cannot_be_changed(name: str) -> None:
    with pytest.raises(ValidationError):
        SetLimits.model_validate({"request": "1", name: 1})


@pytest.mark.parametrize("name", CHANGEABLE)
def test_a_change_takes_what_the_input_takes(name: str) -> None:
    for value in (1, 1.5, "none", 0, -1, 1e308, "1", True):
        input_takes = order_takes = True
        try:
            Limits.model_validate({name: value})
        except ValidationError:
            input_takes = False
        try:
            SetLimits.model_validate({"request": "1", name: value})
        except ValidationError:
            order_takes = False
        assert input_takes == order_takes, value


def test_a_lifted_limit_that_agents_wait_under_is_a_number_that_nothing_reaches() -> None:
    limits = Limits().with_changes({"usd_per_hour": "none", "hours": "none"})
    assert (limits.usd_per_hour, limits.hours) == (UNLIMITED / MICRO, "none")


def test_a_limit_without_a_bound_is_a_number_that_nothing_reaches() -> None:
    assert (finite("none"), finite(7)) == (UNLIMITED, 7)
