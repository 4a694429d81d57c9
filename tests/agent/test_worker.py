"""A worker's attempt: what it does, how it ends, and what it cannot do."""

from headway.domain.handoff import HandoffStatus
from tests.agent.stage import Stage, finish, step, use

TITLE = "Write a file"


async def test_a_worker_edits_lands_and_hands_off(stage: Stage) -> None:
    stage.serve(
        tasks={
            TITLE: [
                step(use("list_dir", path="."), use("read_file", path="src/app.py"), use("grep", pattern="b = ")),
                step(use("edit_file", path="src/app.py", old="b = 2", new="b = 20")),
                step(use("write_file", path="new/one.txt", content="one\n")),
                step(use("shell", command="cat new/one.txt && git status --short")),
                step(use("rewrite_scratchpad", content="Nearly there.")),
                step(use("land", message="Write one\n\nBecause it was missing.")),
                finish("one.txt is there.", concerns="None to speak of."),
            ]
        }
    )
    order = stage.task()
    outcome, handoff = await stage.done(order)
    assert outcome.status is HandoffStatus.DONE
    assert not outcome.retry
    assert stage.on_trunk("new/one.txt") == "one\n"
    assert stage.on_trunk("src/app.py") == "a = 1\nb = 20\nc = 3\n"
    facts = handoff.facts
    assert (len(facts.landed), facts.files_changed, facts.wip, facts.model_calls) == (1, 2, None, 7)
    assert facts.landed == (stage.hub.tip(),)
    assert outcome.spent.tokens == facts.tokens > 0
    assert outcome.spent.tasks == 1
    assert facts.commands[-1].exit_code == 0
    assert stage.rehearsals[0].problems() == []
