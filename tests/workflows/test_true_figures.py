"""Queries are answered by what a run's folder shows, which is read before the first of them comes."""

import asyncio

from temporalio.client import Client

from headway.domain.figures import Figures, RunFigures, Seen
from headway.domain.ids import Incarnation, RunName
from headway.domain.state.budget import Amount
from tests.workflows.scripted import Script
from workflows.true_figures import TrueFigures


async def test_the_figures_of_a_run_are_read_as_soon_as_one_of_its_workflows_runs_here(
    client: Client, name: str
) -> None:
    script, ahead, run_id = Script(client, name), set[RunName](), list[str]()
    total = Figures(spent=Amount(tokens=4321))

    def seen(run: RunName) -> Seen | None:
        assert run in ahead, "asked for before it was read"
        return Seen(incarnation=Incarnation(run_id[0]), figures=RunFigures(run=run, at=0.0, total=total))

    script.faults.append(TrueFigures(seen, ahead.add))
    async with script.working():
        run = await script.start()
        run_id.append(str(run.first_execution_run_id))
        await asyncio.wait_for(run.result(), 60)
        assert ahead == {RunName(name)}
        ahead.clear()  # the next query finds the run in no cache, as after a start of the process
        assert (await run.query("status"))["spent"]["tokens"] == 4321
