"""Playbooks of fleets: trees of planners with tasks at every level."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headway.domain.ids import RunName
from headway.rehearsal.playbook import PlannerScript, Playbook, TaskScript
from tests.support.playbooks import done, step, use, writer
from tests.support.site import Machine

SHARED: dict[str, Any] = {"caches": ["pip"], "root_tasks_per_round": [1, 100]}
"""The policy of a run whose commands leave marks: a cache is the one place that they share and that we see. No
planner is told that it asks for few."""

INSIDE = "$PIP_CACHE_DIR"
"""Where its commands find that place."""

HOLDER = "$(cat /proc/sys/kernel/random/uuid)"
"""A name of its own for a command: in a namespace, process ids are the same again and again."""

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


def blocking(command: str | None = None) -> Worker:
    """Workers that write their file, leave a mark, and sit in a command that hardly ends by itself.

    A command that was interrupted is followed by the same one again. The default one ends when they are released.
    """
    line = command or UNTIL_RELEASED

    def script(title: str, path: str) -> TaskScript:
        mark = f"{INSIDE}/{path.replace('/', '-')}"
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


UNTIL_RELEASED = f"for i in $(seq 3000); do [ -e {INSIDE}/release ] && break; sleep 0.2; done"
"""A command line that ends when its run is released; otherwise after ten minutes."""


def marks(site: Machine, run: str) -> Path:
    """Where the commands of a run with the policy `SHARED` leave their marks."""
    return site.store.run_folder(RunName(run)) / "caches" / "pip"


async def until_marked(site: Machine, run: str, count: int) -> None:
    """Return when so many marks were left."""
    left = marks(site, run)
    while not left.is_dir() or len(list(left.iterdir())) < count:  # noqa: ASYNC110 - left by processes; quick
        await asyncio.sleep(0.05)


def release(site: Machine, run: str) -> None:
    """Let the commands that wait for it end."""
    (marks(site, run) / "release").touch()
