"""Parts of requests that the servers of one endpoint refused; later requests leave them out.

A part that a model refuses is left out for this model by every process of the machine, and told once. Earlier reasoning
is the exception: only the conversation whose reasoning was refused goes on without it.
"""

from collections.abc import Callable

from headway.domain.ids import AgentId
from headway.models.adapter import NOTHING, Request
from headway.models.cache_watch import NO_CACHE, WHY, CacheWatch
from headway.models.circuit_breaker import CircuitBreaker
from headway.models.failures import THOUGHTS
from headway.models.token_estimate import MODELS_KEPT
from headway.models.turn import Usage
from headway.system.cache import BoundedCache

AGENTS_KEPT = 1000
"""Agents of which a process remembers that a server cannot read their earlier reasoning."""


class LeftOut:
    """One per endpoint and process. The circuit breaker's file keeps what concerns a model for other processes.

    Args:
        tell: Called with a line when a part is left out for the first time.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._cache_watch = CacheWatch()
        self._dropped: BoundedCache[str, frozenset[str]] = BoundedCache(MODELS_KEPT)
        self._unread: BoundedCache[AgentId, frozenset[str]] = BoundedCache(AGENTS_KEPT)

    def of(self, request: Request, gate: CircuitBreaker | None) -> frozenset[str]:
        """Names of the parts that a request is sent without."""
        own = (self._dropped.get(request.model) or NOTHING) | (self._unread.get(request.agent) or NOTHING)
        return own if gate is None else own | gate.file.dropped()

    def drop(self, request: Request, gate: CircuitBreaker | None, name: str, why: str) -> None:
        """Leave out a part from now on; `why` are the server's words."""
        model, agent = request.model, request.agent
        if name == THOUGHTS:
            # Those of this conversation: another key or region wrote them. Of others they may be read.
            self._unread.put(agent, frozenset({name}))
            self._tell(f"model {model}: {agent} goes on without its earlier reasoning, which the server refused: {why}")
            return
        self._dropped.put(model, (self._dropped.get(model) or NOTHING) | {name})
        if gate is None or gate.file.drop(name, why):
            self._tell(f"model {model}: '{name}' is left out from now on, because the server refused it: {why}")

    def watch_cache(self, request: Request, usage: Usage, gate: CircuitBreaker, *, is_known: bool) -> None:
        """Remember and tell that a server reads nothing from a prompt cache; take it back when it does."""
        reads_nothing = self._cache_watch.saw(request, usage)
        if reads_nothing is False and is_known:
            gate.file.take_back(NO_CACHE)
        elif reads_nothing and gate.file.drop(NO_CACHE, WHY):
            self._tell(f"model {request.model}: its server reads nothing from a prompt cache: {WHY}")
