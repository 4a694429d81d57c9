"""Steps of a wall clock while a run works, and what must be so at its end all the same."""

from collections import Counter
from typing import Any

from tests.support.site import Ground

SECONDS, HOUR, YEAR = 3, 3600, 31_536_000
STEPS = (SECONDS, -SECONDS, HOUR, -HOUR, YEAR, -YEAR, 0)
"""Offsets from the true time, in seconds, one after the other."""

PRICES = {role: {"price": {"input": 1.0, "output": 10.0}} for role in ("planner", "worker")}


def order(tasks: int, hours: float | None) -> dict[str, Any]:
    """A run of `playbooks.flat` with so many tasks; with a finite number of hours where its service's clock is true."""
    limits = {"usd": 1000, "usd_per_hour": 1000, "hours": hours or "none"}
    return {"check": f"test $(ls made | wc -l) = {tasks}", "limits": limits, "models": PRICES}


def prove_done(site: Ground, run: str, tasks: int, report: dict[str, Any]) -> None:
    """The run is done, and nothing in it happened twice."""
    assert report["outcome"] == "done", report
    assert Counter(len(said) for said in site.handoffs(run).values()) == {1: tasks + 1}
    assert Counter(commit.task for commit in site.landed(run)).most_common(1)[0][1] == 1
    assert len(site.landed(run)) == tasks
    assert site.rehearsal.problems() == []
