"""The documents say what is so: commands, options, variables, settings with their defaults, links and pictures."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel

from headway.agents.tools.catalogue import TOOLS
from headway.cli.app import application
from headway.domain.limit_table import LIMITS, Limits
from headway.domain.spec import RunSpec
from headway.host.service_settings import find_settings, load_settings
from headway.host.settings import variables

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
README = (ROOT / "README.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()

DEMO = "python3 -m venv .venv && .venv/bin/pip install -c requirements.lock . && .venv/bin/headway demo"
TESTS = "python3 -m venv .venv && .venv/bin/pip install -c requirements.lock -e '.[dev]' && .venv/bin/python -m pytest"
ONLY_LESS_TALK = {"exec", "--quiet", "-q", "--disable-pip-version-check"}

NO_SETTINGS = {"TEMPORAL_TLS_CLIENT_KEY_DATA"}
"""A variable of Temporal's own, which is read only to keep its value out of logs."""

MOST_BYTES = 300_000
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
COMMAND = re.compile(r"(?:^|[\s(/])headway +([a-z][a-z_]*)([^|&;\n]*)")
VARIABLE = re.compile(r"\b(?:HEADWAY|OPENAI|TEMPORAL)_[A-Z_]*[A-Z]\b")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
ROW = re.compile(r"^\| (`.+?) \| (.*?) \| .* ?\|$", re.MULTILINE)


def by_name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=by_name)


def code_in(text: str) -> Iterator[str]:
    """What stands as code: each line of a block, and each span."""
    for _, block in FENCED.findall(text):
        yield from block.splitlines()
    yield from INLINE.findall(FENCED.sub("", text))


def said_in(text: str) -> dict[str, str]:
    """Settings and defaults of a document's tables."""
    rows = [(INLINE.findall(names), INLINE.findall(default)) for names, default in ROW.findall(text)]
    return {name: default[0] if len(default) == 1 else "" for names, default in rows for name in names}


