"""A time in which the rehearsal refuses everybody, as agents meet it."""

import asyncio

import pytest

from headway.domain.headings import task_heading
from headway.models.failures import Refused
from headway.rehearsal.blackout import Blackout
from headway.rehearsal.host import Rehearsal
from headway.rehearsal.playbook import Playbook, Step, TaskScript
from tests.rehearsal.agents import Agent, model_at

PLAYBOOK = Playbook(name="dark", tasks=(TaskScript(title="T", calls=(Step(text="Here.", repeat=50),)),))


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize("says_when", [True, False])
async def test_it_begins_after_so_many_requests_and_ends_after_so_long(api: str, says_when: bool) -> None:
    dark = PLAYBOOK.model_copy(update={"blackout": Blackout(after=2, seconds=0.5, says_when=says_when)})
    with Rehearsal(dark) as rehearsal:
        async with model_at(rehearsal.url, api) as model:
            agent = Agent(model, task_heading("T"))
            await agent.go()
            await agent.go()
            resets, kinds = [], set()
            async with asyncio.timeout(20):
                while True:
                    try:
                        await agent.go()
                        break
                    except Refused as refusal:
                        kinds.add(refusal.kind)
                        resets.append(refusal.reset_s)
                        await asyncio.sleep(0.05)
            assert kinds == {"quota"}
            if says_when:
                assert all(reset is not None and 0 < reset <= 0.5 for reset in resets)
            else:
                assert set(resets) == {None}
            asked = rehearsal.report()
            assert len(asked["refused_at_s"]) == len(resets)
            assert asked["refused_at_s"][-1] <= 0.5  # told in milliseconds
            await agent.go()


async def test_without_one_nothing_is_told_of_it() -> None:
    with Rehearsal(PLAYBOOK) as rehearsal:
        assert "refused_at_s" not in rehearsal.report()
