"""Whatever a tool says, its answer is cut: rivals choose their subjects, and folders their names."""

from headway.agents.loop.conversation import ToolAnswer
from headway.models.turn import ToolCall
from headway.system.excerpt import ANSWER_CHARS
from tests.agents.conversations import talk_of
from tests.agents.stage import ROOT, Stage, finish


def test_an_answer_of_any_length_is_cut(stage: Stage) -> None:
    stage.serve(root=[finish()])
    stage.turn_order("k1")
    with talk_of(stage, ROOT, "planner") as conversation:
        for error in (False, True):
            event = conversation.answer(
                ToolCall(id="c", name="land", arguments="{}"), ToolAnswer("x" * 400_000, error=error)
            )
            assert len(event.body.text) < ANSWER_CHARS + 100
            assert "left out" in event.body.text
