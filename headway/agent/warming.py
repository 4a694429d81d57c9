"""Keeps the layers warm that workspaces lie on: the trunk's files, and what the user's `setup` made of them."""

import asyncio
from dataclasses import replace
from functools import partial

from headway.agent.conversation import Beat
from headway.agent.excerpt import cut_middle
from headway.agent.files import Files
from headway.agent.holding import alone, while_held
from headway.agent.job import Job
from headway.agent.outcome import how_it_ended
from headway.agent.threads import in_thread
from headway.agent.walling import Walled, walls_of, without_secrets
from headway.domain.ids import AgentId
from headway.domain.spec import RunSpec
from headway.git.building import Build
from headway.git.warmth import SetupDone, setup_key
from headway.git.workspace import Workspace
from headway.git.workspaces import Workspaces
from headway.sandbox.runner import Command, CommandResult, Sandbox

SETUP_OUTPUT_CHARS = 4_000
LOOK_EVERY_S = 0.5

LEFT_NAMED = 100
"""Paths that `setup` left and that a worker is told by name."""


async def run_setup(sandbox: Sandbox, agent: AgentId, place: Walled, spec: RunSpec, command: str) -> CommandResult:
    """Run the user's `setup` where these files are; what only it was given is not in what it says."""
    walls = await in_thread(partial(walls_of, agent, place, spec, setup=True))
    home, limit = Files(place.path).home(), float(spec.limits.command_seconds)
    result = await sandbox.run(Command(line=command, cwd=place.path, timeout_s=limit, walls=walls, home=home))
    return replace(result, output=without_secrets(result.output, walls))


async def set_up(job: Job, sandbox: Sandbox, beat: Beat) -> None:
    """See that the user's `setup` has run in the files of a worker, and note how it went."""
    command = job.spec.setup
    if command is None or job.setup is not None:
        return
    done = await in_thread(job.workspace.setup_done, command)
    if done is None:
        beat("runs setup")
        async with alone(job.workspace, job.talk.log):
            running = run_setup(sandbox, job.order.me, job.workspace, job.spec, command)
            done = _told(await while_held(job.talk.log, running), "")
            await in_thread(_note_made, job.workspace)
    made = await in_thread(job.workspace.made)
    data = {
        "setup": job.setup_name,
        "command": command,
        "exit_code": done.exit_code,
        "ended": done.ended,
        "output": done.output,
        "left": list(made.names(job.workspace.hub.repo)[:LEFT_NAMED]) if made is not None else [],
    }
    job.talk.note("agent.state", data, dur_ms=done.seconds * 1000)


def _note_made(workspace: Workspace) -> None:
    with workspace.held():
        workspace.note_made()


async def warmed(places: Workspaces, spec: RunSpec, sandbox: Sandbox, agent: AgentId, beat: Beat) -> None:
    """Have a workspace that is opened next lie on warm layers, where there are layers.

    One agent builds them for all; the others wait only for what they cannot do without: the first layer, and a `setup`
    that has to run anew. `setup` runs here only where commands find every workspace at the same path, because what it
    makes may hold that path. Else it runs in each workspace.
    """
    if places.level != "overlay":
        return
    command = spec.setup if sandbox.level.startswith("bubblewrap") else None
    while (due := await in_thread(places.generations.due, command)) != "no":
        build = await in_thread(places.generations.begin)
        if build is not None:
            with build:
                if await in_thread(places.generations.due, command) != "no":
                    await _build(build, spec, sandbox, agent, command=command, beat=beat)
            await in_thread(places.reclaim)
        elif due == "behind" and await in_thread(places.generations.newest) is not None:
            return
        else:
            beat("waits for setup")
            await asyncio.sleep(LOOK_EVERY_S)


async def _build(
    build: Build, spec: RunSpec, sandbox: Sandbox, agent: AgentId, *, command: str | None, beat: Beat
) -> None:
    done = await in_thread(build.still_warm, command) if command is not None else None
    if command is not None and done is None:
        beat("runs setup")
        result = await run_setup(sandbox, agent, build, spec, command)
        done = _told(result, await in_thread(setup_key, build.hub.repo, build.tree, command))
    await in_thread(build.publish, done)


def _told(result: CommandResult, key: str) -> SetupDone:
    output = cut_middle(result.output, SETUP_OUTPUT_CHARS)
    return SetupDone(
        key=key, exit_code=result.exit_code, ended=how_it_ended(result), output=output, seconds=result.seconds
    )
