"""A run's beginning and end: what is told of them, and what must never be written."""

import base64
import functools
import shlex
import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from headway.agents.first_calls import sizes_of
from headway.agents.tools.catalogue import RESULTS
from headway.domain.errors import HeadwayError, UserError
from headway.domain.handoff import HandoffStatus
from headway.domain.ids import ChildKey, Incarnation, RunName
from headway.domain.refs import Ref
from headway.domain.run import PrepareRun, Publish, WriteReport, taking_home
from headway.eventlog.local_store import LocalStore
from headway.eventlog.redaction import redactor
from headway.git.hub import Hub
from headway.git.workspace.workspaces import Workspaces
from headway.models.roles import ModelRoles
from headway.rehearsal.playbook import Step
from headway.runs.check import Checker
from headway.runs.lifecycle import MachineFacts, RunLifecycle
from headway.runs.trials import Trials
from prompts.prompts import Prompts
from tests.agents.stage import ROOT, Stage, finish, git, step, use
from tests.eventlog.steps import content_of
from tests.support.sandboxes import PlainSandbox

PASSWORD = "plum-Tree@9orchard"
QUOTED = "plum-Tree%409orchard"
OTHER = RunName("with-password")


class _Guarded(SimpleHTTPRequestHandler):
    """Serves a folder to whoever knows the password."""

    def do_GET(self) -> None:
        known = base64.b64encode(f"ada:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") == f"Basic {known}":
            super().do_GET()
            return
        self.send_response(HTTPStatus.UNAUTHORIZED)
        self.send_header("WWW-Authenticate", 'Basic realm="here"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *said: object) -> None:
        """Nothing."""


@pytest.fixture
def address(stage: Stage, tmp_path: Path) -> Iterator[str]:
    """The user's repository behind HTTP, with name and password in its address."""
    served = tmp_path / "served"
    git(tmp_path, "clone", "--quiet", "--bare", str(stage.source), str(served / "repo.git"))
    git(served / "repo.git", "update-server-info")
    handler = functools.partial(_Guarded, directory=str(served))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://ada:{QUOTED}@127.0.0.1:{server.server_port}/repo.git"
        server.shutdown()
        thread.join()


def desk(stage: Stage, models: ModelRoles | None = None) -> RunLifecycle:
    """As a worker process makes it."""
    store = LocalStore(stage.folder / "state", redact=redactor([]), results=RESULTS)
    machine = MachineFacts("plain", ("network: all of it",))
    models = models or stage.chosen

    def hubs(run: RunName) -> Hub:
        return Hub(store.run_folder(run) / "hub.git")

    def places(run: RunName) -> Workspaces:
        return Workspaces(store.run_folder(run) / "workspaces", hubs(run))

    preflight = Trials(models, Checker(store, hubs, places, PlainSandbox()), places, again_s=0.01)
    given = (store, hubs, models, Prompts.load())
    return RunLifecycle(*given, machine=machine, preflight=preflight, folders=store.run_folder, first_calls=sizes_of)


def quiet(_: str) -> None:
    """A beat that is not looked at."""


def order(repo: str) -> PrepareRun:
    raw: dict[str, object] = {"repo": repo, "instructions": f"Tidy up.\nIt is at {repo}.", "base": "main"}
    return PrepareRun(run=OTHER, incarnation=Incarnation("ffffffff"), spec=raw, started_at=0.0)


async def test_a_password_in_the_repositorys_address_lies_in_one_file_that_only_the_user_reads(
    stage: Stage, address: str
) -> None:
    stage.serve(root=[finish()])
    made = desk(stage)
    prepared = await made.prepare(order(address), (), quiet)
    assert "plum" not in prepared.model_dump_json()
    assert [note for note in prepared.notes if "cannot publish" in note], "the server takes no push"
    runs = stage.folder / "state" / "runs"
    holding = [path for path in runs.rglob("*") if path.is_file() and b"plum" in content_of(path)]
    assert [path.name for path in holding] == ["headway.json"]
    assert holding[0].stat().st_mode & 0o777 == 0o600


async def test_a_password_is_not_told_when_the_repository_cannot_be_reached(stage: Stage) -> None:
    stage.serve(root=[finish()])
    with pytest.raises(UserError) as raised:
        await desk(stage).prepare(order(f"http://ada:{PASSWORD}@127.0.0.1:1/repo.git"), (), quiet)
    assert "plum" not in str(raised.value)
    assert "orchard" not in str(raised.value)


async def test_rules_of_the_repository_that_no_run_keeps_are_told_at_the_start(stage: Stage) -> None:
    (stage.source / ".gitattributes").write_text("README.md filter=lfs merge=ours\n")
    git(stage.source, "add", "--all")
    git(stage.source, "update-index", "--add", "--cacheinfo", f"160000,{stage.base},vendor/lib")
    git(stage.source, "commit", "--quiet", "--message=Rules")
    stage.serve(root=[finish()])
    notes = "\n".join((await desk(stage).prepare(order(str(stage.source)), (), quiet)).notes)
    assert "filter 'lfs', such as README.md" in notes
    assert "files of ours conflict" in notes
    assert "submodules (vendor/lib)" in notes


async def ended(stage: Stage) -> Ref:
    """A root planner's stored handoff."""
    stage.serve(root=[finish("All tidy.")])
    outcome = await stage.turn("k1")
    assert outcome.finish is not None
    stored = await stage.store_handoff(
        me=ROOT, title="All", role="planner", status=HandoffStatus.DONE, report=outcome.finish.seq
    )
    assert isinstance(stored.ref, Ref)
    return stored.ref


async def test_the_report_tells_of_the_trunk_that_was_published(stage: Stage) -> None:
    stage.serve(tasks={"Write a file": [step(use("write_file", path="one.txt", content="one\n")), *land()]})
    await stage.work(stage.task())
    published = stage.hub.tip()
    stage.serve(tasks={"Too late": [step(use("write_file", path="two.txt", content="two\n")), *land()]})
    await stage.work(stage.task("Too late", 1))
    assert stage.hub.tip() != published
    root = await ended(stage)
    asked = WriteReport(context=stage.context, root=root, status=HandoffStatus.DONE, trunk=published)
    report = await desk(stage).report(asked)
    assert (report.trunk, report.commits, report.summary) == (published, 1, "All tidy.")
    later = await desk(stage).report(asked.model_copy(update={"trunk": None}))
    assert (later.trunk, later.commits) == (stage.hub.tip(), 2)


async def test_a_run_whose_work_its_user_does_not_have_is_not_done(stage: Stage) -> None:
    stage.serve(tasks={"Write a file": [step(use("write_file", path="one.txt", content="one\n")), *land()]})
    await stage.work(stage.task())
    root, made = await ended(stage), desk(stage)
    asked = WriteReport(
        context=stage.context, root=root, status=HandoffStatus.DONE, trunk=stage.hub.tip(), problem="no pushes today"
    )
    report = await made.report(asked)
    assert (report.outcome, report.problem, report.stands) == ("partial", "no pushes today", None)
    written = _text(report.report)
    assert "**What landed is not in your repository:** no pushes today" in written
    assert f"`{report.branch}` is not there" in written
    assert taking_home(report) in written
    git(stage.source, *shlex.split(taking_home(report))[1:])
    assert git(stage.source, "rev-parse", report.run) == report.trunk
    published = await made.publish(Publish(run=stage.context.run))
    assert (published.trunk, published.problem) == (report.trunk, "")
    assert (await made.report(asked)).stands == report.trunk
    assert (await made.report(asked.model_copy(update={"problem": ""}))).outcome == "done_unproven"


def _text(path: str) -> str:
    return Path(path).read_text()


async def test_a_refused_start_leaves_nothing_and_its_name_is_free(stage: Stage) -> None:
    stage.serve(root=[finish()])
    made, wrong = desk(stage), order(str(stage.source)).model_dump()
    wrong["spec"] = {**wrong["spec"], "base": "mian"}
    with pytest.raises(UserError, match="mian"):
        await made.prepare(PrepareRun.model_validate(wrong), (), quiet)
    assert not made._folders(OTHER).exists()
    again = order(str(stage.source)).model_copy(update={"incarnation": Incarnation("another-start")})
    await made.prepare(again, (), quiet)
    git(stage.source, "branch", "headway")
    with pytest.raises(UserError, match="there is a branch 'headway'"):
        await made.prepare(again, (), quiet)
    assert made._folders(OTHER).exists(), "it has begun, so it keeps its name"


def land() -> list[Step]:
    return [step(use("land", message="Write")), finish("There.")]


async def test_a_report_without_the_roots_handoff_says_so(stage: Stage) -> None:
    root = await ended(stage)
    asked = WriteReport(context=stage.context, root=root, status=HandoffStatus.DONE)
    for wrong, said in (
        (Ref(log=root.log, seq=0), "is no handoff"),
        (Ref(log=ROOT, seq=999), "999"),
        (Ref(log=type(ROOT)(f"{ROOT}/{ChildKey('9.9-00000000')}"), seq=0), "9.9-00000000"),
    ):
        with pytest.raises(HeadwayError, match=said):
            await desk(stage).report(asked.model_copy(update={"root": wrong}))
