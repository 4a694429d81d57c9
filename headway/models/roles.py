"""The model of each role: that of the run's input, else that of the worker process's environment."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from headway.domain.diagnostic import Diagnostic
from headway.domain.errors import UserError
from headway.domain.ids import AgentId, RunName
from headway.domain.limits import micro
from headway.domain.model_outage import ModelOutage
from headway.domain.spec import ModelChoice, RunSpec
from headway.models.cache_watch import NO_CACHE
from headway.models.circuit_breaker import CircuitBreakers
from headway.models.client import Model
from headway.models.editing import Edit
from headway.models.endpoint import DEFAULT, plain_name
from headway.models.meter import Meter
from headway.models.prices import Price, Prices
from headway.models.probe import Probe, probe
from headway.models.prompt_cache import caches_nothing
from headway.models.spending import Hourly, Spending

AgentRole = Literal["planner", "worker"]
ModelRole = Literal["planner", "worker", "fixer", "compaction"]

ROLES: tuple[ModelRole, ...] = ("planner", "worker", "fixer", "compaction")


@dataclass(frozen=True)
class Chosen:
    """A model to ask, with its name, its reasoning effort and its price; None for a price that is not known.

    Attributes:
        hourly: The run's limit on spending in an hour on this machine, where there is one.
        prices: Prices of other models, one of which may answer in its place.
        is_full: Tokens that are read from a cache count like others, see `limits.cache_reads`.
    """

    model: Model
    name: str
    effort: str | None = None
    price: Price | None = None
    hourly: Hourly | None = None
    prices: Prices | None = None
    is_full: bool = False

    def meter(self, answered: str = "") -> Meter:
        """The meter of a call; `answered` is the model that a gateway says it asked in the end."""
        price = self.price
        is_other = answered not in {"", self.name} and self.prices is not None and not (price and price.is_own)
        if is_other and self.prices is not None:
            price = self.prices.of(answered, self.model.endpoint.base_url) or price
        return Meter(price, self.is_full)

    @property
    def edit(self) -> Edit:
        """The way in which it edits files."""
        return self.model.endpoint.edit_of(self.name)

    @property
    def facts(self) -> dict[str, str | None]:
        """Its facts in the run's log."""
        endpoint = self.model.endpoint
        at = {"endpoint": endpoint.name, "address": endpoint.shown, "api": endpoint.api}
        return {**at, "model": self.name, "effort": self.effort}


