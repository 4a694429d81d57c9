"""The server's time while an activity works. No step of this machine's wall clock moves it."""

from contextvars import ContextVar

from temporalio import activity

from headway.system.steady import steady

_AHEAD: ContextVar[float] = ContextVar("seconds from the steady clock to the server's time")


def begin_server_time() -> None:
    """Set the clock of this activity by the moment at which the server started its attempt."""
    _AHEAD.set(activity.info().started_time.timestamp() - steady())


def server_time() -> float:
    """Seconds since the epoch, as the run's workflows count them.

    Raises:
        LookupError: Outside an activity.
    """
    return steady() + _AHEAD.get()
