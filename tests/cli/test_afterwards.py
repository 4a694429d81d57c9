"""A run taken in hand: `headway reset`, `continue` and `rm`, on a whole machine where only the model is scripted."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client

from headway.domain.ids import AgentId, RunName
from headway.eventlog.events.envelope import bodies
from headway.eventlog.events.life import RunStart
from headway.rehearsal.playbook import PlannerScript, Playbook
from headway.runs.run_lookup import executions
from tests.support.command import headway, start
from tests.support.playbooks import asked, flat, step, use, writer
from tests.support.repositories import git, make_repository
from tests.support.site import Machine, shared_machine


@pytest.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machine]:
    async with shared_machine(tmp_path_factory.mktemp("machine")) as site:
        yield site


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repository", 5)


async def ended(site: Machine, name: str, **more: object) -> dict[str, object]:
    """The report of a run, once it ended."""
    report = await asyncio.wait_for((await site.start(name, **more)).result(), 60)
    assert isinstance(report, dict)
    return report


async def listed(client: Client, name: str) -> int:
    return len(await executions(client, RunName(name)))


def folders(site: Machine) -> set[str]:
    """The folders of runs that the machine has, also those that are being removed."""
    return {folder.name for folder in (site.home / "runs").glob("*")}


def branches(repository: Path) -> list[str]:
    return git("-C", str(repository), "for-each-ref", "--format=%(refname:short)", "refs/heads").split()


async def test_a_removed_runs_name_is_free_again(shared: Machine, repository: Path, tmp_path: Path) -> None:
    with shared.playing(repository, flat("again", 2)) as site:
        env = {"TEMPORAL_ADDRESS": site.client.service_client.config.target_host}
        await ended(site, "one", check="true")
        await ended(site, "one-more")
        folder = site.store.run_folder(RunName("one"))

        shown = await headway(site.home, "rm", "one", **env)
        assert shown.code == 0, shown
        assert "branch      headway/one/main in" in shown.out
        assert "commits     2 of 2 are nowhere else: they WILL BE LOST" in shown.out
        assert f"{folder}: logs, 4 files" in shown.out
        assert "histories   4 workflow executions" in shown.out
        assert "headway rm one --yes" in shown.out
        assert folder.exists()
        assert "headway/one/main" in branches(repository)

        removed = await headway(site.home, "rm", "one", "--yes", **env)
        assert removed.code == 0, removed
        assert "one is removed" in removed.out
        assert not folder.exists()
        assert branches(repository) == ["headway/one-more/main", "main"]
        assert await listed(site.client, "one") == 0
        assert await listed(site.client, "one-more") == 4, "a run whose name begins alike is left alone"
        assert "There is no run named 'one'" in (await headway(site.home, "rm", "one", "--yes", **env)).refusal

        report = await ended(site, "one", check="test -f made/1.py")
        assert report["outcome"] == "done"
        assert report["commits"] == 2
        assert "headway/one/main" in branches(repository)


async def test_a_half_removed_run_is_removed_by_the_next(shared: Machine, repository: Path, tmp_path: Path) -> None:
    with shared.playing(repository, flat("half", 1)) as site:
        before = folders(site)
        env = {"TEMPORAL_ADDRESS": site.client.service_client.config.target_host}
        for name in ("no-branch", "no-history", "no-folder"):
            await ended(site, name)
        git("-C", str(repository), "branch", "-D", "headway/no-branch/main")
        for found in await executions(site.client, RunName("no-history")):
            await _delete(site.client, found.id)
        folder = site.store.run_folder(RunName("no-folder"))
        folder.rename(folder.with_name(f".gone-{'0' * 32}-no-folder"))

        for name in ("no-branch", "no-history", "no-folder"):
            said = await headway(site.home, "rm", name, "--yes", **env)
            assert said.code == 0, said
            assert await listed(site.client, name) == 0
        assert folders(site) == before
        # What the hub of no-folder knew is lost with it, so its branch stays.
        assert branches(repository) == ["headway/no-folder/main", "main"]


@pytest.mark.parametrize("before_it", ["", f".gone-{'0' * 32}-"], ids=["whole", "half removed"])
async def test_another_start_of_the_name_is_not_removed_with_what_is_left_here(
    shared: Machine, repository: Path, tmp_path: Path, before_it: str
) -> None:
    with shared.playing(repository, flat("other", 1)) as site:
        env = {"TEMPORAL_ADDRESS": site.client.service_client.config.target_host}
        name = f"other-{len(before_it)}"
        await ended(site, name)
        elsewhere = tmp_path / "elsewhere"
        (elsewhere / "runs" / f"{before_it}{name}").mkdir(parents=True)
        (elsewhere / "runs" / f"{before_it}{name}" / "incarnation").write_text("of an older start\n")
        before = await listed(site.client, name)
        said = await headway(elsewhere, "rm", name, "--yes", **env)
        assert "does not live in" in said.refusal
        assert await listed(site.client, name) == before > 0


async def test_a_removal_that_is_killed_at_any_moment_is_finished_by_the_next(
    shared: Machine, repository: Path
) -> None:
    with shared.playing(repository, flat("killed", 1)) as site:
        before = folders(site)
        env = {"TEMPORAL_ADDRESS": site.client.service_client.config.target_host}
        await asyncio.gather(*(ended(site, f"killed-{number}") for number in range(4)))
        for number in range(4):
            name = f"killed-{number}"
            process = await start(site.home, "rm", name, "--yes", **env)
            # It has been seen to be at work; how far it gets differs from one time to the next.
            while number and f"headway/{name}/main" in branches(repository) and process.returncode is None:  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05 * number)
            if process.returncode is None:
                process.kill()
            await process.communicate()
            said = await headway(site.home, "rm", name, "--yes", **env)
            assert said.code == 0 or f"There is no run named '{name}'" in said.refusal
            assert await listed(site.client, name) == 0
        assert folders(site) == before
        assert branches(repository) == ["main"]


async def _delete(client: Client, workflow: str) -> None:
    from temporalio.api.common.v1 import WorkflowExecution
    from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest

    execution = WorkflowExecution(workflow_id=workflow)
    request = DeleteWorkflowExecutionRequest(namespace=client.namespace, workflow_execution=execution)
    await client.workflow_service.delete_workflow_execution(request)


def held_up() -> Playbook:
    """A root planner with notes and two tasks: one lands, the other is blocked and leaves work behind."""
    root = PlannerScript(
        scope="root",
        calls=(
            step(use("rewrite_scratchpad", content="Goal: two files. Open: the second.")),
            step(use("spawn_tasks", tasks=asked(["Write part 0", "Write part 1"], "made")), use("wait")),
            step(use("finish", status="partial", summary="One of two."), after_handoffs=2),
        ),
    )
    second = writer("Write part 1", "made/1.py")
    blocked = step(use("finish", status="blocked", summary="No key.", concerns="The key is missing."))
    second = second.model_copy(update={"calls": (*second.calls[:2], blocked, blocked)})
    return Playbook(name="held-up", planners=(root,), tasks=(writer("Write part 0", "made/0.py"), second))


async def test_a_run_goes_on_where_another_ended(shared: Machine, repository: Path) -> None:
    with shared.playing(repository, held_up()) as site:
        env = {"TEMPORAL_ADDRESS": site.client.service_client.config.target_host}
        report = await ended(site, "held", check="true", limits={"tasks": 50})
        assert report["outcome"] == "partial"

        said = await headway(site.home, "continue", "held", "--detach", **env)

        assert said.code == 0, said
        assert "held continues as held-2, from headway/held/main" in said.out
        second = site.client.get_workflow_handle("held-2")
        await asyncio.wait_for(second.result(), 60)
        spec = next(bodies(site.store.read(AgentId("held-2")), RunStart)).spec
        assert spec.limits.tasks == 50
        assert spec.check == "true"
        assert spec.instructions.startswith("Write the files.\n\n# Continued from run held\n")
        assert "> Goal: two files. Open: the second.\n" in spec.instructions
        assert "> - The key is missing. ('Write part 1')\n" in spec.instructions
        assert "> - blocked: 'Write part 1'; it left work that is not on the trunk. No key." in spec.instructions
        assert site.hub("held-2").facts().base == git("-C", str(repository), "rev-parse", "headway/held/main").strip()

        git("-C", str(repository), "branch", "mine", "headway/held/main")
        shown = await headway(site.home, "rm", "held", **env)
        assert ", also in mine\n" in shown.out
        assert "LOST" not in shown.out
        assert "unlanded    refs/headway/wip/held/root-" in shown.out
        assert ": made/1.py" in shown.out

        followed = await headway(site.home, "continue", "held-2", "Do the rest.", "--as", "third", **env)
        assert followed.code == 4, followed
        assert "held-2 continues as third" in followed.out
        assert "third: partial" in followed.out
        assert (
            "--as: there was a run named 'third'"
            in (await headway(site.home, "continue", "held", "--as", "third", **env)).refusal
        )


async def test_what_cannot_be_continued_or_removed_is_told(shared: Machine, repository: Path) -> None:
    with shared.playing(repository, flat("refused", 1, latency_ms=200)) as site:
        env = {"TEMPORAL_ADDRESS": site.client.service_client.config.target_host}
        for command in ("continue", "rm"):
            assert "There is no run named 'nobody'" in (await headway(site.home, command, "nobody", **env)).refusal

        run = await site.start("slow")
        # At once, so that it cannot end meanwhile: a command takes its time on a busy machine.
        await run.execute_update("pause", {"request": "hold", "target": "slow"})
        assert "'slow' has not ended yet" in (await headway(site.home, "continue", "slow", **env)).refusal
        assert "headway cancel slow" in (await headway(site.home, "rm", "slow", "--yes", **env)).refusal
        assert (await headway(site.home, "resume", "slow", **env)).code == 0
        await asyncio.wait_for(run.result(), 60)

        trunk = site.hub("slow").tip()
        git("-C", str(repository), "branch", "-m", "headway/slow/main", "mine")
        merged = await headway(site.home, "continue", "slow", "--detach", "--quiet", **env)
        assert merged.out == "slow-2\n"
        input_of = next(bodies(site.store.read(AgentId("slow-2")), RunStart))
        assert input_of.spec.base == trunk, "the commit is there, under another name"
        await asyncio.wait_for(site.client.get_workflow_handle("slow-2").result(), 60)
        git("-C", str(repository), "branch", "headway/slow/main", "main")
        git("-C", str(repository), "branch", "-D", "mine")
        git("-C", str(repository), "-c", "gc.pruneExpire=now", "gc", "--quiet", "--prune=now")
        behind = (await headway(site.home, "continue", "slow", **env)).refusal
        assert "stands behind it there" in behind
        git(*behind.strip().rpartition("try again: ")[2].split()[1:])
        mended = await headway(site.home, "continue", "slow", "--as", "mended", "--detach", **env)
        assert "from headway/slow/main" in mended.out
        await asyncio.wait_for(site.client.get_workflow_handle("mended").result(), 60)

        repository.rename(repository.with_name("moved"))  # noqa: ASYNC240
        assert "does not answer" in (await headway(site.home, "continue", "slow", **env)).refusal
        gone = await headway(site.home, "rm", "slow", "--yes", **env)
        assert gone.code == 0, gone
        assert "branches    stay as they are" in gone.out


async def test_a_reset_to_the_first_turn_keeps_every_commit_and_does_no_task_twice(
    shared: Machine, repository: Path
) -> None:
    with shared.playing(repository, flat("anew", 6, latency_ms=1500)) as site:
        env = {"TEMPORAL_ADDRESS": site.client.service_client.config.target_host}
        run = await site.start("anew", check="test $(ls made | wc -l) = 6")
        await site.until_requests(12)

        said = await headway(site.home, "reset", "anew", "--turn", "1", "--yes", **env)

        assert said.code == 0, said
        assert "6 asked for: 'Write part 0', 'Write part 1'" in said.out
        report = await asyncio.wait_for(run.result(), 120)
        assert report["outcome"] == "done"
        assert report["spent"]["tasks"] == 6
        assert sorted(Counter(commit.task for commit in site.landed("anew")).values()) == [1] * 6
        assert Counter(len(said) for said in site.handoffs("anew").values()) == {1: 7}
