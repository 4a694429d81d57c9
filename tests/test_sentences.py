"""Docstrings and comments name a thing or a role: few begin with What, Who, Whoever, Whether or Whose.

"True if the lock is held" and "Number of open tasks" say at once that a name is a flag or a count. "Whether ..." and
"What ..." leave the reader to find out.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator

from tests.support.patterns import ROOT, files

MOST = 0
"""Docstrings and comments that begin so today. The number may only sink."""

SLACK = 10
"""The number may be that much too high, so that two changes can sink it at the same time."""

_BEGINS = re.compile(r"(?:What|Who|Whoever|Whether|Whose)\b")


def clauses(source: str) -> Iterator[tuple[int, str]]:
    """Docstrings and comments of a source that begin with such a word: the line number, and the first line of each.

    The text under a constant or a field counts as a docstring too.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield from _found(node.lineno, node.value.value)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield from _found(token.start[0], token.string.lstrip("#:"))


def _found(line: int, text: str) -> Iterator[tuple[int, str]]:
    if _BEGINS.match(text.strip()):
        yield line, text.strip().partition("\n")[0]


def verdict(count: int, most: int) -> str:
    """Empty if the count is right for `most`; else the remedy."""
    if count > most:
        return (
            f"{count} docstrings and comments begin with What, Who, Whoever, Whether or Whose; {most} are allowed. "
            "Begin a new one with the thing that it names: 'True if ...', 'Number of ...', 'Return ...'."
        )
    if count < most - SLACK:
        return f"only {count} docstrings and comments begin so: set MOST in {__name__} to {count}."
    return ""


def test_docstrings_and_comments_name_a_thing() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in files()
        for line, text in clauses(path.read_text(encoding="utf-8"))
    ]
    assert not verdict(len(found), MOST), "\n".join([verdict(len(found), MOST), *found])


def test_the_rule_finds_each_place() -> None:
    source = '''"""What a module is for."""
# Whoever reads this.
#: Whose turn it is.
LIMIT = 3  # Whether it holds.
"""Who may pass."""

class Gate:
    """Whether it is open.

    What follows does not count, nor does this.
    """

    def pass_(self) -> str:
        """Whatever passes."""
        # True if it passed: who did is unknown.
        return "What a text says"
'''
    assert [line for line, _ in sorted(clauses(source))] == [1, 2, 3, 4, 5, 8]


def test_the_number_may_only_sink() -> None:
    assert "True if" in verdict(41, 40)
    assert not verdict(40, 40)
    assert not verdict(40 - SLACK, 40)
    assert f"to {39 - SLACK}" in verdict(39 - SLACK, 40)
