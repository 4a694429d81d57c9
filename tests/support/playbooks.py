"""Playbooks for whole runs."""

from typing import Any

from headway.rehearsal.playbook import PlannerScript, Playbook, Step, TaskScript, ToolUse


def use(name: str, **args: Any) -> ToolUse:
    """One tool call."""
    return ToolUse(name=name, args=args)


def step(*tools: ToolUse, text: str = "Next.", **more: Any) -> Step:
    """One reply."""
    return Step(text=text, tools=tools, **more)


def done(summary: str = "Done.", **more: Any) -> Step:
    """The reply that ends an agent."""
    return step(use("finish", status="done", summary=summary), **more)


def writer(title: str, path: str, *, pause: float = 0.2) -> TaskScript:
    """A worker that writes one file, looks at it, lands it and finishes."""
    return TaskScript(
        title=title,
        calls=(
            step(use("list_dir", path=".", depth=1)),
            step(use("write_file", path=path, content=f"# {title}\nvalue = 1\n")),
            step(use("shell", command=f"sleep {pause}; cat {path}")),
            step(use("land", message=f"{title}\n\nWrites {path}.")),
            done(f"{path} is written."),
        ),
    )


def asked(titles: list[str], folder: str) -> list[dict[str, Any]]:
    """The tasks of a spawn."""
    return [
        {"title": title, "intent": f"Write {folder}/{index}.py.", "paths": [f"{folder}/{index}.py"]}
        for index, title in enumerate(titles)
    ]


def flat(name: str, count: int, **more: Any) -> Playbook:
    """A root planner with `count` tasks."""
    titles = [f"Write part {index}" for index in range(count)]
    root = PlannerScript(
        scope="root",
        calls=(
            step(use("list_dir", path=".", depth=1)),
            step(use("spawn_tasks", tasks=asked(titles, "made")), use("wait")),
            done(after_handoffs=count),
            done("Still done."),
        ),
    )
    tasks = tuple(writer(title, f"made/{index}.py") for index, title in enumerate(titles))
    return Playbook(name=name, planners=(root,), tasks=tasks, **more)


def with_sub_planner(name: str, own: int, below: int, **more: Any) -> Playbook:
    """A root planner with `own` tasks, and a sub-planner with `below`."""
    titles = [f"Write part {index}" for index in range(own)]
    lower = [f"Write lower part {index}" for index in range(below)]
    root = PlannerScript(
        scope="root",
        calls=(
            step(
                use("spawn_subplanner", scope="The lower half", intent="Write the lower files."),
                use("spawn_tasks", tasks=asked(titles, "made")),
                use("wait"),
            ),
            done(after_handoffs=own + 1),
            done("Still done."),
        ),
    )
    sub = PlannerScript(
        scope="The lower half",
        calls=(
            step(use("spawn_tasks", tasks=asked(lower, "lower")), use("wait")),
            done(after_handoffs=below),
            done("Still done."),
        ),
    )
    tasks = [writer(title, f"made/{index}.py") for index, title in enumerate(titles)]
    tasks += [writer(title, f"lower/{index}.py") for index, title in enumerate(lower)]
    return Playbook(name=name, planners=(root, sub), tasks=tuple(tasks), **more)
