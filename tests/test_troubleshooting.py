"""docs/troubleshooting.md lists messages that the code still has, and each family of errors stands in it."""

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.support.patterns import ROOT
from tests.test_names import sources

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([^|]+)` \| [^|]+ \| [^|]+ \|$", re.MULTILINE)
GAP = "…"

SAYS_ITSELF = {
    "headway/rehearsal/playbook_reader.py": "the author of a playbook reads the line and what is wrong in it",
    "headway/rehearsal/host.py": "a port that is taken",
    "headway/host/service_settings.py": "the author of a temporal-dev.yaml reads the key and what is wrong with it",
    "headway/host/history.py": "a file that `headway replay` was given",
    "headway/cli/replay.py": "the same",
    "headway/cli/rehearse.py": "wrong arguments",
    "headway/cli/check.py": "wrong arguments",
    "headway/cli/demo_run/steps.py": "the demo",
    "headway/cli/worker.py": "wrong arguments",
    "headway/models/settings.py": "a number in the environment",
    "headway/runs/continuation.py": "instructions that are too long",
    "headway/runs/trials.py": "a trial hands on the message of a model's server",
    "headway/policy/sandbox_policy.py": "the field of the input and its problem",
    "headway/domain/state/control.py": "the target of an update",
    "prompts/prompts.py": "the author of a prompt reads the file and its placeholders",
}
"""Files of which no message needs a row, each with the kind of its messages."""


def texts(source: str) -> Iterator[str]:
    """The texts of a source, with a gap for each part that is filled in."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else GAP for part in node.values)


@cache
def all_texts() -> str:
    """All texts of the code."""
    paths = [*sources(""), ROOT / "prompts" / "prompts.py"]
    return "\0".join(text for path in paths for text in texts(path.read_text(encoding="utf-8")))


def fixed_parts(message: str) -> list[str]:
    """The parts of a message that are always the same."""
    return [part for part in message.split(GAP) if part]


def stands(message: str, code: str) -> bool:
    """True if one text has the fixed parts of the message, in their order."""
    return re.search("[^\\0]*?".join(re.escape(part) for part in fixed_parts(message)), code) is not None


@pytest.mark.parametrize("message", ROW.findall(PAGE))
def test_a_message_of_the_page_stands_in_the_code(message: str) -> None:
    assert max(len(part) for part in fixed_parts(message)) >= 8, "too little of it is fixed to find it"
    assert stands(message, all_texts())


def test_every_row_is_read() -> None:
    tables = PAGE.partition("\n## Where to look\n")[2].partition("\n## ")[2]
    listed = ROW.findall(PAGE)
    assert len(listed) == sum(line.startswith("| `") for line in tables.splitlines())


def test_each_file_that_refuses_a_user_has_a_row_or_a_reason() -> None:
    without = []
    for path in sources(""):
        place, source = path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
        if "UserError(" not in source or place in SAYS_ITSELF or place == "headway/domain/errors.py":
            continue
        own = "\0".join(texts(source))
        if not any(stands(message, own) for message in ROW.findall(PAGE)):
            without.append(place)
    assert without == []


def test_a_changed_message_is_noticed() -> None:
    code = "\0".join(texts('raise UserError(f"repo: there is no folder {folder}")\nsay("left " "over")\n'))
    assert stands("repo: there is no folder …", code)
    assert stands("left over", code)
    assert not stands("repo: there is no directory …", code)
    assert not stands("folder … over", code)
