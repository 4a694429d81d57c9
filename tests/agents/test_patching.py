"""A patch over the files of a workspace: all of it or nothing, also when the process dies in the middle."""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.agents.tools.catalogue import WORKER_TOOLS
from headway.agents.worker.worker import WorkerAgent
from headway.domain.errors import Shortage, ToolError
from headway.domain.handoff import HandoffStatus
from headway.editing import patching, safe_open
from headway.editing.edit_process import EditProcess
from headway.editing.files import Files
from headway.editing.patch import parse_patch
from headway.editing.patching import FileHashes, Patching, notes_of
from headway.eventlog.events.conversation import ToolCallBegun
from headway.models.client import Model
from headway.models.endpoint import Endpoint
from headway.models.roles import ModelRoles
from headway.system.bounded import unheld
from prompts.prompts import Prompts
from tests.agents.cutting import Killed
from tests.agents.scripted_model import ScriptedModel
from tests.agents.stage import Stage, finish, step, use
from tests.agents.test_patch import diff_of, versions, wrapped
from tests.agents.test_resume import answered_once, cuts, each_cut, killed_at, repeats
from tests.models.servers import Answer
from tests.support.sandboxes import PlainSandbox

APP = "a = 1\nb = 2\nc = 3\n"
MANY = wrapped(
    *("*** Update File: src/app.py", "@@", "-b = 2", "+b = 20"),
    *("*** Add File: docs/new.md", "+# New"),
    *("*** Update File: README.md", "*** Move to: docs/README.md", "@@", "-hello", "+goodbye"),
    "*** Delete File: AGENTS.md",
)
BEFORE = {"README.md": "hello\n", "AGENTS.md": "Use tabs.\n", "src/app.py": APP}
AFTER = {"src/app.py": APP.replace("2", "20"), "docs/new.md": "# New\n", "docs/README.md": "goodbye\n"}


@pytest.fixture
def files(tmp_path: Path) -> Files:
    root = tmp_path / "workspace"
    lay(root, BEFORE)
    return Files(root)


def lay(root: Path, contents: dict[str, str]) -> None:
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, newline="")


def seen(root: Path) -> dict[str, str]:
    """Every file of a workspace but the harness's own."""
    paths = [path for path in root.rglob("*") if path.is_file() and path.relative_to(root).parts[0] != ".headway"]
    return {str(path.relative_to(root)): path.read_bytes().decode() for path in paths}


def apply(files: Files, patch: str) -> None:
    patching_ = Patching(files, parse_patch(patch), "call", EditProcess(unheld))
    changes, _ = patching_.drafted()
    patching_.stage(changes)
    patching_.carry_out(changes)


def test_a_patch_changes_makes_moves_and_removes(files: Files) -> None:
    (files.root / "README.md").chmod(0o755)
    apply(files, MANY)
    assert seen(files.root) == AFTER
    assert (files.root / "docs/README.md").stat().st_mode & 0o777 == 0o755
    assert [path.name for path in (files.root / ".headway").iterdir()] == []


def test_a_later_section_sees_what_an_earlier_one_made(files: Files) -> None:
    twice = ["*** Update File: src/app.py", "@@", "-b = 2", "+b = 3", "*** Update File: src/app.py", "-b = 3", "+b = 4"]
    again = ["*** Delete File: README.md", "*** Add File: README.md", "+anew"]
    apply(files, wrapped(*twice, *again))
    assert seen(files.root) == BEFORE | {"src/app.py": APP.replace("2", "4"), "README.md": "anew\n"}


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (["*** Update File: src/app.py", "@@", "-z = 9", "+z = 1"], "src/app.py: the lines of the change at line 7"),
        (["*** Update File: gone.py", "@@", "-a", "+b"], "gone.py: it is not there"),
        (["*** Add File: src/app.py", "+x"], "src/app.py is there already: change it with `*** Update File`"),
        (["*** Update File: src/app.py", "*** Move to: AGENTS.md"], "AGENTS.md is there already"),
        (["*** Delete File: gone"], "gone: it is not there"),
        (["*** Delete File: src"], "src is a folder"),
        (["*** Delete File: link"], "it is a link"),
        (["*** Add File: ../out.txt", "+x"], "outside of the workspace"),
        (["*** Add File: out/x.txt", "+x"], "outside of the workspace"),
        (["*** Add File: .git/hooks/post-commit", "+x"], "belongs to git"),
        (["*** Add File: src/.GIT/config", "+x"], "belongs to git"),
        (["*** Add File: .headway/out/1.txt", "+x"], "belongs to the harness"),
        (["*** Update File: src/app.py", "*** Move to: .headway/x"], "belongs to the harness"),
        (["*** Add File: AGENTS.md/x", "+x"], "AGENTS.md is a file and cannot be a folder as well"),
        (["*** Add File: x", "+x", "*** Add File: x/y", "+y"], "x is a file and cannot be a folder as well"),
        (["*** Add File: .", "+x"], ". is no file"),
        (["*** Update File: bin", "@@", "-a", "+b"], "it is binary"),
        (["*** Update File: src/app.py", "@@", " a = 1"], "nothing in it would change"),
        ([f"*** Add File: {'x' * 300}", "+x"], "File name too long"),
    ],
)
def test_one_part_that_cannot_be_done_leaves_every_file_as_it_was(files: Files, last: list[str], said: str) -> None:
    (files.root / "bin").write_bytes(b"\0a\n")
    (files.root / "link").symlink_to("README.md")
    (files.root / "out").symlink_to(files.root.parent)
    before = seen(files.root)
    with pytest.raises(ToolError) as raised:
        apply(files, wrapped("*** Update File: README.md", "@@", "-hello", "+bye", *last))
    assert said in str(raised.value)
    assert "nothing was changed. " in str(raised.value)
    assert seen(files.root) == before


