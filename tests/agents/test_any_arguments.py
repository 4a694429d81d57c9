"""Whatever a model writes as arguments of a call, it is answered: a call that raises would be tried again for ever."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.agents.loop.conversation import ToolAnswer
from headway.agents.loop.tool import Toolset
from headway.agents.planner.open_task_index import OpenTaskIndex
from headway.agents.planner.planner_tools import PlannerTools
from headway.agents.tools.catalogue import PLANNER_TOOLS
from headway.agents.worker.finish_checks import Commands
from headway.agents.worker.land_tool import LandTool
from headway.agents.worker.worker_tools import WorkerTools
from headway.domain.task import TaskSpec
from headway.eventlog.views.planning import Planning
from headway.eventlog.views.working import Working
from headway.models.turn import ToolCall
from headway.sandbox.spec import SandboxSpec
from prompts.prompts import Prompts
from tests.agents.conversations import talk_of
from tests.agents.offered import EVERY_TOOL
from tests.agents.stage import ROOT, RUN, Stage, finish
from tests.support.sandboxes import PlainSandbox

LONG = "x" * 300
NUMBERS = itertools.count()
DEEP = '{"path": ' + "[" * 20_000 + "]" * 20_000 + "}"
NESTED = '{"path": ' + "[" * 400 + "]" * 400 + "}"

words = st.one_of(
    st.sampled_from(
        [".", "src/app.py", "src", "latin", "HEAD", "HEAD~1", "^HEAD", "@{u}", ":/First", LONG, f"src/{LONG}/x", "\0"]
    ),
    st.sampled_from(["a\0b", "*.py", "**/[", "(", "a{99999}", "..", "/", "~", "-x", ":(glob)", "\ud800", "true", ""]),
    st.text(max_size=20),
)
leaves = st.one_of(words, st.integers(), st.floats(), st.booleans(), st.none())
values = st.recursive(leaves, lambda v: st.lists(v, max_size=3) | st.dictionaries(words, v, max_size=3), max_leaves=6)


def calls(offered: Toolset) -> st.SearchStrategy[tuple[str, str]]:
    """A tool, and arguments that more or less fit it."""

    def fitting(name: str) -> st.SearchStrategy[tuple[str, str]]:
        known = offered.tools[name].args.model_fields
        fields = {field: st.one_of(words, words, values) for field in known}
        required = {n: s for n, s in fields.items() if known[n].is_required()}
        optional = {n: s for n, s in fields.items() if n not in required}
        fit = st.fixed_dictionaries(required, optional=optional).map(json.dumps)
        return st.tuples(st.just(name), st.one_of(fit, fit, values.map(json.dumps), st.text(max_size=30)))

    return st.sampled_from(sorted(offered.tools)).flatmap(fitting)


slow = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
def desk(stage: Stage) -> Iterator[PlannerTools]:
    """A planner's tools."""
    stage.serve(root=[finish()])
    order = stage.turn_order("k1")
    with talk_of(stage, ROOT, "planner") as conversation:
        others, views = OpenTaskIndex(stage.store, RUN), Planning(conversation.log, "k1", -1)
        yield PlannerTools(
            order, stage.store, stage.hub, Prompts.load(), conversation, stage.base, views, others, PLANNER_TOOLS
        )


@pytest.fixture
async def bench(stage: Stage) -> Any:
    """A worker's tools, in a workspace that holds what a planner's text seldom does."""
    stage.serve(root=[finish()])
    order = stage.task()
    with talk_of(stage, order.me, "worker") as conversation:
        workspace = stage.places.open(order.me, 1, conversation.log.lease)
        (workspace.path / "latin").write_bytes(b"caf\xe9\nold\n")
        (workspace.path / "\udcff").write_bytes(b"x")
        views, commands, prompts = Working(conversation.log, 1), Commands(None), Prompts.load()
        bob = "Bob <bob@example.org>"
        lander = LandTool(stage.context, order.me, stage.hub, workspace, bob, prompts, views.attempt, stage.store.holds)
        task = TaskSpec(title="Write", intent="So that it is there.")
        walls = SandboxSpec(agent="any", workspace=workspace.path)
        hands = (PlainSandbox(), walls, prompts, 2.0)
        yield WorkerTools(task, conversation, workspace, lander, *hands, EVERY_TOOL, views, commands)


