"""Forbidden dependencies: held to at landing, with real git, and only for what a change adds."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from headway.domain.errors import UserError
from headway.domain.handoff import HandoffStatus
from headway.domain.spec import parse_spec
from headway.policy.forbidden_dependencies import Breach, breaches
from tests.agents.stage import Stage, finish, git, step, use

TITLE = "Write a file"
RULES = ["left-pad", "flask", "django"]
LAND = step(use("land", message="Add it"))
OLD = '[project]\ndependencies = ["django"]\n'
NEW = '[project]\ndependencies = ["django", "Flask>2"]\n'


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path, more={"policy": {"forbidden_dependencies": RULES}})
    yield made
    await made.close()


def write(path: str, content: str) -> Any:
    return step(use("write_file", path=path, content=content))


async def test_a_forbidden_dependency_comes_back_with_the_rule_and_lands_once_it_is_out(strict: Stage) -> None:
    strict.serve(
        tasks={
            TITLE: [
                write("pyproject.toml", NEW.replace('"django", ', "")),
                write("web/package.json", '{"dependencies": {"left_pad": "1"}}'),
                LAND,
                write("pyproject.toml", '[project]\ndependencies = ["attrs"]\n'),
                step(use("shell", command="rm -r web")),
                LAND,
                finish(),
            ]
        }
    )
    order = strict.task()
    outcome, handoff = await strict.done(order)
    answers = strict.texts(order.me, "tool.result")
    assert answers[2].startswith("error: Not landed. The policy of this run forbids")
    assert "- flask in pyproject.toml, by the rule 'flask'" in answers[2]
    assert "- left-pad in web/package.json, by the rule 'left-pad'" in answers[2]
    assert answers[5].startswith("Landed as")
    assert outcome.status is HandoffStatus.DONE
    assert len(handoff.facts.landed) == 1
    assert "attrs" in strict.on_trunk("pyproject.toml")


async def test_insisting_does_not_land_it(strict: Stage) -> None:
    strict.serve(tasks={TITLE: [write("pyproject.toml", NEW), LAND, LAND, finish(status="blocked")]})
    order = strict.task()
    _, handoff = await strict.done(order)
    assert [text.startswith("error: Not landed") for text in strict.texts(order.me, "tool.result")[1:3]] == [True] * 2
    assert handoff.facts.landed == ()
    assert strict.hub.tip() == strict.base


async def test_what_is_not_to_land_yet_is_not_looked_at(strict: Stage) -> None:
    here = step(use("land", message="Add one", paths=["one.txt"]))
    strict.serve(
        tasks={TITLE: [write("pyproject.toml", NEW), write("one.txt", "1\n"), here, finish(status="partial")] * 2}
    )
    order = strict.task()
    _, handoff = await strict.done(order)
    assert len(handoff.facts.landed) == 1


async def test_every_worker_is_told_the_rule(strict: Stage) -> None:
    strict.serve(tasks={TITLE: [finish(status="not_needed")]})
    order = strict.task()
    await strict.done(order)
    told = strict.texts(order.me, "message")[0]
    assert "Forbidden dependencies: left-pad, flask, django. A change that adds one" in told


def commit(stage: Stage, files: dict[str, str | None]) -> str:
    """A commit in the user's repository, brought into the hub."""
    for name, content in files.items():
        path = stage.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink() if content is None else path.write_text(content)
    git(stage.source, "add", "--all")
    git(stage.source, "commit", "--quiet", "--message=More")
    git(stage.hub.folder, "fetch", "--quiet", str(stage.source), "main")
    return git(stage.source, "rev-parse", "HEAD")


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({"pyproject.toml": OLD}, {"pyproject.toml": NEW}, ["flask"]),
        ({"pyproject.toml": OLD}, {"pyproject.toml": OLD + "# more\n"}, []),
        ({"pyproject.toml": OLD}, {"pyproject.toml": None, "py/pyproject.toml": OLD}, []),
        ({"pyproject.toml": OLD}, {"requirements.txt": "django==5\n"}, []),
        ({"pyproject.toml": OLD}, {"package.json": '{"dependencies": {"django": "1"}}'}, ["django"]),
        ({"pyproject.toml": NEW}, {"pyproject.toml": OLD}, []),
        ({}, {"poetry.lock": '[[package]]\nname = "flask"\n'}, ["flask"]),
        ({}, {"notes.md": "flask, django and left-pad"}, []),
        ({}, {"pyproject.toml": "<<<<<<<\n" + NEW}, ["django", "flask"]),
        ({}, {"go.mod": "module m\nrequire example.org/flask v1.0.0\n"}, []),
    ],
)
def test_what_counts_is_what_the_change_adds(
    strict: Stage, before: dict[str, str | None], after: dict[str, str | None], found: list[str]
) -> None:
    base = commit(strict, before | {"x": "1"})
    tip = commit(strict, after | {"x": "2"})
    assert [breach.name for breach in breaches(strict.hub, base, tip, RULES)] == found  # type: ignore[arg-type]


def test_a_breach_names_the_rule_that_it_breaks(strict: Stage) -> None:
    tip = commit(strict, {"package.json": '{"dependencies": {"@aws-sdk/client-s3": "1"}}'})
    assert breaches(strict.hub, strict.base, tip, ["@aws-sdk"]) == [  # type: ignore[arg-type]
        Breach("@aws-sdk/client-s3", "@aws-sdk", "package.json")
    ]


@pytest.mark.parametrize("rule", ["", "*", "a b", "le?t", "*pad"])
def test_a_rule_that_means_nothing_is_refused(rule: str) -> None:
    with pytest.raises(UserError, match="forbidden_dependencies"):
        parse_spec({"repo": "r", "instructions": "i", "policy": {"forbidden_dependencies": [rule]}})
