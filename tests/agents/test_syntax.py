"""After an edit the model is told where a file stopped making sense, by parsers that run nothing."""

import pytest

from headway.editing.syntax import MAX_CHARS, first_error
from tests.agents.stage import Stage, finish, step, use


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("a.py", "def f(:\n    pass\n", "line 1: "),
        ("a.py", "x = 1\n", ""),
        ("a.py", "x = 1\n\0", "null bytes"),
        ("a.py", "(" * 100_000, "too many nested parentheses"),
        ("a.py", "-" * 200_000 + "1", "nested too deep"),
        ("a.json", '{"a": 1,}', "line 1 column"),
        ("a.json", "[" * 100_000, "nested too deep"),
        ("a.toml", "a = \n", "line 1"),
        ("A.JSON", "[]", ""),
        ("a.txt", "def f(:", ""),
        ("a.py", "(" * (MAX_CHARS + 1), ""),
    ],
)
def test_the_first_error_is_told(path: str, text: str, said: str) -> None:
    error = first_error(path, text)
    assert said in error
    assert bool(error) == bool(said)


async def test_an_edit_says_what_it_broke_and_which_file_it_did_not_change(stage: Stage) -> None:
    edits = [
        step(use("edit_file", path="src/app.py", old="b = 2", new="b = (2")),
        step(use("edit_file", path="src/app.py", old="nowhere to be found", new="x")),
        step(use("write_file", path="new.json", content="{")),
        *[finish(status="blocked")] * 2,
    ]
    stage.serve(tasks={"Write a file": edits})
    order = stage.task()
    await stage.done(order)
    broke, missed, wrote, *_ = stage.texts(order.me, "tool.result")
    assert "src/app.py does not parse as it is now: line 2: '(' was never closed" in broke
    assert "error: src/app.py is as it was: `old` is not in the file" in missed
    assert "new.json does not parse as it is now: " in wrote
