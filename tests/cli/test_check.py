"""`headway check`: what instructions leave out."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headway.cli.app import application
from headway.domain.errors import UserError
from headway.domain.instructions import lacks
from headway.domain.spec import RunSpec

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "instructions.md").read_text()
GOOD = """Port the parser to the new grammar, because version 2 goes off in March and users have millions of files.
Everything that parses today must parse to the same tree
; a silent change of meaning is the worst result, so where the two grammars differ, version 2 wins.
The parser stays a recursive descent with one module for each kind of statement.
No new library.
Parsing the corpus takes at most 20 s.
It is done when every example is a test that passes.
"""
POLICY = {"dependencies": "None.", "performance": "Under 5 s."}


def topics(text: str, **more: object) -> list[str]:
    return [
        lack.topic for lack in lacks(RunSpec.model_validate({"repo": ".", "instructions": text} | more), whole=False)
    ]


def test_instructions_that_say_everything_are_not_warned_of() -> None:
    assert topics(GOOD) == []


ONE_LINE = ["intent", "architecture", "dependencies", "performance", "priorities", "done"]


@pytest.mark.parametrize(
    ("gone", "topic"),
    [
        ("No new library.\n", "dependencies"),
        ("Parsing the corpus takes at most 20 s.\n", "performance"),
        ("It is done when every example is a test that passes.\n", "done"),
        ("The parser stays a recursive descent with one module for each kind of statement.\n", "architecture"),
        (
            "; a silent change of meaning is the worst result, so where the two grammars differ, version 2 wins.\n",
            "priorities",
        ),
        (", because version 2 goes off in March and users have millions of files", "intent"),
    ],
)
def test_each_thing_that_is_left_out_is_named(gone: str, topic: str) -> None:
    assert gone in GOOD
    assert topics(GOOD.replace(gone, "")) == [topic]


def test_one_line_leaves_out_everything() -> None:
    assert topics("Make the shop better.") == ONE_LINE


def test_a_check_list_is_told_from_prose_with_a_list_in_it() -> None:
    points = "".join(f"- [ ] point {n}\n" for n in range(8))
    assert "only a list" in topics(f"# Things\n\n{points}")
    assert "only a list" in topics("".join(f"{n}. point\n" for n in range(8)))
    assert "only a list" not in topics(f"{GOOD}\n{points}")


def test_words_in_place_of_numbers_are_named() -> None:
    assert topics(f"{GOOD} Use many small tasks.") == ["numbers"]


def test_what_the_policy_and_the_check_say_counts() -> None:
    bare = GOOD.replace("No new library.\n", "").replace("Parsing the corpus takes at most 20 s.\n", "")
    assert topics(bare) == ["dependencies", "performance"]
    assert topics(bare, policy=POLICY) == []
    assert topics(bare, policy={"forbidden_dependencies": ["left-pad"], "performance": "fast"}) == []
    undone = GOOD.replace("It is done when every example is a test that passes.\n", "")
    assert topics(undone, check="make test") == []


# The command


def command(*arguments: str, stdin: str | None = None) -> str:
    said = CliRunner().invoke(application(), ["check", *arguments], input=stdin)
    if said.exception is not None and not isinstance(said.exception, SystemExit):
        raise said.exception
    assert said.exit_code == 0
    return said.output


def test_the_command_reads_a_file_and_standard_input(tmp_path: Path) -> None:
    (tmp_path / "goal.md").write_text(GOOD)
    assert command(str(tmp_path / "goal.md")) == command(f"@{tmp_path / 'goal.md'}") == "No warnings.\n"
    assert command("-", stdin="Make the shop better.").endswith("6 warnings. docs/instructions.md explains each.\n")


def test_the_command_reads_a_whole_input(tmp_path: Path) -> None:
    (tmp_path / "goal.md").write_text(GOOD)
    whole = {"repo": "/srv/shop", "instructions": f"@{tmp_path / 'goal.md'}", "policy": POLICY}
    (tmp_path / "input.json").write_text(json.dumps(whole))
    assert command(str(tmp_path / "input.json")).startswith("check: There is no check, so the run cannot end as done")
    assert command("-", stdin=json.dumps(whole | {"check": "make test"})) == "No warnings.\n"


def test_what_stands_in_another_file_counts(tmp_path: Path) -> None:
    (tmp_path / "goal.md").write_text(GOOD.replace("No new library.\n", ""))
    (tmp_path / "more.json").write_text(json.dumps({"policy": POLICY, "check": "make"}))
    assert command(str(tmp_path / "goal.md"), "--input", str(tmp_path / "more.json")) == "No warnings.\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "instructions: must not be empty"),
        ('{"instructions": "x", "limit": 3}', "limit: is not a field"),
        ('{"instructions": ', "is not JSON"),
        ('{"repo": "."}', "instructions: is required"),
        ("x" * 300_000, "must be at most 256 KB"),
    ],
)
def test_what_a_run_would_refuse_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "goal").write_text(text)
    with pytest.raises(UserError, match=re.escape(said)):
        command(str(tmp_path / "goal"))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: cannot be read"):
        command(str(tmp_path / "nowhere"))


# The documentation


def test_each_topic_is_explained() -> None:
    spec = RunSpec(repo=".", instructions="- a\n" * 9 + "Use many tasks.")
    found = {lack.topic for lack in lacks(spec)}
    assert len(found) == 9
    assert [topic for topic in sorted(found) if f"| `{topic}` |" not in DOCUMENT] == []


def test_the_example_of_the_documentation_is_not_warned_of(tmp_path: Path) -> None:
    blocks = re.findall(r"^```(?:json)?\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    (tmp_path / "instructions.md").write_text(blocks[0])
    (tmp_path / "more.json").write_text(json.dumps(json.loads(blocks[1]) | {"check": "make test bench"}))
    assert command(str(tmp_path / "instructions.md"), "--input", str(tmp_path / "more.json")) == "No warnings.\n"
