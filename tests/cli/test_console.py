"""What a model wrote reaches a terminal as text, by whichever way it is printed."""

import io

import pytest
from rich.live import Live
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from headway.cli.console import open_console, say

HOSTILE = "in \x1b]0;title\x07\x1b[2J\x1b]52;c;eA==\x1b\\ and \x9b2J \u202egnp"
SENT = ("\x07", "\x1b]", "\x1b[2J", "\x9b", "\u202e")
"""What of it acts upon a terminal."""


def test_a_line_is_text(capfd: pytest.CaptureFixture[str]) -> None:
    say(HOSTILE)
    say(HOSTILE, err=True)
    said = "".join(capfd.readouterr())
    assert said.count("in ") == 2
    assert not [each for each in SENT if each in said]


@pytest.mark.parametrize("form", ["str", "text", "tree", "table", "live"])
def test_whatever_rich_prints_is_text(form: str) -> None:
    console = open_console()
    console.file, console._force_terminal = io.StringIO(), True
    match form:
        case "str":
            console.print(HOSTILE, markup=False)
        case "text":
            console.print(Text(HOSTILE, style="bold red"))
        case "tree":
            tree = Tree(Text(HOSTILE))
            tree.add(Text(HOSTILE))
            console.print(tree)
        case "table":
            table = Table()
            table.add_column(HOSTILE)
            table.add_row(HOSTILE)
            console.print(table)
        case _:
            with Live(Text(HOSTILE), console=console):
                pass
    said = console.file.getvalue()
    assert "in " in said
    assert not [each for each in SENT if each in said]
