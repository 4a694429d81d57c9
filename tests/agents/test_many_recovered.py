"""A reset that abandons more children than one turn hands over: all of them come, a hundred at a time."""

from typing import Any

from headway.domain.planner_turn import Decision, TurnOutcome
from tests.agents.stage import ROOT, Stage, finish, step, use

LARGEST = 32_000
ROUNDS = 3


def tasks(number: int) -> list[dict[str, Any]]:
    return [{"title": f"{number}.{n} " + "改" * 100, "intent": "It is missing."} for n in range(100)]


def size(outcome: TurnOutcome) -> int:
    return len(outcome.model_dump_json().encode())


async def abandoned(stage: Stage) -> list[TurnOutcome]:
    """Turns that ask for three hundred tasks, before a reset to the very beginning."""
    stage.serve(root=[step(use("spawn_tasks", tasks=tasks(number))) for number in range(ROUNDS)])
    turns: list[TurnOutcome] = []
    for number in range(ROUNDS):
        from_seq = turns[-1].seq if turns else -1
        turns.append(await stage.turn(f"k{number}", from_seq, turn=number + 1))
    return turns


async def test_every_child_of_an_abandoned_past_is_handed_over_and_none_twice(stage: Stage) -> None:
    past = await abandoned(stage)
    asked = [spawned.key for turn in past for spawned in turn.spawned]
    told = stage.handed_off(asked[0])
    new = [{"title": "改" * 100, "intent": f"{n}"} for n in range(40)]
    stage.serve(
        root=[
            step(use("cancel", ids=asked[91:100]), use("spawn_tasks", tasks=new)),
            step(use("wait")),
            finish(),
            finish(),
        ]
    )
    after: list[TurnOutcome] = []
    for number in range(4):
        from_seq = after[-1].seq if after else -1
        inbox = () if after else (told,)
        after.append(await stage.turn(f"r{number}", from_seq, turn=10 + number, inbox=inbox))
    recovered = [spawned.key for turn in after for spawned in turn.recovered]
    assert sorted(recovered) == sorted(asked[1:])
    assert len(recovered) == len(set(recovered))
    assert [len(turn.spawned) + len(turn.recovered) for turn in after] == [100, 100, 100, 39]
    assert set(after[0].cancelled) <= {spawned.key for spawned in after[0].recovered}
    assert max(map(size, after)) <= LARGEST
    assert [turn.decision for turn in after[1:]] == [Decision.GO_ON, Decision.GO_ON, Decision.FINISH]


async def test_what_is_handed_over_names_a_hundred_at_most(stage: Stage) -> None:
    await abandoned(stage)
    stage.serve(root=[step(use("wait"))])
    outcome = await stage.turn("r0", turn=10)
    assert outcome.decision is Decision.GO_ON, "there are more"
    told = stage.texts(ROOT, "message")[0]
    assert told.count("(0.") == len(outcome.recovered) == 100
    assert "(1." not in told