def leaves(model: BaseModel | type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every field below a model with its default; `...` for one that is required."""
    for name, field in (model if isinstance(model, type) else type(model)).model_fields.items():
        default = ... if field.is_required() else field.default if isinstance(model, type) else getattr(model, name)
        if isinstance(default, BaseModel):
            yield from leaves(default, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", default


def test_the_two_commands_are_copied_as_they_stand() -> None:
    blocks = [block.strip() for language, block in FENCED.findall(README) if language == "sh"]
    assert blocks[:2] == [DEMO, TESTS]
    assert f"```sh\n{TESTS}\n```" in (ROOT / "CONTRIBUTING.md").read_text()


def test_ci_runs_the_readmes_test_command() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    words = [[word for word in shlex.split(line, comments=True) if word not in ONLY_LESS_TALK] for line in lines]
    wanted = [shlex.split(part) for part in TESTS.split(" && ")]
    assert [step for step in words if step in wanted] == wanted


def test_what_the_stock_cli_does_as_well_is_shown() -> None:
    named = re.search(r"The stock CLI does (.+?) and (\w+) as well\.", OPERATIONS)
    assert named
    block = next(block for _, block in FENCED.findall(OPERATIONS[named.end() :]))
    shown = re.findall(r"--name (\w+)|workflow (cancel)", block)
    assert [a or b for a, b in shown] == [
        "set_limits" if w == "limits" else w for w in [*named[1].split(", "), named[2]]
    ]


@every_document
def test_every_command_and_option_exists(document: Path) -> None:
    commands = typer.main.get_command(application()).commands  # type: ignore[attr-defined]
    unknown = []
    for code in code_in(document.read_text()):
        for name, rest in COMMAND.findall(code):
            known = commands.get(name)
            options = {option for parameter in known.params for option in parameter.opts} if known else set()
            wrong = [word for word in re.findall(r"(?<!\S)--[a-z-]+", rest) if word not in options]
            unknown += [f"headway {name} {' '.join(wrong)}"] if known is None or wrong else []
    assert unknown == []


@every_document
def test_every_variable_is_one_that_the_code_reads(document: Path) -> None:
    sources = [ROOT / "worker.py", *(ROOT / "headway").rglob("*.py"), *(ROOT / "prompts").glob("*.py")]
    read = {name for source in sources for name in VARIABLE.findall(source.read_text())}
    assert set(VARIABLE.findall(document.read_text())) - read == set()


@every_document
def test_every_link_leads_somewhere(document: Path) -> None:
    broken = []
    for link in LINK.findall(document.read_text()):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def anchors(document: Path) -> set[str]:
    """What headings are linked by, as the usual viewers make it."""
    texts = HEADING.findall(FENCED.sub("", document.read_text()))
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in texts}


def test_every_page_of_the_documentation_can_be_reached() -> None:
    reached = {ROOT / "README.md", ROOT / "CHANGELOG.md"}
    while more := {target for document in reached for target in linked_from(document)} - reached:
        reached |= more
    assert set(DOCUMENTS) - reached == set()


def test_every_decision_has_a_number_of_its_own() -> None:
    numbers = [page.name[:4] for page in DOCUMENTS if page.parent.name == "decisions" and page.name != "README.md"]
    assert numbers == sorted(set(numbers))


def linked_from(document: Path) -> set[Path]:
    links = (link.partition("#")[0] for link in LINK.findall(document.read_text()))
    return {(document.parent / link).resolve() for link in links} & set(DOCUMENTS)


def test_every_field_of_the_input_stands_with_its_default() -> None:
    said = said_in(OPERATIONS)
    wrong = []
    for field, default in leaves(RunSpec):
        name = "commit.author" if field == "commit" else field
        if name not in said or (default not in (..., None, "") and _differs(said[name], default)):
            wrong.append(f"{name}: {said.get(name, 'not there')}, should be {default}")
    assert wrong == []


def test_every_limit_stands_as_its_row_of_the_table_says_it() -> None:
    rows = [
        f"| `limits.{name}` | `{json.dumps(field.default)}` | {LIMITS[name].meaning} |".replace(".0`", "`")
        for name, field in Limits.model_fields.items()
    ]
    assert [line for line in OPERATIONS.splitlines() if line.startswith("| `limits.")] == rows


def test_every_variable_stands_as_its_setting_says_it() -> None:
    said = dict(line.removeprefix("| `").removesuffix(" |").split("` | ", 1) for line in variable_rows())
    assert {name: said.get(name) for name in variables()} == variables()


def test_every_variable_of_the_environment_stands_in_the_table() -> None:
    named = {name for line in variable_rows() for name in INLINE.findall(line.split(" | ")[0])}
    source = (ROOT / "headway" / "host" / "settings.py").read_text() + (
        ROOT / "headway" / "models" / "settings.py"
    ).read_text()
    assert set(VARIABLE.findall(source)) - NO_SETTINGS - named == set()


def variable_rows() -> list[str]:
    section = OPERATIONS.partition("## Environment variables\n")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("| `")]


def test_every_tool_stands_as_its_declaration_says_it() -> None:
    rows = [
        f"| `{tool.name}` | {', '.join(tool.agents)}{f', with `{tool.edit}`' if tool.edit else ''} | "
        f"{tool.description.partition('. ')[0].removesuffix('.')} |"
        for tool in TOOLS
    ]
    section = OPERATIONS.partition("### Tools of agents\n")[2].partition("\n## ")[0]
    assert [line for line in section.splitlines() if line.startswith("| `")] == rows


def _differs(said: str, default: Any) -> bool:
    wanted = list(default) if isinstance(default, tuple) else default
    return bool(json.loads(said) != wanted)


def test_every_setting_of_the_local_service_stands_with_its_default() -> None:
    said = said_in(OPERATIONS)
    settings = load_settings(find_settings())
    wrong = []
    for name, value in leaves(settings):
        if name not in said:
            wrong.append(f"{name}: not there")
        elif (
            not isinstance(value, dict) and value is not None and said[name] not in {str(value), json.dumps(value), ""}
        ):
            wrong.append(f"{name}: {said[name]}, should be {value}")
    assert wrong == []


@pytest.mark.parametrize("picture", sorted((ROOT / "docs" / "pictures").iterdir()), ids=by_name)
def test_every_picture_is_small_and_shown(picture: Path) -> None:
    assert picture.stat().st_size < MOST_BYTES
    shown = [link.rpartition("/")[2] for document in DOCUMENTS for link in LINK.findall(document.read_text())]
    assert picture.name in shown
