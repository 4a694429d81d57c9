"""How a wait is told: times of day and dates in UTC."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from headway.domain.limits import in_words
from headway.domain.model_outage import clock_words, date_words
from headway.domain.state.budget import Amount


@given(at=st.floats(0, 32_000_000_000))
def test_days_and_times_are_those_of_the_calendar(at: float) -> None:
    when = datetime.fromtimestamp(int(at), UTC)
    assert date_words(at) == f"{when:%Y-%m-%d}"
    assert clock_words(at) == f"{when:%H:%M:%S} UTC"


def test_limits_are_told_with_the_day_on_which_the_run_ends() -> None:
    end = datetime(2026, 2, 28, 23, 59, tzinfo=UTC).timestamp()
    assert "until 2026-02-28 23:59:00 UTC" in in_words(Amount(tokens=1), Amount(), end, {})