class ModelRoles:
    """The models of every endpoint that this process knows, by role.

    Args:
        model: The way to the endpoint that OPENAI_* describes.
        defaults: Names by role for runs that name none: HEADWAY_PLANNER_MODEL and HEADWAY_WORKER_MODEL.
        others: The ways to the endpoints that HEADWAY_ENDPOINT_* declares.
        gates: The circuit breakers of their calls.
        prices: The prices of models.
        spending: The recent spending of this machine's runs; needed for a limit by the hour.
    """

    def __init__(
        self,
        model: Model,
        defaults: Mapping[AgentRole, str],
        others: Sequence[Model] = (),
        gates: CircuitBreakers | None = None,
        *,
        prices: Prices | None = None,
        spending: Spending | None = None,
    ) -> None:
        self._spending = spending
        self._prices = prices or Prices()
        self._endpoints = {each.endpoint.name: each for each in (model, *others)}
        self._defaults = defaults
        self._gates = gates
        self._found: dict[str, str] = {}

    async def choose(self, role: ModelRole, spec: RunSpec, own: AgentRole = "worker") -> Chosen:
        """The model of a role in a run.

        `own` is the agent that plays the role by default: a compaction is made by the agent's own model, and a fixer
        works as a worker does.

        Raises:
            UserError: No name is set and the server names none, or the run names an endpoint that is not declared.
            TransientError, FatalModelError: The server cannot be asked for a name.
        """
        wanted = _wanted(spec, role)
        agent: AgentRole = _own(role) or own
        if role not in {"planner", "worker"} and wanted.model is None and wanted.endpoint is None:
            chosen = await self.choose(agent, spec)
            return replace(chosen, effort=wanted.effort or chosen.effort)
        model = self._at(role, wanted.endpoint)
        name = wanted.model or await self._default(model, agent)
        price = self._prices.of(name, model.endpoint.base_url, wanted.price)
        is_full = spec.limits.cache_reads == "full"
        return Chosen(model, name, wanted.effort, price, self._hourly(spec), self._prices, is_full)

    async def note_taker(self, spec: RunSpec, own: AgentRole) -> Chosen | None:
        """The model that writes the notes at a conversation's end, if it is not the agent's own; fails as `choose`."""
        chosen = await self.choose("compaction", spec, own)
        return None if chosen == await self.choose(own, spec) else chosen

    async def probe(self, spec: RunSpec | None = None, *, deep: bool = True) -> Probe:
        """The probe of a run's endpoints, or of all: the models of the first one, and the findings of each.

        With `deep` a small call is made too, where it is free.
        """
        wanted = await self._wanted_at(spec)
        probes = [await probe(self._endpoints[name], tuple(models), deep=deep) for name, models in wanted.items()]
        findings = [finding for each in probes for finding in each.findings]
        findings += [each for name, models in wanted.items() for each in self._uncached(name, models)]
        refusal = next((each.refusal for each in probes if each.refusal is not None), None)
        return Probe(probes[0].models, any(each.rehearsal for each in probes), tuple(findings), refusal)

    async def tell_findings(self, tell: Callable[[str], None]) -> None:
        """Name what the models' servers lack, before an agent finds out."""
        for finding in (await self.probe()).findings:
            tell(f"{finding.topic}: {finding.state}: {finding.words}")

    async def probe_for(self, spec: RunSpec) -> Probe:
        """The same of a run whose model may be unnamed: a server that does not answer cannot name one.

        Raises:
            UserError: No name is set, or the run names an endpoint that is not declared.
        """
        for name in dict.fromkeys(self._at(role, _wanted(spec, role).endpoint).endpoint.name for role in ROLES):
            found = await probe(self._endpoints[name], deep=False)
            if found.refusal is not None:
                return found
        return await self.probe(spec)

    def parkings(self, run: RunName) -> tuple[ModelOutage, ...]:
        """State of the breakers of the models that this run has used here, and of its limit by the hour."""
        ways = self._gates.parkings(run) if self._gates is not None else ()
        return ways + (self._spending.parkings(run) if self._spending is not None else ())

    async def leave(self, agent: AgentId) -> None:
        """Close the connections of an agent that makes no more calls for now."""
        for model in self._endpoints.values():
            await model.leave(agent)

    def forget(self, run: RunName) -> None:
        """Free the resources of a run, once no agent of it is at work here."""
        if self._gates is not None:
            self._gates.forget(run)
        if self._spending is not None:
            self._spending.forget(run)

    async def close(self) -> None:
        """Closes the connections and lets go of the breakers."""
        for model in self._endpoints.values():
            await model.close()
        if self._gates is not None:
            self._gates.close()
        if self._spending is not None:
            self._spending.close()

    def _uncached(self, endpoint: str, names: Iterable[str]) -> list[Diagnostic]:
        """The models that read nothing from a prompt cache, with the cost of that where it is known."""
        model, found = self._endpoints[endpoint], []
        for name in names:
            never = caches_nothing(model.endpoint.base_url)
            if not never and NO_CACHE not in model.left_out(name):
                continue
            price = self._prices.of(name, model.endpoint.base_url)
            dearer = price is not None and price.cached < price.input
            cost = f", at {price.input} dollars a million tokens instead of {price.cached}" if price and dearer else ""
            says = (
                f"model '{name}' reads nothing from a prompt cache at {model.endpoint.shown}: "
                f"each step pays for its whole conversation{cost}"
            )
            remedy = "OpenRouter and LiteLLM serve the same models with one." if never else ""
            found.append(Diagnostic(topic="model", state="lacking", says=says, remedy=remedy))
        return found

    def _hourly(self, spec: RunSpec) -> Hourly | None:
        limit = spec.limits.usd_per_hour
        return None if limit == "none" or self._spending is None else Hourly(self._spending, micro(limit))

    async def _wanted_at(self, spec: RunSpec | None) -> dict[str, dict[str, None]]:
        """The models in use, by endpoint; without a run, those of runs that name none."""
        if spec is None:
            wanted: dict[str, dict[str, None]] = {name: {} for name in self._endpoints}
            for name in filter(None, self._defaults.values()):
                wanted[DEFAULT][name] = None
            for name, model in self._endpoints.items():
                if model.endpoint.model:
                    wanted[name][model.endpoint.model] = None
            return wanted
        wanted = {}
        for role in ROLES:
            chosen = await self.choose(role, spec)
            wanted.setdefault(chosen.model.endpoint.name, {})[chosen.name] = None
        return wanted

    def _at(self, role: ModelRole, endpoint: str | None) -> Model:
        name = DEFAULT if endpoint is None else plain_name(endpoint)
        if name not in self._endpoints:
            known = ", ".join(sorted(self._endpoints))
            raise UserError(
                f"models.{role}.endpoint: '{endpoint}' is not an endpoint of the worker processes; there are: {known}.",
                "Declare it in their environment as HEADWAY_ENDPOINT_<NAME>_URL and start them again, or name another.",
            )
        return self._endpoints[name]

    async def _default(self, model: Model, agent: AgentRole) -> str:
        endpoint = model.endpoint
        named = self._defaults.get(agent) if endpoint.name == DEFAULT else endpoint.model
        name = named or self._found.get(endpoint.name)
        if not name:
            name = self._found[endpoint.name] = await model.choose_model(None)
        return name


def _own(role: ModelRole) -> AgentRole | None:
    return role if role == "planner" else "worker" if role == "worker" else None


def _wanted(spec: RunSpec, role: ModelRole) -> ModelChoice:
    match role:
        case "planner":
            return spec.models.planner
        case "worker":
            return spec.models.worker
        case "fixer":
            return spec.models.fixer
        case "compaction":
            return spec.models.compaction
