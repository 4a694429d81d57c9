"""The environment's settings of models: addresses, the model of each role, and the longest wait of a refused agent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headway.domain.diagnostic import Diagnostic
from headway.domain.errors import UserError
from headway.domain.numbers import whole_number
from headway.models.breaker_store import open_breakers
from headway.models.circuit_breaker import PATIENCE_S, CircuitBreakers, outage_of
from headway.models.client import Model
from headway.models.endpoint import Endpoint
from headway.models.endpoint_variables import endpoint_from, named_endpoints
from headway.models.prices import Prices, prices_from
from headway.models.reachable import check_reachable
from headway.models.roles import AgentRole, ModelRoles
from headway.models.spending import Spending

FOLDER = "models"
"""Below the state folder: this machine's notes on each model that refused a call."""
RUNS = "runs"
"""Below the state folder: the runs, where each with a limit by the hour keeps what it spent on this machine lately."""


@dataclass(frozen=True)
class ModelSettings:
    """All settings of models outside of runs.

    Attributes:
        endpoint: The endpoint of OPENAI_* and HEADWAY_*.
        others: The endpoints of HEADWAY_ENDPOINT_*.
        patience_s: Seconds for which a refused agent keeps its slot.
        prices: The prices of models, with the table that HEADWAY_PRICES names.
    """

    endpoint: Endpoint
    others: tuple[Endpoint, ...] = ()
    planner: str = ""
    worker: str = ""
    patience_s: float = PATIENCE_S
    prices: Prices = field(default_factory=Prices)

    @classmethod
    def read(cls, env: Mapping[str, str]) -> "ModelSettings":
        """Read everything once.

        Raises:
            UserError: A setting is missing or makes no sense.
        """
        endpoint, others = endpoint_from(env), named_endpoints(env)
        check_reachable((endpoint, *others), env)
        return cls(
            endpoint=endpoint,
            others=others,
            planner=env.get("HEADWAY_PLANNER_MODEL", "").strip(),
            worker=env.get("HEADWAY_WORKER_MODEL", "").strip(),
            patience_s=whole_number(env, "HEADWAY_PARKED_S", int(PATIENCE_S)),
            prices=prices_from(env.get("HEADWAY_PRICES", "").strip()),
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every key, and every value of a header."""
        return tuple(secret for each in (self.endpoint, *self.others) for secret in each.secrets)

    def open(self, home: Path, tell: Callable[[str], None] = lambda _: None) -> ModelRoles:
        """The ways to the models, for one process and event loop; `tell` takes the lines for its log."""
        gates = CircuitBreakers(home / FOLDER, patience_s=self.patience_s)
        names: dict[AgentRole, str] = {"planner": self.planner, "worker": self.worker}
        others = [Model(each, gates, tell) for each in self.others]
        spending = Spending(home / RUNS, patience_s=self.patience_s)
        own = Model(self.endpoint, gates, tell)
        return ModelRoles(own, names, others, gates, prices=self.prices, spending=spending)


async def model_findings(env: Mapping[str, str], home: Path) -> tuple[Diagnostic, ...]:
    """The findings of `headway doctor` about the models."""
    parked = tuple(outage_of(address, name, flow).finding for address, name, flow in open_breakers(home / FOLDER))
    try:
        settings = ModelSettings.read(env)
    except UserError as error:
        return (Diagnostic(topic="model", state="broken", says=error.message, remedy=error.remedy), *parked)
    models = settings.open(home)
    try:
        return (*(await models.probe()).findings, *parked)
    finally:
        await models.close()
