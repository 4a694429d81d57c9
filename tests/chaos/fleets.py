"""Playbooks of fleets: trees of planners with tasks at every level."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headway.rehearsal.playbook import PlannerScript, Playbook, TaskScript
from tests.end_to_end.playbooks import done, step, use, writer

Worker = Callable[[str, str], TaskScript]
"""A worker's script from its title and the path of its file."""


@dataclass(frozen=True)
class Fleet:
    """A playbook with what it is about.

    Attributes:
        paths: The file that each task writes, by the task's title.
        planners: How many there are, the root included.
    """

    playbook: Playbook
    paths: dict[str, str]
    planners: int

    @property
    def check(self) -> str:
        """A command that proves that everything was written."""
        return " && ".join(f"test -f {path}" for path in self.paths.values())


def three_levels(
    name: str, *, halves: int, quarters: int, tasks: tuple[int, int, int], worker: Worker = writer, **more: Any
) -> Fleet:
    """A root planner with `halves` sub-planners, each with `quarters` of its own; so many tasks for one of each."""
    paths: dict[str, str] = {}
    planners: list[PlannerScript] = []

    def planner(scope: str, folder: str, below: list[str], count: int) -> None:
        titles = [f"Write {folder} {index}" for index in range(count)]
        files = {title: f"{folder}/{index}.py" for index, title in enumerate(titles)}
        paths.update(files)
        asked = [{"title": title, "intent": f"Write {path}.", "paths": [path]} for title, path in files.items()]
        spawn = [use("spawn_subplanner", scope=title, intent=f"Everything of {title}.") for title in below]
        spawn += [use("spawn_tasks", tasks=asked)] if asked else []
        planners.append(
            PlannerScript(
                scope=scope,
                calls=(step(*spawn, use("wait")), done(after_handoffs=len(below) + count), done("Still done.")),
            )
        )

    top, middle, bottom = tasks
    planner("root", "top", [f"Half {half}" for half in range(halves)], top)
    for half in range(halves):
        planner(f"Half {half}", f"half{half}", [f"Quarter {half}.{part}" for part in range(quarters)], middle)
        for part in range(quarters):
            planner(f"Quarter {half}.{part}", f"quarter{half}-{part}", [], bottom)
    scripts = tuple(worker(title, path) for title, path in paths.items())
    return Fleet(Playbook(name=name, planners=tuple(planners), tasks=scripts, **more), paths, len(planners))


def blocking(marks: Path, command: str | None = None) -> Worker:
    """Workers that write their file, leave a mark, and sit in a command that hardly ends by itself.

    A command that was interrupted is followed by the same one again. The default one ends at `marks/release`.
    """
    line = command or until_released(marks)

    def script(title: str, path: str) -> TaskScript:
        mark = marks / path.replace("/", "-")
        return TaskScript(
            title=title,
            calls=(
                step(use("write_file", path=path, content=f"# {title}\n")),
                *(step(use("shell", command=f"touch {mark}; {line}; : {n}")) for n in range(4)),
                step(use("land", message=title)),
                done(),
            ),
        )

    return script


def until_released(marks: Path) -> str:
    """A command line that ends when there is a file `release` among the marks; otherwise after ten minutes."""
    return f"for i in $(seq 3000); do [ -e {marks}/release ] && break; sleep 0.2; done"


async def until_marked(marks: Path, count: int) -> None:
    """Return when so many marks were left."""
    while len(os.listdir(marks)) < count:  # noqa: ASYNC110, PTH208 - other processes leave them; quick enough
        await asyncio.sleep(0.05)