def answered(conversation: Any, call: ToolCall, answer: ToolAnswer) -> str:
    """The answer as the log takes it."""
    assert isinstance(answer, ToolAnswer)
    return str(conversation.answer(call, answer).body.text)


@slow
@given(asked=calls(PLANNER_TOOLS))
def test_every_call_of_a_planner_is_answered(desk: PlannerTools, asked: tuple[str, str]) -> None:
    call = ToolCall(id="c", name=asked[0], arguments=asked[1])
    answered(desk.conversation, call, desk.answer(call))


@slow
@given(data=st.data())
async def test_every_call_of_a_worker_is_answered(bench: WorkerTools, data: st.DataObject) -> None:
    name, arguments = data.draw(calls(EVERY_TOOL))
    call = ToolCall(id=f"c{next(NUMBERS)}", name=name, arguments=arguments)
    answered(bench.conversation, call, await bench.answer(call))


@pytest.mark.parametrize("raw", [DEEP, json.dumps(DEEP), NESTED], ids=["deep", "twice", "nested"])
async def test_arguments_nested_too_deep_are_told(desk: PlannerTools, raw: str) -> None:
    call = ToolCall(id="c", name="read_file", arguments=raw)
    assert answered(desk.conversation, call, desk.answer(call)).startswith("error: the arguments of read_file")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("write_file", {"path": f"a/{LONG}", "content": "x"}),
        ("edit_file", {"path": LONG, "old": "a", "new": "b"}),
        ("apply_patch", {"patch": f"*** Begin Patch\n*** Add File: {LONG}\n+x\n*** End Patch"}),
        ("apply_patch", {"patch": "*** Begin Patch\n*** Delete File: a\0b\n*** End Patch"}),
        ("apply_patch", {"operation": {"type": "create_file", "path": f"a/{LONG}", "diff": "+x"}}),
        ("apply_patch", {"operation": {"type": "update_file", "path": "latin"}}),
        ("apply_patch", {"operation": {"type": "rename_file", "path": "latin"}}),
        ("apply_patch", {"operation": None}),
        ("read_file", {"path": LONG}),
        ("list_dir", {"path": LONG}),
        ("grep", {"pattern": "x", "path": LONG}),
        ("grep", {"pattern": "a\0b"}),
        ("grep", {"pattern": "a", "glob": "\0"}),
        ("shell", {"command": "true", "workdir": LONG}),
        ("shell", {"command": "€" * 64_000}),
        ("land", {"message": "x", "paths": ["a\0b"]}),
        ("land", {"message": "x", "paths": [LONG]}),
    ],
)
async def test_what_the_system_refuses_is_told(bench: WorkerTools, name: str, arguments: dict[str, Any]) -> None:
    call = ToolCall(id="c", name=name, arguments=json.dumps(arguments))
    assert answered(bench.conversation, call, await bench.answer(call)).startswith("error: ")


@pytest.mark.parametrize("gone", ["rm -rf .headway; echo > .headway", "rm -rf .headway/home; echo > .headway/home"])
async def test_a_file_in_place_of_the_harnesss_folder_stops_nothing(bench: WorkerTools, gone: str) -> None:
    for number, command in enumerate((gone, "pwd")):
        call = ToolCall(id=f"c{number}", name="shell", arguments=json.dumps({"command": command}))
        text = answered(bench.conversation, call, await bench.answer(call))
        assert text.startswith("[exit code 0"), text
        assert [path for path in bench.workspace.changes().paths if path.startswith(".headway")] == []
