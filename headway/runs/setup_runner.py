"""Runs the user's `setup`: once in the layers that workspaces share, or in each workspace where there are none."""

import asyncio
from functools import partial

from headway.domain.ids import AgentId, Oid
from headway.domain.progress import Progress
from headway.domain.spec import RunSpec
from headway.editing.files import Files
from headway.git.hub import IGNORED_FOLDER
from headway.git.landing.bounded_merge import merge_trees
from headway.git.workspace.build_base_layer import Build
from headway.git.workspace.notes import Move
from headway.git.workspace.setup_cache import SetupDone, note_withheld, setup_key
from headway.git.workspace.setup_changes import load_setup_changes
from headway.git.workspace.workspace import Workspace
from headway.git.workspace.workspaces import Workspaces
from headway.policy.sandbox_policy import CommandFiles, sandbox_spec_of, without_secrets
from headway.sandbox.outcome import how_it_ended
from headway.sandbox.runner import Command, Sandbox
from headway.system.excerpt import cut_middle
from headway.system.files import delete
from headway.system.threads import in_thread

SETUP_OUTPUT_CHARS = 4_000
LOOK_EVERY_S = 0.5


async def run_setup(
    sandbox: Sandbox, agent: AgentId, place: CommandFiles, spec: RunSpec, command: str, *, of_base: bool
) -> SetupDone:
    """Run the user's `setup` in a folder of files. Secrets that only `setup` gets are taken out of its output.

    Args:
        sandbox: Runs it.
        agent: The agent that the command counts for.
        place: The files.
        spec: The run's input.
        command: The user's `setup`.
        of_base: The files hold nothing that an agent wrote, so `setup` gets all that the user allows it.
    """
    rights = spec.policy.setup_rights(of_base=of_base)
    walls = await in_thread(partial(sandbox_spec_of, agent, place, spec, setup=rights))
    home, limit = Files(place.path).home(), float(spec.limits.command_seconds)
    unsaid = partial(without_secrets, walls=walls) if walls.secrets else None
    result = await sandbox.run(
        Command(line=command, cwd=place.path, timeout_s=limit, walls=walls, home=home, redact=unsaid)
    )
    return SetupDone(
        key="",
        exit_code=result.exit_code,
        ended=how_it_ended(result),
        output=cut_middle(result.output, SETUP_OUTPUT_CHARS),
        seconds=result.seconds,
        withheld=rights.withheld if result.exit_code != 0 else (),
    )


async def set_up_files(
    sandbox: Sandbox, agent: AgentId, workspace: Workspace, spec: RunSpec, command: str
) -> SetupDone:
    """Run `setup` in a workspace that lies on no base layers and in which no agent has worked yet.

    `setup` gets the network and the user's variables on the base's files only. So a workspace on a later commit is
    first put on the base, where `setup` runs with them, and then on its commit, where the files that `setup` made stay.
    There `setup` runs again without them if its inputs have changed.
    """
    repo, base = workspace.hub.repo, workspace.hub.facts().base
    # The commit that it was made on: one that was killed here before may have left the files on the base.
    stands = workspace.first_base
    of_base = repo.tree_of(stands) == repo.tree_of(base)
    if of_base or workspace.rebuilt or spec.policy.setup_trust == "full":
        done = await run_setup(sandbox, agent, workspace, spec, command, of_base=of_base and not workspace.rebuilt)
        await in_thread(_note_setup_changes, workspace)
        return done

    async def by_the_base() -> SetupDone:
        if load_setup_changes(workspace.home) is not None:
            # `setup` has run here since, as agents wrote it, in this call or in one that was killed.
            await in_thread(_clear, workspace)
        await in_thread(_move_to, workspace, base)
        done = await run_setup(sandbox, agent, workspace, spec, command, of_base=True)
        await in_thread(_note_setup_changes, workspace)
        await in_thread(_move_to, workspace, stands)
        return done

    done = await by_the_base()
    keys = [await in_thread(setup_key, repo, repo.tree_of(commit), command) for commit in (base, stands)]
    if done.exit_code != 0 or keys[0] == keys[1]:
        return done
    again = await run_setup(sandbox, agent, workspace, spec, command, of_base=False)
    if again.withheld:  # it may have broken its outputs on the base
        await by_the_base()
    else:
        await in_thread(_note_setup_changes, workspace)
    await in_thread(note_withheld, workspace.hub.folder, again)
    return again


