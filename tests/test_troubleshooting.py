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


def test_each_room_that_refuses_a_user_has_a_row() -> None:
    own: dict[str, list[str]] = {}
    for path in sources(""):
        room, source = "/".join(path.relative_to(ROOT).parts[:2]), path.read_text(encoding="utf-8")
        if "raise UserError(" in source:
            own.setdefault(room, []).extend(texts(source))
    assert len(own) > 8
    without = [room for room, said in own.items() if not any(stands(row, "\0".join(said)) for row in ROW.findall(PAGE))]
    assert set(without) <= {"headway/policy", "headway/rehearsal"}, "these name a field of the input, and its fault"


def test_a_changed_message_is_noticed() -> None:
    code = "\0".join(texts('raise UserError(f"repo: there is no folder {folder}")\nsay("left " "over")\n'))
    assert stands("repo: there is no folder …", code)
    assert stands("left over", code)
    assert not stands("repo: there is no directory …", code)
    assert not stands("folder … over", code)
