"""Failed calls of one agent, counted from its log."""

from headway.agents.loop.failed_calls import AT_ONCE, PAUSES_S, FailedCalls
from headway.domain.errors import TransientError
from headway.models.failures import Failing
from tests.support.events import retry


def delay_of(misses: FailedCalls, error: TransientError) -> float | None:
    judged = misses.judged(error)
    assert isinstance(judged, TransientError)
    misses.take(retry("oops", kind=type(error).__name__))
    return judged.delay_s


def test_a_request_that_the_server_fails_again_and_again_is_made_ever_more_rarely() -> None:
    misses = FailedCalls()
    delays = [delay_of(misses, Failing("oops")) for _ in range(AT_ONCE + len(PAUSES_S) + 2)]
    assert delays == [None] * AT_ONCE + list(PAUSES_S) + [PAUSES_S[-1]] * 2


def test_what_a_server_says_of_its_end_counts_for_more() -> None:
    misses = FailedCalls(failing=100)
    assert delay_of(misses, Failing("oops", 5.0)) == 5
    assert delay_of(misses, TransientError("lost")) is None
