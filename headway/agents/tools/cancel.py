"""`cancel`: a planner takes back what it asked for."""

import json
from typing import Annotated

from pydantic import Field

from headway.agents.loop.arguments import Arguments
from headway.agents.loop.conversation import ToolAnswer
from headway.agents.loop.tool import Tool
from headway.agents.planner.planner_tools import PlannerTools
from headway.domain.errors import ToolError
from headway.domain.ids import ChildKey
from headway.domain.planner_turn import CANCELS_PER_TURN
from headway.domain.results import Cancelled


class Cancel(Arguments):
    ids: Annotated[tuple[ChildKey, ...], Field(min_length=1, max_length=CANCELS_PER_TURN, description="1 to 100 ids.")]
    reason: Annotated[str, Field(max_length=2_000)] = ""


def _run(context: PlannerTools, asked: Cancel) -> ToolAnswer:
    out = context.views.children.outstanding
    strangers = [key for key in asked.ids if key not in out]
    if strangers:
        raise ToolError(f"not outstanding: {', '.join(strangers[:20])}. Outstanding: {', '.join(list(out)[:100])}")
    if len({*context.views.turn.cancelled, *asked.ids}) > CANCELS_PER_TURN:
        raise ToolError(f"a turn cancels at most {CANCELS_PER_TURN}: cancel the rest in the next one")
    result = Cancelled(cancelled=tuple(asked.ids), reason=asked.reason)
    return ToolAnswer(json.dumps({"cancelled": list(asked.ids)}), progress=True, result=result)


TOOL = Tool(
    name="cancel",
    args=Cancel,
    description="Stops tasks or sub-planners that you asked for; what they did not land is kept, and each still hands "
    "off.",
    example={"ids": ["3.0-1f2e3d4c"], "reason": "The parser is rewritten anyway."},
    run=_run,
    agents=("planner",),
    doing="cancelling",
    result=Cancelled,
)
