"""A turn that has ended is asked for again: it tells what it showed, and not what came in since."""

from headway.domain.ids import ChildKey
from headway.domain.state.budget import Amount
from tests.agents.stage import Stage, step, use


async def test_what_came_after_a_turns_end_does_not_count_as_told(stage: Stage) -> None:
    rehearsal = stage.serve(root=[step(use("wait"))])
    first, second = (stage.handed_off(ChildKey(f"1.{n}-00000000")) for n in range(2))
    steers = [stage.in_run_log(stage.say_as_user(text)) for text in ("Mind the docs.", "And the tests.")]
    ended = await stage.turn("k1", inbox=(first,), steers=tuple(steers[:1]))
    assert (ended.told, ended.steered) == (1, 1)
    # The activity answered `suspended` although the turn had ended, and more came in meanwhile.
    again = await stage.turn("k1", inbox=(first, second), steers=tuple(steers))
    assert again == ended
    assert rehearsal.report()["requests"] == 1


async def test_what_came_while_a_turn_waited_for_budget_is_told_by_it(stage: Stage) -> None:
    stage.serve(root=[step(use("list_dir")), step(use("wait"))])
    first, second = (stage.handed_off(ChildKey(f"1.{n}-00000000")) for n in range(2))
    short = await stage.turn("k1", allowance=Amount(tokens=13_000), inbox=(first,))
    assert (short.told, short.steered) == (1, 0)
    ended = await stage.turn("k1", inbox=(first, second))
    assert ended.told == len((first, second))
