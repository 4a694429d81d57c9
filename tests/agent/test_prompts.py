"""Prompts: placeholders are strict in both directions, and every file is one that code asks for."""

import re
from pathlib import Path

import pytest

import headway.agent
import workflows
from headway.agent.prompts import PromptError, Prompts, fingerprint


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
    folders = [Path(next(iter(package.__path__))) for package in (headway.agent, workflows)]
    code = "\n".join(path.read_text() for folder in folders for path in folder.rglob("*.py"))
    named = set(re.findall(r'"((?:messages|answers|reminders)/\w+|planner_\w+|worker)"', code))
    named |= {f"messages/{name}" for name in re.findall(r'"(kind_\w+)"', code)}
    named |= {f"reminders/{name}" for name in ("repeat", "errors", "use_tool", "output_limit", "refused", "align")}
    assert named == set(Prompts.load().names)


def test_system_prompts_hold_nothing_that_differs_between_agents() -> None:
    prompts = Prompts.load()
    for name in ("planner_root", "planner_sub", "worker"):
        assert prompts.placeholders(name) == frozenset()
        assert len(fingerprint(prompts.render(name))) == 64