def test_a_file_that_the_system_refuses_takes_the_whole_patch_back(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a folder is put in a file's place between the check and the write."""
    moved = safe_open.move_at

    def refused(root: Path, source: Path, target: Path) -> None:
        if target.name == "README.md":
            target.mkdir()
        moved(root, source, target)

    monkeypatch.setattr(patching, "move_at", refused)
    with pytest.raises(ToolError, match=r"docs/README\.md: Is a directory\. The patch was taken back$"):
        apply(files, MANY)
    assert seen(files.root) == BEFORE


def test_no_room_for_the_new_files_changes_nothing(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(patching, "stage_at", full)
    with pytest.raises(Shortage, match=r"nothing was changed\. src/app\.py: the disk is full"):
        apply(files, MANY)
    assert seen(files.root) == BEFORE


def test_a_folder_that_becomes_a_link_after_the_check_leads_nowhere(files: Files) -> None:
    outside = files.root.parent / "outside"
    lay(outside, {"app.py": APP})
    begun = Patching(
        files,
        parse_patch(wrapped("*** Update File: src/app.py", "@@", "-b = 2", "+b = 3")),
        "call",
        EditProcess(unheld),
    )
    changes, _ = begun.drafted()
    begun.stage(changes)
    (files.root / "src").rename(files.root / "was")
    (files.root / "src").symlink_to(outside)
    with pytest.raises(ToolError, match=r"^src/app\.py: "):
        begun.carry_out(changes)
    assert seen(outside) == {"app.py": APP}


contents = st.one_of(st.none(), versions.filter(bool))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(trees=st.dictionaries(st.sampled_from(["a", "b", "d/c", "d/e/f"]), st.tuples(contents, contents), min_size=1))
def test_a_patch_between_two_trees_gives_exactly_the_second(
    tmp_path: Path, trees: dict[str, tuple[list[str] | None, list[str] | None]]
) -> None:
    root = tmp_path / os.urandom(6).hex()
    root.mkdir()
    lines: list[str] = []
    wanted: dict[str, str] = {}
    for name, (before, after) in trees.items():
        lay(root, {} if before is None else {name: "".join(f"{line}\n" for line in before)})
        wanted |= {} if after is None else {name: "".join(f"{line}\n" for line in after)}
        match before, after:
            case None, list():
                lines += [f"*** Add File: {name}", *(f"+{line}" for line in after)]
            case list(), None:
                lines += [f"*** Delete File: {name}"]
            case list(), list() if before != after:
                lines += [f"*** Update File: {name}", *diff_of(before, after, 100).splitlines()]
    if lines:
        apply(Files(root), wrapped(*lines))
    assert seen(root) == wanted


def dying_at(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """The process dies before the `at`-th file is put in its place or goes."""
    left = iter(range(at))

    def or_die(act: Callable[..., None]) -> Callable[..., None]:
        def done(*args: Any) -> None:
            if next(left, None) is None:
                raise Killed
            act(*args)

        return done

    for name in ("move_at", "remove_at"):
        monkeypatch.setattr(patching, name, or_die(getattr(patching, name)))


def in_the_log(noted: FileHashes) -> FileHashes:
    """The note of a patch as the next process reads it."""
    call = ToolCallBegun(call_id="c", name="apply_patch", arguments="", before=noted.before, after=noted.after)
    read = ToolCallBegun.read(json.loads(json.dumps(call.wire())))
    return FileHashes(read.before, read.after)


@pytest.mark.parametrize("at", range(5))
def test_a_patch_that_is_cut_short_at_any_file_is_finished(
    files: Files, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    begun = Patching(files, parse_patch(MANY), "call", EditProcess(unheld))
    changes, _ = begun.drafted()
    begun.stage(changes)
    noted = in_the_log(notes_of(changes))
    with monkeypatch.context() as dying:
        dying_at(dying, at)
        with pytest.raises(Killed):
            begun.carry_out(changes)
    assert seen(files.root) != AFTER
    for _ in range(2):  # also when that one is killed right after it
        Patching(Files(files.root), parse_patch(MANY), "call", EditProcess(unheld)).finish(noted)
        assert seen(files.root) == AFTER


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("src/app.py", "src/app.py is neither"),
        (".headway/call-1", "docs/new.md is as before, and its new content is gone"),
    ],
)
def test_a_patch_that_cannot_be_finished_is_told_file_by_file(files: Files, spoil: str, said: str) -> None:
    begun = Patching(files, parse_patch(MANY), "call", EditProcess(unheld))
    changes, _ = begun.drafted()
    begun.stage(changes)
    noted = notes_of(changes)
    (files.root / spoil).write_text("spoilt\n")
    before = seen(files.root)
    with pytest.raises(ToolError) as raised:
        begun.finish(noted)
    assert said in str(raised.value)
    assert "README.md is as before" in str(raised.value)
    assert seen(files.root) == before


# A worker


@pytest.fixture
def patching_stage(stage: Stage) -> Stage:
    stage.endpoint = {"edit": "patch"}
    return stage


def steps_of(title: str) -> list[Any]:
    return [
        step(
            use("write_file", path=f"{title}.txt", content="one\ntwo\n"), use("write_file", path="old", content="o\n")
        ),
        step(
            use(
                "apply_patch",
                patch=wrapped(
                    *(f"*** Update File: {title}.txt", "@@", " one", "-two", "+two two"),
                    *("*** Update File: old", f"*** Move to: {title}.new", f"*** Add File: {title}.more", "+more"),
                ),
            )
        ),
        step(use("land", message=f"Land {title}")),
        *[finish(f"{title} is there.")] * 3,
    ]


@each_cut
async def test_a_worker_that_is_killed_anywhere_applies_its_patch_once(patching_stage: Stage, *, whole: bool) -> None:
    stage = patching_stage
    names = [f"w{at}{'b' if before else 'a'}" for at, before in cuts(whole=whole)]
    rehearsal = stage.serve(tasks={name: steps_of(name) for name in names})
    for number, (name, (at, before)) in enumerate(zip(names, cuts(whole=whole), strict=True)):
        order = stage.task(name, number)
        died_at = await killed_at(stage, order, at, before=before)
        outcome, handoff = await stage.done(order)
        assert outcome.status == "done", (name, died_at, handoff)
        landed = [stage.on_trunk(f"{name}{ending}") for ending in (".txt", ".new", ".more")]
        assert landed == ["one\ntwo two\n", "o\n", "more\n"], (name, died_at)
        assert answered_once(stage.store.read(order.me)), (name, died_at)
        assert repeats(rehearsal, order.me) == (1 if died_at == "llm.response" and before else 0), (name, died_at)
        if died_at is None:
            assert number > (15 if whole else 7)
            return
    pytest.fail("the worker has more events than the test cuts")


async def test_a_worker_killed_between_two_files_is_told_that_its_patch_was_finished(
    patching_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = patching_stage
    stage.serve(tasks={"w": steps_of("w")})
    order = stage.task("w")
    with monkeypatch.context() as dying:
        dying_at(dying, 2)
        with pytest.raises(Killed):
            await stage.work(order)
    _, handoff = await stage.done(order)
    assert len(handoff.facts.landed) == 1
    answers = stage.texts(order.me, "tool.result")
    assert answers[2] == "The patch was applied: w.txt, w.new, old, w.more (the process was interrupted meanwhile)."
    assert stage.on_trunk("w.new") == "o\n"


async def test_who_edits_by_patches_is_offered_no_other_edit(patching_stage: Stage) -> None:
    stage = patching_stage
    calls = [
        use("edit_file", path="src/app.py", old="b = 2", new="b = 3"),
        use("apply_patch", patch="x"),
        use("apply_patch"),
    ]
    broken = wrapped("*** Update File: src/app.py", "-b = 2", "+b = (2", "*** Delete File: README.md")
    calls.append(use("apply_patch", patch=broken))
    stage.serve(tasks={"w": [step(*calls), *[finish(status="blocked")] * 2]})
    order = stage.task("w")
    await stage.done(order)
    edit, words, nothing, done, *_ = stage.texts(order.me, "tool.result")
    assert edit.startswith("error: there is no tool 'edit_file'; there are apply_patch, finish")
    assert words.startswith("error: a patch begins with the line `*** Begin Patch`")
    assert '"*** Begin Patch\\n*** Update File: src/app.py' in nothing
    assert done.startswith("src/app.py was edited:\n")
    assert "     2\tb = (2" in done
    assert "src/app.py does not parse as it is now: line 2" in done
    assert done.endswith("README.md was deleted.")


# The tool of the API


def said(number: int, *items: dict[str, Any]) -> Answer:
    output = [
        {"id": f"i{number}_{index}", "call_id": f"call_{number}_{index}", "status": "completed"} | item
        for index, item in enumerate(items)
    ]
    return Answer({"id": f"r{number}", "status": "completed", "model": "gpt-5.1", "output": output})


def changed(kind: str, path: str, diff: str | None = None) -> dict[str, Any]:
    operation = {"type": kind, "path": path} | ({} if diff is None else {"diff": diff})
    return {"type": "apply_patch_call", "operation": operation}


def called(name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "function_call", "name": name, "arguments": json.dumps(arguments)}


TURNS = [
    [
        changed("update_file", "src/app.py", "@@\n a = 1\n-b = 2\n+b = 20\n"),
        changed("update_file", "src/app.py", "@@\n-z\n+y\n"),
    ],
    [changed("create_file", "docs/new.md", "+# New\n"), changed("delete_file", "README.md")],
    [called("land", message="Patch it")],
    *[[called("finish", status="done", summary="Patched.")]] * 2,
]


@pytest.fixture
def scripted(stage: Stage) -> Iterator[ScriptedModel]:
    """A model of OpenAI's that has the tool, at a server that speaks its items."""

    def answer(body: dict[str, Any]) -> Answer:
        spoken = {item["id"].split("_")[0] for item in body["input"] if "id" in item}
        return said(len(spoken), *TURNS[len(spoken)])

    model = ScriptedModel(answer)
    stage.models.append(Model(Endpoint(base_url=model.url, api="responses")))
    yield model
    model.close()


def trained(stage: Stage) -> WorkerAgent:
    models = ModelRoles(stage.models[-1], {"planner": "gpt-5.1", "worker": "gpt-5.1"})
    hands = (lambda _: stage.hub, lambda _: stage.places, PlainSandbox(), models, Prompts.load(), time.time)
    return WorkerAgent(stage.store, *hands, tools=WORKER_TOOLS)


async def test_a_worker_edits_by_the_tool_of_the_api(stage: Stage, scripted: ScriptedModel) -> None:
    order = stage.task("w")
    outcome = await trained(stage).work(order, stage.beats.append)
    assert getattr(outcome, "status", None) == HandoffStatus.DONE
    assert stage.on_trunk("src/app.py") == APP.replace("2", "20")
    assert stage.on_trunk("docs/new.md") == "# New\n"
    offered = scripted.bodies[0]["tools"]
    assert offered[0] == {"type": "apply_patch"}
    assert "edit_file" not in [tool.get("name") for tool in offered]
    assert "write_file" in [tool.get("name") for tool in offered]
    heard = scripted.bodies[1]["input"]
    asked = [item for item in heard if item["type"] == "apply_patch_call"]
    assert asked == json.loads(json.dumps(said(0, *TURNS[0]).body["output"]))
    answers = [item for item in heard if item["type"] == "apply_patch_call_output"]
    assert [(item["call_id"], item["status"]) for item in answers] == [
        ("call_0_0", "completed"),
        ("call_0_1", "failed"),
    ]
    assert "src/app.py was edited" in answers[0]["output"]
    assert "nothing was changed. src/app.py: the lines of the change at line 1 of the patch" in answers[1]["output"]


@pytest.mark.parametrize("at", [0, 1])
async def test_the_items_are_the_same_after_a_kill(
    stage: Stage, scripted: ScriptedModel, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    order = stage.task("w")
    with monkeypatch.context() as dying:
        dying_at(dying, at)
        with pytest.raises(Killed):
            await trained(stage).work(order, stage.beats.append)
    before = scripted.bodies[-1]["input"]
    outcome = await trained(stage).work(order, stage.beats.append)
    assert getattr(outcome, "status", None) == HandoffStatus.DONE
    last = scripted.bodies[-1]["input"]
    assert last[: len(before)] == before
    assert [item["status"] for item in last if item["type"] == "apply_patch_call_output"] == [
        "completed",
        "failed",
        "completed",
        "completed",
    ]
    assert stage.on_trunk("src/app.py") == APP.replace("2", "20")
