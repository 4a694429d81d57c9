"""Prompts: placeholders are strict in both directions, every file is asked for by code, and each reads as recorded."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import headway
import workflows
from headway.agents.tools.catalogue import PLANNER_TOOLS
from headway.domain.errors import UserError
from headway.eventlog.events.conversation import LlmRequest
from headway.eventlog.events.envelope import bodies
from prompts.prompts import PromptError, Prompts, fingerprint
from tests.agents.offered import REPLACING
from tests.agents.renders import FOLDER, SYSTEM, renders, system
from tests.agents.stage import ROOT, Stage, step, use

PROMPTS = Prompts.load()
ROOT_FOLDER = Path(__file__).resolve().parents[2]
NOT_YET_ASKED_FOR = {"fixer"}
"""Written, and waiting for the green branch."""


def test_a_missing_and_an_unknown_name_are_errors(tmp_path: Path) -> None:
    (tmp_path / "greet.md").write_text("Hello $name, $$5.\n")
    prompts = Prompts(tmp_path)
    assert prompts.render("greet", name="Ada") == "Hello Ada, $5."
    with pytest.raises(PromptError, match=r"missing \['name'\], unknown \['nome'\]"):
        prompts.render("greet", nome="Ada")
    with pytest.raises(PromptError, match="no prompt 'other'"):
        prompts.render("other")


def test_a_stray_dollar_is_found_when_the_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "bad.md").write_text("costs 5$ .")
    with pytest.raises(PromptError, match="must be written"):
        Prompts(tmp_path)


def test_a_value_is_never_taken_for_a_template(tmp_path: Path) -> None:
    (tmp_path / "say.md").write_text("$text")
    assert Prompts(tmp_path).render("say", text="$text costs $5") == "$text costs $5"


def test_every_shipped_prompt_is_used_and_every_used_one_is_shipped() -> None:
    folders = [Path(next(iter(package.__path__))) for package in (headway, workflows)]
    code = "\n".join(path.read_text() for folder in folders for path in folder.rglob("*.py"))
    named = set(re.findall(r'"((?:messages|answers|reminders)/\w+|planner_\w+|worker|compaction)"', code))
    named |= {f"messages/{name}" for name in re.findall(r'"(kind_\w+)"', code)}
    named |= {f"messages/network_{level}" for level in ("none", "setup", "tasks")}
    named |= {f"reminders/{name}" for name in re.findall(r'"(\w+)"', _reminders(code))}
    used = {name for name in named if name in PROMPTS.names or "/" in name}
    assert used | NOT_YET_ASKED_FOR == set(PROMPTS.names)


def _reminders(code: str) -> str:
    return "".join(re.findall(r"Reason = Literal\[(.*?)\]", code, re.DOTALL))


@pytest.mark.parametrize("name", sorted(renders()))
def test_each_prompt_reads_as_recorded(name: str) -> None:
    """After a change on purpose: `python -m tests.agents.renders`, and look at the difference."""
    assert f"{renders()[name]}\n" == (FOLDER / f"{name}.txt").read_text(encoding="utf-8")


def test_no_record_is_left_of_a_prompt_that_is_gone() -> None:
    there = {path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.txt")}
    assert there == set(renders())


@pytest.mark.parametrize("name", sorted(renders()))
def test_no_placeholder_is_left_in_a_text(name: str) -> None:
    assert re.findall(r"\$\w+|\$\{|\{\{|<[A-Z_]+>|\bTBD\b|\bXXX\b", renders()[name]) == []


@pytest.mark.parametrize("name", SYSTEM)
def test_what_all_agents_of_a_role_share_holds_nothing_that_differs(name: str) -> None:
    """A date, an id or a number of this run would empty the prompt cache of everybody else."""
    assert PROMPTS.placeholders(name) == frozenset()
    tools = (PLANNER_TOOLS if name.startswith("planner") else REPLACING).schemas
    assert differing(system(name)) == []
    assert [differing(tool.description) for tool in tools if differing(tool.description)] == []


def differing(text: str) -> list[str]:
    """Dates, times, ids and addresses."""
    form = (
        r"\b\d{4}-\d\d-\d\d|\b\d\d:\d\d\b|\b(?=\w*\d)[0-9a-f]{8,}\b|\b(?:19|20)\d\d\b|https?://|/(?:home|tmp|root|var)/"
    )
    return re.findall(form, text)


@pytest.mark.parametrize("text", ["on 2026-11-21", "at 22:31", "task 1f2e3d4c", "in 2026", "see http://x", "/tmp/x"])
def test_what_differs_is_found(text: str) -> None:
    assert differing(text)


def test_system_prompts_stay_short() -> None:
    """About 900 tokens: every call of every agent pays for them."""
    assert {name: len(system(name)) for name in SYSTEM if len(system(name)) > 4_500} == {}


# The user's own prompts


def own(folder: Path, **files: str) -> Prompts:
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Prompts.load(folder)


def test_a_prompt_of_the_users_own_goes_before_ours(tmp_path: Path) -> None:
    prompts = own(tmp_path, worker="You are Ada.", messages__steer="$text!")
    assert prompts.render("worker") == "You are Ada."
    assert prompts.render("messages/steer", text="Hi") == "Hi!"
    assert prompts.names == PROMPTS.names
    assert prompts.fingerprint != PROMPTS.fingerprint
    assert prompts.told == f"prompts of your own: messages/steer, worker (set {prompts.fingerprint[:12]})"
    assert PROMPTS.told == ""


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"workr": "x"}, "workr.md: is the name of no prompt; did you mean worker.md?"),
        ({"messages__steer": "no words"}, "messages/steer.md: lacks $text"),
        ({"worker": "for $$5 on $day"}, "worker.md: has $day, which nothing fills"),
        ({"worker": "5$ "}, "worker.md: a '$' that is not a placeholder must be written '$$'"),
        ({"worker": "$a", "planner_root": "$b"}, "worker.md: has $a"),
    ],
)
def test_a_folder_that_cannot_be_used_is_told_at_the_start(tmp_path: Path, files: dict[str, str], said: str) -> None:
    with pytest.raises(UserError) as caught:
        own(tmp_path, **files)
    assert f"HEADWAY_PROMPTS: {tmp_path} cannot be used:\n" in str(caught.value)
    assert said in str(caught.value)


def test_other_files_and_a_folder_that_is_none_are_told_too(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("x")
    with pytest.raises(UserError, match=r"notes\.txt: is the name of no prompt\n"):
        Prompts.load(tmp_path)
    with pytest.raises(UserError, match="is not a folder"):
        Prompts.load(tmp_path / "nowhere")


async def test_each_request_of_a_log_names_the_prompts_that_it_was_made_with(stage: Stage) -> None:
    stage.serve(root=[step(use("wait"))])
    await stage.turn("k1")
    asked = bodies(stage.log(ROOT), LlmRequest)
    assert [(each.prompt, each.prompts) for each in asked] == [
        (fingerprint(PLANNER_TOOLS.system(PROMPTS, "planner_root")), PROMPTS.fingerprint)
    ]


def test_worker_processes_start_nothing_with_prompts_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "workr.md").write_text("x")
    given = {**os.environ, "HEADWAY_PROMPTS": str(tmp_path), "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    given |= {"HEADWAY_HOME": str(tmp_path / "state"), "TEMPORAL_ADDRESS": "127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "worker.py"], cwd=ROOT_FOLDER, env=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "did you mean worker.md?" in done.stderr
    assert "Traceback" not in done.stderr


def test_worker_processes_name_the_prompts_that_are_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "worker.md").write_text("You are Ada.")
    given = {**os.environ, "HEADWAY_PROMPTS": str(tmp_path), "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    given |= {"HEADWAY_HOME": str(tmp_path / "state"), "TEMPORAL_ADDRESS": "127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "worker.py"], cwd=ROOT_FOLDER, env=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2  # there is no such service
    assert f"prompts of your own: worker (set {Prompts.load(tmp_path).fingerprint[:12]})" in done.stdout
