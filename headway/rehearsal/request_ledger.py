"""The ledger of a rehearsal: requests by agent and place, and the parts of the playbook that no agent asked for."""

import threading
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import Any

from headway.rehearsal.blackout import Dark
from headway.rehearsal.place import Place
from headway.rehearsal.scripts import Scripts

LINES_SHOWN = 200
"""Lines of under-use that are told; a generated run that broke off would fill pages."""


@dataclass(slots=True)
class Spot:
    """One request of one agent, asked once or more.

    Attributes:
        asks: Number of times that it was asked.
        row: Faults of the wire that answered it, in a row, at the end.
        delivered: A usable answer went whole to a client that was still there.
    """

    asks: int = 0
    row: int = 0
    delivered: bool = False


@dataclass(slots=True)
class _Agent:
    who: str
    requests: int = 0
    repeats: int = 0
    retries: int = 0
    unheard: int = 0
    spots: dict[tuple[int, int, int, bool], Spot] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        return {
            "who": self.who,
            "requests": self.requests,
            "steps": len(self.spots),
            "repeats": self.repeats,
            "retries": self.retries,
            "unheard": self.unheard,
        }


class RequestLedger:
    """Counts of one server's life. Safe to be read from other threads while it serves."""

    def __init__(self, scripts: Scripts) -> None:
        self.dark = Dark(scripts.playbook.blackout, scripts.playbook.model)
        self._scripts = scripts
        self._lock = threading.Lock()
        self._agents: dict[str, _Agent] = {}
        self._served: defaultdict[int, set[int]] = defaultdict(set)
        self._faults: Counter[str] = Counter()
        self._over: Counter[str] = Counter()
        self._requests = 0
        self._in_flight = 0
        self._max_in_flight = 0

    @property
    def requests(self) -> int:
        """Number of requests to the model, of all agents."""
        return self._requests

    def begin(self) -> None:
        """A request came in."""
        with self._lock:
            self._requests += 1
            self._in_flight += 1
            self._max_in_flight = max(self._max_in_flight, self._in_flight)

    def end(self) -> None:
        """A request's answer is about to be sent."""
        with self._lock:
            self._in_flight -= 1

    def asked(self, agent: str, place: Place, *, words_only: bool) -> Spot:
        """`agent` asked at a place of the playbook. Returns the notes on that request, this ask included."""
        with self._lock:
            entry = self._agents.setdefault(agent, _Agent(place.who))
            entry.requests += 1
            # An agent's next attempt starts its script anew.
            spot = entry.spots.setdefault((place.asker.attempt, place.step, place.turns, words_only), Spot())
            if spot.delivered:
                entry.repeats += 1
            elif spot.row:
                entry.retries += 1
            elif spot.asks:
                entry.unheard += 1
            spot.asks += 1
            return spot

    def failed(self, spot: Spot, kind: str) -> None:
        """A request is answered by a fault of the wire."""
        with self._lock:
            spot.row += 1
            self._faults[kind] += 1

    def answered(self, spot: Spot, place: Place, *, scripted: bool, nonsense: str | None) -> None:
        """A request is answered by a call of the playbook, or by the rehearsal's own words."""
        with self._lock:
            spot.row = 0
            if scripted:
                self._served[place.script].add(place.step)
            if nonsense is not None:
                self._faults[nonsense] += 1

    def delivered(self, spot: Spot) -> None:
        """A usable answer arrived."""
        with self._lock:
            spot.delivered = True

    def refused(self, problem: str) -> None:
        """A request that the playbook does not foresee."""
        with self._lock:
            self._over[problem] += 1

    def report(self) -> dict[str, Any]:
        """Everything, as JSON.

        `repeats` counts requests that were asked again although their answer had been delivered: work that is paid for
        twice. `retries` were asked again after a fault of the wire, `unheard` after an answer for which the client did
        not stay.
        """
        with self._lock:
            agents = {name: entry.told() for name, entry in sorted(self._agents.items())}
            return {
                "playbook": self._scripts.playbook.name,
                "requests": self._requests,
                "in_flight": self._in_flight,
                "max_in_flight": self._max_in_flight,
                **{name: sum(agent[name] for agent in agents.values()) for name in ("repeats", "retries", "unheard")},
                "faults": dict(sorted(self._faults.items())),
                **self.dark.report(),
                "agents": agents,
                "over_use": self._over_use(),
                "under_use": self._under_use(),
            }

    def problems(self) -> list[str]:
        """Differences between the run and the playbook, a line each; empty when they agree."""
        with self._lock:
            return self._over_use() + self._under_use()

    def _over_use(self) -> list[str]:
        return [f"{problem}; asked {count} times" if count > 1 else problem for problem, count in self._over.items()]

    def _under_use(self) -> list[str]:
        lines = (line for number in range(len(self._scripts)) if (line := self._missed(number)))
        shown = list(islice(lines, LINES_SHOWN))
        more = sum(1 for _ in lines)
        return [*shown, f"and {more} more scripts"] if more else shown

    def _missed(self, number: int) -> str:
        script, served = self._scripts[number], self._served.get(number, set())
        total, never = 0, []
        for step in script.calls:
            if not step.optional:
                never += [place + 1 for place in range(total, total + step.repeat) if place not in served]
            total += step.repeat
        return f"{script.label}: of its {total} calls, {_ranges(never)} never asked for" if never else ""


def _ranges(numbers: list[int]) -> str:
    starts = [numbers[0], *(after for before, after in pairwise(numbers) if after != before + 1)]
    ends = [*(before for before, after in pairwise(numbers) if after != before + 1), numbers[-1]]
    shown = ", ".join(f"{a} to {b}" if b > a else str(a) for a, b in zip(starts, ends, strict=True))
    return f"{shown} {'were' if len(numbers) > 1 else 'was'}"
