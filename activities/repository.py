"""The activities around a run's repository: prepare it, publish from it, prove it, report on it."""

from typing import Protocol

from temporalio import activity

from activities.handoffs import Service
from activities.heartbeat import as_application_error, heartbeat
from headway.domain.check import CheckVerdict, RunCheck
from headway.domain.progress import Progress
from headway.domain.refs import Ref
from headway.domain.run import (
    MeasureSpent,
    Note,
    PreparedRun,
    PrepareRun,
    Publish,
    Published,
    RunReport,
    WriteAmendment,
    WriteReport,
)
from headway.domain.state.budget import Amount


class RunLifecycle(Protocol):
    """A run's beginning and end: the hub, the log, the branch on the user's repository, the report."""

    async def prepare(self, order: PrepareRun, attributes: tuple[str, ...], progress: Progress) -> PreparedRun: ...

    async def publish(self, order: Publish) -> Published: ...

    async def note(self, order: Note) -> Ref: ...

    async def amendment(self, order: WriteAmendment) -> Ref: ...

    async def report(self, order: WriteReport) -> RunReport: ...

    async def spent(self, order: MeasureSpent) -> Amount: ...


class Checker(Protocol):
    """Runs the user's check on one commit, in a workspace of its own and in the sandbox."""

    async def check(self, order: RunCheck, progress: Progress) -> CheckVerdict: ...


class Repository:
    """The activities that a `Run` asks for itself."""

    def __init__(self, desk: RunLifecycle, service: Service) -> None:
        self._desk = desk
        self._service = service

    @activity.defn
    @as_application_error
    async def prepare_run(self, order: PrepareRun) -> PreparedRun:
        """Make the hub and the run's log, or find them as an earlier attempt made them. Tries setup, check and models.

        Whatever the user has to correct fails it before the first model call that costs anything.
        """
        async with heartbeat() as progress:
            return await self._desk.prepare(order, await self._service.attributes(), progress)

    @activity.defn
    @as_application_error
    async def publish(self, order: Publish) -> Published:
        """Put the trunk on the user's repository as `headway/<run>/main`, if it moved."""
        async with heartbeat():
            return await self._desk.publish(order)

    @activity.defn
    @as_application_error
    async def write_note(self, order: Note) -> Ref:
        """Write a message for a planner; its text comes from a prompt, so that editing one never breaks a replay."""
        async with heartbeat():
            return await self._desk.note(order)

    @activity.defn
    @as_application_error
    async def write_amendment(self, order: WriteAmendment) -> Ref:
        """Store an amendment's text, once for each request, so that history carries where it lies."""
        async with heartbeat():
            return await self._desk.amendment(order)

    @activity.defn
    @as_application_error
    async def measure_spent(self, order: MeasureSpent) -> Amount:
        """Sum the usage of all agents of a run until now, by their logs."""
        async with heartbeat():
            return await self._desk.spent(order)

    @activity.defn
    @as_application_error
    async def write_report(self, order: WriteReport) -> RunReport:
        """Count the landed commits and write the report."""
        async with heartbeat():
            return await self._desk.report(order)


class Checks:
    """The activity that proves a commit green."""

    def __init__(self, checker: Checker) -> None:
        self._checker = checker

    @activity.defn
    @as_application_error
    async def run_check(self, order: RunCheck) -> CheckVerdict:
        """Run the user's check on a commit."""
        async with heartbeat() as progress:
            return await self._checker.check(order, progress)
