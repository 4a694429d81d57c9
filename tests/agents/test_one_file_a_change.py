"""A tool costs one file, and a field of a handoff one line: shown by adding both to a copy of the sources.

A worker of that copy makes a real step against a scripted model over HTTP. The copy differs by these two places alone.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from headway.agents import tools
from headway.domain import handoff

ROOT = Path(__file__).resolve().parents[2]
TOOL = '''
"""`count_lines`: the number of lines of a file."""

from typing import ClassVar

from headway.agents.loop.conversation import ToolAnswer
from headway.agents.loop.arguments import Arguments, PathText
from headway.agents.loop.tool import BOTH, AnyContext, Tool
from headway.domain.results import Result
from headway.domain.retention import Keep


class Counted(Result):
    keep: ClassVar[Keep] = Keep.FULL

    lines: int


class CountLines(Arguments):
    path: PathText


def _run(context: AnyContext, asked: CountLines) -> ToolAnswer:
    lines = len(context.files.read(asked.path, 1, 2_000).splitlines())
    return ToolAnswer(f"{asked.path} has {lines} lines.", result=Counted(lines=lines))


TOOL = Tool(
    name="count_lines",
    args=CountLines,
    description="Counts the lines of a file.",
    example={"path": "README.md"},
    run=_run,
    agents=BOTH,
    doing="counting `{}`",
    rule="before you judge the size of a file.",
    result=Counted,
)
'''
LAST_FIELD = "    feedback: Annotated["
FIELD = '    risks: Annotated[HandoffText, Field(description="What may break later.")] = ""\n'

WORKER = """
import asyncio, json, sys
from contextlib import closing
from pathlib import Path

from headway.agents.planner.handoff_text import brief, whole
from headway.agents.tools.catalogue import PLANNER_TOOLS
from headway.cli.agent_tools import doing
from headway.domain.errors import ToolError
from headway.domain.ids import ChildKey
from headway.runs.report import spoken
from tests.agents.offered import REPLACING, arguments_of
from tests.agents.scripted_model import ScriptedModel, replies, reply
from tests.agents.stage import Stage

SAID = {"status": "done", "summary": "It is short.", "risks": "It may grow."}
STEPS = [("count_lines", {"path": "src/app.py"}), ("finish", SAID)]


async def main():
    stage = Stage(Path(sys.argv[1]))
    with closing(ScriptedModel(lambda body: reply("Next.", STEPS[replies(body)], tokens=100))) as model:
        stage.listen_to(model.url)
        order = stage.task(kind="investigate")
        _, handoff = await stage.done(order)
        first = model.bodies[0]
        await stage.close()
    log = stage.log(order.me)
    answers = [event for event in log if event.type == "tool.result"]
    try:
        arguments_of(REPLACING, "finish", json.dumps(SAID | {"risks": "x" * 20_001}))
        refusal = ""
    except ToolError as error:
        refusal = str(error)
    return {
        "system": first["messages"][0]["content"],
        "schemas": {tool["function"]["name"]: tool["function"] for tool in first["tools"]},
        "planner": [schema.name for schema in PLANNER_TOOLS.schemas],
        "answer": answers[0].body.text,
        "fact": repr(answers[0].body.result),
        "line": next(stage.store.run_folder("tidy-up").rglob("logs/*/1.0-*.jsonl")).read_text(),
        "report": handoff.report.model_dump(),
        "brief": brief(ChildKey("1.0-00000000"), handoff),
        "whole": whole(handoff),
        "shown": spoken(handoff.report),
        "refusal": refusal,
        "doing": doing("count_lines", "src/app.py"),
    }


print(json.dumps(asyncio.run(main())))
"""


def _place_of(module: ModuleType) -> Path:
    """The folder of a module in the sources."""
    return Path(str(module.__file__)).parent.relative_to(ROOT)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The places in which a worker of the changed copy shows the tool and the field."""
    copy = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "headway", copy / "headway")
    (copy / _place_of(tools) / "count_lines.py").write_text(TOOL)
    declared = copy / _place_of(handoff) / "handoff.py"
    text = declared.read_text()
    assert text.count(LAST_FIELD) == 1
    declared.write_text(text.replace(LAST_FIELD, FIELD + LAST_FIELD))
    env = {**os.environ, "PYTHONPATH": f"{copy}{os.pathsep}{ROOT}"}
    home = tmp_path_factory.mktemp("home")
    done = subprocess.run(
        [sys.executable, "-c", WORKER, str(home)], cwd=copy, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_tool_is_in_the_prompt_the_schema_and_the_log(seen: Any) -> None:
    assert "- `count_lines` before you judge the size of a file." in seen["system"]
    assert seen["schemas"]["count_lines"]["description"] == "Counts the lines of a file."
    assert list(seen["schemas"]["count_lines"]["parameters"]["properties"]) == ["path"]
    assert "count_lines" in seen["planner"]
    assert seen["answer"] == "src/app.py has 3 lines."
    assert seen["fact"] == "Counted(lines=3)"
    assert '"name":"count_lines"' in seen["line"]
    assert '"lines":3' in seen["line"]
    assert seen["doing"] == "counting `src/app.py`"


def test_a_field_of_a_handoff_is_in_the_prompt_the_schema_and_the_log(seen: Any) -> None:
    assert "`suggestions`, `risks`, `feedback`" in seen["system"]
    assert seen["schemas"]["finish"]["parameters"]["properties"]["risks"]["description"] == "What may break later."
    assert seen["report"]["risks"] == "It may grow."
    assert '"risks":"It may grow."' in seen["line"]
    assert "- risks: String should have at most 20000 characters" in seen["refusal"]


def test_planners_and_people_read_a_field_of_a_handoff(seen: Any) -> None:
    assert "More by read_handoff: risks" in seen["brief"]
    assert "Risks:\nIt may grow." in seen["whole"]
    assert "**Risks:**" in seen["shown"]
