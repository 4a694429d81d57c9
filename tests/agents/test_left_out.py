"""A worker is told which folders of tools were left out of its landing."""

from headway.domain.handoff import HandoffStatus
from headway.domain.results import LandAnswer
from headway.eventlog.events.conversation import ToolResult
from headway.eventlog.events.envelope import bodies
from tests.agents.stage import Stage, finish, step, use


async def test_a_worker_is_told_what_was_left_out_of_its_landing(stage: Stage) -> None:
    compiled = "mkdir -p src/__pycache__ && head -c 99 /dev/zero > src/__pycache__/m.pyc && echo x=1 > src/m.py"
    stage.serve(
        tasks={"Write": [step(use("shell", command=compiled)), step(use("land", message="Write it")), finish("Done.")]}
    )
    done, _ = await stage.done(stage.task("Write"))
    assert done.status is HandoffStatus.DONE
    answers = bodies(stage.store.read(stage.task("Write").me), ToolResult)
    (answer,) = [each for each in answers if isinstance(each.result, LandAnswer)]
    assert "Left out, because a tool made it and not you: src/__pycache__." in answer.text
