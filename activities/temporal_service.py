"""The Temporal service as activities ask it, through the SDK's own client."""

from datetime import timedelta

from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
)
from temporalio.common import QueryRejectCondition
from temporalio.service import RPCError, RPCStatusCode

from headway.domain.errors import TransientError
from headway.domain.ids import AgentId, RunName
from headway.domain.model_outage import ModelOutage
from headway.domain.state.budget import Amount
from headway.domain.state.control import Control

QUERY_WITHIN = timedelta(seconds=5)


class TemporalService:
    """The service's knowledge of workflows and search attributes."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def closed_as(self, agent: AgentId) -> str | None:
        """The end of a workflow; None while it runs, `unknown` when the service has no record of it."""
        try:
            found = await self._client.get_workflow_handle(agent).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return "unknown"
            raise TransientError(f"the Temporal service cannot describe {agent}: {error}") from error
        if found.status is None or found.status is WorkflowExecutionStatus.RUNNING:
            return None
        return found.status.name.lower().replace("_", " ")

    async def control(self, run: RunName) -> Control | None:
        """A run's control record, by query; None when no worker process answers it now, or the run is closed."""
        try:
            found: Control = await self._client.get_workflow_handle(run).query(
                "control",
                result_type=Control,
                reject_condition=QueryRejectCondition.NOT_OPEN,
                rpc_timeout=QUERY_WITHIN,
            )
        except (RPCError, WorkflowQueryFailedError, WorkflowQueryRejectedError):
            return None  # asked again in two seconds; what was last known holds until then
        return found

    async def has_ended(self, run: RunName) -> bool:
        """True when a run is closed; False while it is open or unknown, or the service cannot be asked."""
        try:
            return await self.closed_as(AgentId(run)) not in {None, "unknown"}
        except TransientError:
            return False

    async def cancel(self, agent: AgentId) -> None:
        """Ask a workflow to cancel.

        Raises:
            TransientError: It could not be told now.
        """
        try:
            await self._client.get_workflow_handle(agent).cancel()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise TransientError(f"the Temporal service cannot cancel {agent}: {error}") from error

    async def parkings(self, run: RunName) -> tuple[ModelOutage, ...] | None:
        """A run's knowledge of models that refuse its agents; None when no worker process answers it now."""
        try:
            handle = self._client.get_workflow_handle(run)
            found: list[ModelOutage] = await handle.query(
                "parkings", result_type=list[ModelOutage], rpc_timeout=QUERY_WITHIN
            )
        except (RPCError, WorkflowQueryFailedError, WorkflowQueryRejectedError):
            return None
        return tuple(found)

    async def tell_parking(self, run: RunName, parking: ModelOutage) -> bool:
        """Signal a run that a model refuses its agents, or answers again; False when it could not be told now."""
        try:
            await self._client.get_workflow_handle(run).signal("parking", parking)
        except RPCError:
            return False  # told again in two seconds
        return True

    async def held(self, agent: AgentId) -> Amount | None:
        """All that an open agent was granted, by query; None when no worker process answers it now."""
        try:
            handle = self._client.get_workflow_handle(agent)
            found: Amount = await handle.query("held", result_type=Amount, rpc_timeout=QUERY_WITHIN)
        except (RPCError, WorkflowQueryFailedError, WorkflowQueryRejectedError):
            return None
        return found

    async def attributes(self) -> tuple[str, ...]:
        """The names of the custom search attributes; none where the service does not tell."""
        try:
            answer = await self._client.operator_service.list_search_attributes(
                ListSearchAttributesRequest(namespace=self._client.namespace)
            )
        except RPCError:
            return ()  # e.g. no permission on a hosted service: attributes are a convenience, runs go on without
        return tuple(sorted(answer.custom_attributes))
