"""`headway gc` on the real service: what it shows, what it removes, and how many that were."""

import json
from collections.abc import Awaitable
from pathlib import Path

import pytest
from temporalio.client import Client

from headway.cli.continue_ import _continue
from headway.cli.rm import _rm
from headway.cli.run import start
from headway.domain.errors import UserError
from headway.domain.ids import AgentId, Incarnation, Oid, RunName
from headway.domain.spec import RunSpec
from headway.eventlog.events.life import RunStart
from headway.eventlog.local_store import LocalStore
from headway.host.upgrade import this_service
from tests.git.ground import git
from tests.support.command import headway
from tests.support.events import run_ended


async def test_the_leftovers_of_ended_runs_are_counted_shown_and_removed(home: Path, client: Client) -> None:
    reclaimable: list[Path] = []
    for name in ("ended", "open", "other"):
        await start(client, RunName(name), {"repo": "/x", "instructions": "Do it."})
        folder = home / "runs" / name
        folder.mkdir(parents=True)
        git(folder, "init", "--quiet", "--bare", "hub.git")
        # As a crash of the machine, and a kill while a workspace was made, leave them.
        reclaimable += [folder / "workspaces" / name / place for place in ("1.0-aaaaaaaa", ".1.1-bbbbbbbb.new")]
    for place in reclaimable:
        place.mkdir(parents=True)
    # Another start of that name goes on at another service.
    (home / "runs" / "other" / "incarnation").write_text("another\n")
    for name in ("ended", "other"):
        await client.get_workflow_handle(name).terminate()

    shown = await headway(home, "gc")
    assert shown.code == 0, shown
    assert [line.split()[:2] for line in shown.out.splitlines()[:-1]] == [
        ["stale", str(reclaimable[0])], ["rest", str(reclaimable[1])], ["rest", str(reclaimable[3])]
    ]  # fmt: skip
    assert "Nothing was removed. This removes the 3 leftovers" in shown.out
    assert all(place.exists() for place in reclaimable)

    removed = await headway(home, "gc", "--yes")
    assert (removed.code, removed.out.splitlines()[-1]) == (0, "Reclaimed 3 of 3 leftovers."), removed
    assert [place.exists() for place in reclaimable] == [False, False, True, False, True, True], (
        "what an open run may need stays"
    )
    assert (await headway(home, "gc")).out == "There is nothing to reclaim.\n"


def go_on(home: Path) -> Awaitable[int]:
    """`headway continue goes-on`."""
    return _continue(home, "goes-on", None, None, detach=True, quiet=True)


async def test_a_run_of_another_service_is_left_alone(home: Path, client: Client) -> None:
    """Its files would be taken from agents at work, and its commits are nowhere else."""
    store, runs = LocalStore(home), home / "runs"
    for name in ("goes-on", "ended", "lost"):
        store.claim(RunName(name), Incarnation("first"))
        with store.open(AgentId(name), role="run") as log:
            spec = RunSpec(repo="/x", instructions="Do it.")
            log.append(RunStart(spec=spec, base=Oid("0" * 40)), sync=True)
            if name == "ended":
                log.append(run_ended(), sync=True)
        git(runs / name, "init", "--quiet", "--bare", "hub.git")
    here = this_service(client)
    known: list[str]
    for known in ([], ["127.0.0.1:1 default", here], ["127.0.0.1:1 default"]):
        (home / "workflow-code.json").write_text(json.dumps({service: {} for service in known}))
        for command in (_rm(home, "goes-on", yes=True), _rm(home, "goes-on", yes=False), go_on(home)):
            with pytest.raises(UserError, match="does not know the run 'goes-on'") as refused:
                await command
            assert ("127.0.0.1:1 (namespace default)" in refused.value.message) is bool(known)
            assert (runs / "goes-on").is_dir()
    assert await _rm(home, "ended", yes=True) == 0
    (home / "workflow-code.json").write_text(json.dumps({here: {}}))
    assert await _rm(home, "lost", yes=True) == 0, "its service has forgotten it"
    assert sorted(path.name for path in runs.iterdir()) == ["goes-on"]
