"""`headway gc` on the real service: what it shows, what it removes, and how many that were."""

from pathlib import Path

from temporalio.client import Client

from headway.cli.run import start
from headway.domain.ids import RunName
from tests.cli.command import headway
from tests.git.ground import git


async def test_the_leftovers_of_ended_runs_are_counted_shown_and_removed(home: Path, client: Client) -> None:
    leftovers: list[Path] = []
    for name in ("ended", "open"):
        await start(client, RunName(name), {"repo": "/x", "instructions": "Do it."})
        folder = home / "runs" / name
        folder.mkdir(parents=True)
        git(folder, "init", "--quiet", "--bare", "hub.git")
        # As a crash of the machine, and a kill while a workspace was made, leave them.
        leftovers += [folder / "workspaces" / name / place for place in ("1.0-aaaaaaaa", ".1.1-bbbbbbbb.new")]
    for place in leftovers:
        place.mkdir(parents=True)
    await client.get_workflow_handle("ended").terminate()

    shown = await headway(home, "gc")
    assert shown.code == 0, shown
    assert [line.split()[:2] for line in shown.out.splitlines()[:-1]] == [
        ["stale", str(leftovers[0])], ["rest", str(leftovers[1])], ["rest", str(leftovers[3])]
    ]  # fmt: skip
    assert "Nothing was removed. This removes the 3 leftovers" in shown.out
    assert all(place.exists() for place in leftovers)

    removed = await headway(home, "gc", "--yes")
    assert (removed.code, removed.out.splitlines()[-1]) == (0, "Reclaimed 3 of 3 leftovers."), removed
    assert [place.exists() for place in leftovers] == [False, False, True, False], "what an open run may need stays"
    assert (await headway(home, "gc")).out == "There is nothing to reclaim.\n"
