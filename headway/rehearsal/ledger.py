"""What was asked of the rehearsal: who asked what how often, and what of the playbook was never asked for."""

import threading
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from headway.rehearsal.place import Place
from headway.rehearsal.playbook import Playbook


@dataclass(slots=True)
class _Agent:
    who: str
    requests: int = 0
    places: Counter[tuple[int, int, bool]] = field(default_factory=Counter)


class Ledger:
    """Counts of one server's life. Safe to be read from other threads while it serves."""

    def __init__(self, playbook: Playbook) -> None:
        self._playbook = playbook
        self._lock = threading.Lock()
        self._agents: dict[str, _Agent] = {}
        self._served: list[set[int]] = [set() for _ in playbook.scripts]
        self._over: Counter[str] = Counter()
        self._requests = 0
        self._in_flight = 0
        self._max_in_flight = 0

    def begin(self) -> None:
        """A request came in."""
        with self._lock:
            self._requests += 1
            self._in_flight += 1
            self._max_in_flight = max(self._max_in_flight, self._in_flight)

    def end(self) -> None:
        """A request was answered."""
        with self._lock:
            self._in_flight -= 1

    def asked(self, agent: str, place: Place, *, words_only: bool) -> None:
        """`agent` asked at a place of the playbook."""
        with self._lock:
            entry = self._agents.setdefault(agent, _Agent(place.who))
            entry.requests += 1
            entry.places[place.step, place.turns, words_only] += 1

    def served(self, place: Place) -> None:
        """A call of the playbook was given out."""
        with self._lock:
            self._served[place.script].add(place.step)

    def refused(self, problem: str) -> None:
        """A request that the playbook does not foresee."""
        with self._lock:
            self._over[problem] += 1

    def report(self) -> dict[str, Any]:
        """Everything, as JSON.

        `repeats` counts requests at a place where the same agent asked before: work that was paid for twice.
        """
        with self._lock:
            agents = {
                name: {
                    "who": entry.who,
                    "requests": entry.requests,
                    "steps": len(entry.places),
                    "repeats": entry.requests - len(entry.places),
                }
                for name, entry in sorted(self._agents.items())
            }
            return {
                "playbook": self._playbook.name,
                "requests": self._requests,
                "in_flight": self._in_flight,
                "max_in_flight": self._max_in_flight,
                "repeats": sum(agent["repeats"] for agent in agents.values() if isinstance(agent["repeats"], int)),
                "agents": agents,
                "over_use": self._over_use(),
                "under_use": self._under_use(),
            }

    def problems(self) -> list[str]:
        """Where the run and the playbook disagree, a line each; empty when they agree."""
        with self._lock:
            return self._over_use() + self._under_use()

    def _over_use(self) -> list[str]:
        return [f"{problem}; asked {count} times" if count > 1 else problem for problem, count in self._over.items()]

    def _under_use(self) -> list[str]:
        lines = []
        for script, served in zip(self._playbook.scripts, self._served, strict=True):
            total = sum(step.repeat for step in script.calls)
            never = [number for number in range(1, total + 1) if number - 1 not in served]
            if never:
                lines.append(f"{script.label}: of its {total} calls, {_ranges(never)} never asked for")
        return lines


def _ranges(numbers: list[int]) -> str:
    starts = [numbers[0], *(after for before, after in pairwise(numbers) if after != before + 1)]
    ends = [*(before for before, after in pairwise(numbers) if after != before + 1), numbers[-1]]
    shown = ", ".join(f"{a} to {b}" if b > a else str(a) for a, b in zip(starts, ends, strict=True))
    return f"{shown} {'were' if len(numbers) > 1 else 'was'}"