def _clear(workspace: Workspace) -> None:
    """Remove all that `setup` made, in HOME and the git directory too: git and others run what stands there.

    Tracked files become those of the commit again. The next move makes the git directory anew.
    """
    with workspace.held():
        for own in (workspace.path / ".git", workspace.path / IGNORED_FOLDER):
            if own.is_dir() and not own.is_symlink():
                delete(own)
            else:
                own.unlink(missing_ok=True)
        tree = workspace.tree
        tree.run("read-tree", "--reset", "-u", tree.tree_of(workspace.base))
        tree.run("clean", "-ffdxq")


def _move_to(workspace: Workspace, commit: Oid) -> None:
    """Put the files on another commit and keep the changes of `setup`. In a conflict the commit's file wins."""
    repo = workspace.hub.repo
    with workspace.held():
        now, before, after = workspace.scan(), repo.tree_of(workspace.base), repo.tree_of(commit)
        merged = merge_trees(repo, before, after, now.files)
        move = Move(tree=after if merged.conflicts else merged.tree, commit=commit)
        if not workspace.move(now, move):
            workspace.move(workspace.scan(), move, over_ignored=True)


def _note_setup_changes(workspace: Workspace) -> None:
    with workspace.held():
        workspace.note_setup_changes()


async def ensure_base_layer(
    places: Workspaces, spec: RunSpec, sandbox: Sandbox, agent: AgentId, progress: Progress
) -> None:
    """Bring the base layers up to date for the workspace that is opened next; return at once where there are none.

    One agent builds them for all. The others wait only for the first layer and for a `setup` that has to run again.
    `setup` runs in a layer only where commands see every workspace at the same path, because its output may hold that
    path. Otherwise it runs in each workspace.
    """
    if places.level != "overlay":
        return
    command = spec.setup if sandbox.level.startswith("bubblewrap") else None
    first = places.hub.facts().base if command is not None and spec.policy.setup_trust != "full" else None
    kept: SetupDone | None = None
    while (due := await in_thread(places.generations.due, command)) != "no":
        build = await in_thread(places.generations.begin, first)
        if build is not None:
            with build:
                if await in_thread(places.generations.due, command) != "no":
                    kept = await _build(build, spec, sandbox, agent, command=command, kept=kept, progress=progress)
            await in_thread(places.reclaim)
        elif due == "behind" and await in_thread(places.generations.newest) is not None:
            return
        else:
            progress("waits for setup")
            await asyncio.sleep(LOOK_EVERY_S)


async def _build(
    build: Build,
    spec: RunSpec,
    sandbox: Sandbox,
    agent: AgentId,
    *,
    command: str | None,
    kept: SetupDone | None,
    progress: Progress,
) -> SetupDone | None:
    """Build a layer and publish it.

    Nothing is published when `setup` failed for lack of withheld rights: it may have broken files of an older layer.

    Returns:
        The result of such a `setup`; None when the layer was published. The next build takes it as `kept`, and notes it
        instead of running `setup` again.
    """
    done = await in_thread(build.still_warm, command) if command is not None else None
    if command is not None and done is None:
        key = await in_thread(setup_key, build.hub.repo, build.tree, command)
        if kept is not None and kept.key == key:
            done = kept
        else:
            progress("runs setup")
            ran = await run_setup(sandbox, agent, build, spec, command, of_base=await in_thread(lambda: build.of_base))
            done = ran.model_copy(update={"key": key})
            await in_thread(note_withheld, build.hub.folder, done)
            if done.withheld and build.before is not None:
                return done
    await in_thread(build.publish, done)
    return None
