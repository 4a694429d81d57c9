"""Which model each role works with: the run's input, else the worker process's environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from headway.domain.spec import RunSpec
from headway.model.client import Model, Probe

AgentRole = Literal["planner", "worker"]


@dataclass(frozen=True)
class Chosen:
    """A model to ask, by which name, with which reasoning effort."""

    model: Model
    name: str
    effort: str | None = None


class Models:
    """The models of one endpoint, by role.

    Args:
        model: The way there.
        defaults: Names by role for runs that name none: HEADWAY_PLANNER_MODEL and HEADWAY_WORKER_MODEL.
    """

    def __init__(self, model: Model, defaults: Mapping[AgentRole, str]) -> None:
        self._model = model
        self._defaults = defaults
        self._found: str | None = None

    async def choose(self, role: AgentRole, spec: RunSpec) -> Chosen:
        """The model of a role in a run.

        Raises:
            UserError: No name is set, and the server names none.
            TransientError, FatalModelError: The server cannot be asked for a name.
        """
        wanted = spec.models.planner if role == "planner" else spec.models.worker
        name = wanted.model or self._defaults.get(role) or self._found
        if not name:
            name = self._found = await self._model.choose_model(None)
        return Chosen(model=self._model, name=name, effort=wanted.effort)

    async def probe(self) -> Probe:
        """What the endpoint says of itself: whether it is a rehearsal, and what is wrong with it."""
        return await self._model.probe()
