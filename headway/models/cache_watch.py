"""Servers that read nothing from a prompt cache, found by their reports on calls that begin as earlier ones did."""

from headway.models.adapter import Request
from headway.models.token_estimate import MODELS_KEPT
from headway.models.turn import Usage
from headway.system.cache import BoundedCache

NO_CACHE = "a prompt cache"
"""Name of the finding among those about a model and its address."""
CALLS = 20
"""Calls in a row that read nothing, after which none is expected to."""
WORTH_TOKENS = 4096
"""Tokens of input from which every known cache serves a request."""
LIVES_S = 240.0
"""Seconds for which every known cache keeps what it read."""

WHY = f"{CALLS} calls in a row that began as earlier ones did read nothing from it"


class CacheWatch:
    """Counts the calls of each model of one endpoint that read nothing and should have."""

    def __init__(self) -> None:
        self._missed: BoundedCache[str, int] = BoundedCache(MODELS_KEPT)

    def saw(self, request: Request, usage: Usage) -> bool | None:
        """True when a model turns out to read nothing, False when it has read something, else None."""
        if usage.cached:
            self._missed.put(request.model, 0)
            return False
        is_late = request.step == 0 or request.reuse.pause_s > LIVES_S
        if is_late or (usage.input or 0) < WORTH_TOKENS:
            return None
        missed = (self._missed.get(request.model) or 0) + 1
        self._missed.put(request.model, missed)
        return True if missed == CALLS else None
