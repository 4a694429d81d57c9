"""Activities that fail for good, whatever they are asked."""

from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

WHY = "OSError: [Errno 116] Stale file handle"


class FailsForGood(Interceptor):
    """Fails every call of an activity, non-retryably.

    Attributes:
        activity: Its name; none fails while it is empty.
        most: How many calls fail; the ones after them succeed.
        failed: How many did.
    """

    def __init__(self, activity: str, most: float = float("inf")) -> None:
        self.activity = activity
        self.most = most
        self.failed = 0

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK names it
        return _Failing(next, self)


class _Failing(ActivityInboundInterceptor):
    def __init__(self, inner: ActivityInboundInterceptor, faults: FailsForGood) -> None:
        super().__init__(inner)
        self._faults = faults

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK names it
        if activity.info().activity_type == self._faults.activity and self._faults.failed < self._faults.most:
            self._faults.failed += 1
            raise ApplicationError(WHY, type="OSError", non_retryable=True)
        return await super().execute_activity(input)
