import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from headway.cli.run_input import compose, name_for
from headway.domain.errors import UserError
from headway.domain.ids import run_name_problem

NOW = datetime(2026, 11, 21, 9, 5, 7, tzinfo=UTC)


def test_a_path_becomes_absolute_because_workers_run_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "repo").mkdir()
    monkeypatch.chdir(tmp_path)

    raw = compose(None, {"repo": "repo", "instructions": "Do it.", "check": None})

    assert raw == {"repo": str(tmp_path / "repo"), "instructions": "Do it."}


@pytest.mark.parametrize("url", ["https://example.org/a/b.git", "git@example.org:a/b.git", "example.org:a/b"])
def test_a_url_stays_as_it_is(url: str) -> None:
    assert compose(None, {"repo": url, "instructions": "Do it."})["repo"] == url


def test_a_path_that_is_not_there_is_told_before_a_name_is_used_up() -> None:
    with pytest.raises(UserError, match=r"repo: \./nowhere is not there"):
        compose(None, {"repo": "./nowhere", "instructions": "Do it."})


def test_instructions_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "goal.md").write_text("Make it so.")

    raw = compose(None, {"repo": str(tmp_path), "instructions": f"@{tmp_path / 'goal.md'}"})

    assert raw["instructions"] == "Make it so."


def test_a_file_of_instructions_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"goal\.md: cannot be read"):
        compose(None, {"repo": str(tmp_path), "instructions": f"@{tmp_path / 'goal.md'}"})


def test_the_command_line_comes_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_text(
        json.dumps({"repo": str(tmp_path), "instructions": "Old.", "limits": {"tasks": 5}, "check": "make test"})
    )

    raw = compose(file, {"repo": None, "instructions": "New.", "check": None})

    assert raw == {"repo": str(tmp_path), "instructions": "New.", "limits": {"tasks": 5}, "check": "make test"}


@pytest.mark.parametrize(
    ("text", "told"),
    [("[1]", "must hold one JSON object"), ("{", "is not JSON"), ('{"limit": {}}', "limit: is not a field")],
)
def test_a_bad_file_is_told(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "input.json"
    file.write_text(text)

    with pytest.raises(UserError, match=told):
        compose(file, {"repo": str(tmp_path), "instructions": "Do it."})


def test_what_is_missing_is_named() -> None:
    with pytest.raises(UserError, match=r"repo: is required\ninstructions: is required"):
        compose(None, {})


def test_a_run_without_a_name_gets_one_after_repository_and_time() -> None:
    assert name_for({"repo": "/x/my repo.git"}, None, NOW) == "my-repo-1121-090507"


@pytest.mark.parametrize("repo", ["/", "/x/...", "https://example.org/" + "a" * 90, "/x/.hidden"])
def test_every_made_name_is_a_valid_one(repo: str) -> None:
    assert run_name_problem(name_for({"repo": repo}, None, NOW)) is None


def test_an_invalid_name_is_told_with_what_it_must_be() -> None:
    with pytest.raises(UserError, match=r"--name: 'a/b' must be 1 to 61 letters"):
        name_for({}, "a/b", NOW)


@pytest.mark.parametrize("word", ["goal.md", "gaol.md", "notes", " goal.md\n"])
def test_a_forgotten_at_sign_is_told_before_anything_is_spent(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("goal.md", "notes"):
        (tmp_path / name).write_text("Make it so.")

    with pytest.raises(UserError, match=r"looks like the name of a file\.\nGive @"):
        compose(None, {"repo": str(tmp_path), "instructions": word})


@pytest.mark.parametrize("words", ["Refactor.", "see goal.md", "Fix a/b", "x" * 5000])
def test_words_are_instructions(words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "goal.md").write_text("Make it so.")

    assert compose(None, {"repo": str(tmp_path), "instructions": words})["instructions"] == words


def test_a_dash_is_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("Größer.".encode())))

    assert compose(None, {"repo": str(tmp_path), "instructions": "-"})["instructions"] == "Größer."
