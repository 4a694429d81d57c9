"""The edit engine: where an edit lands, what it keeps, and what it says when it does not land."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headway.domain.errors import ToolError
from headway.editing.edit import apply_edit

CODE = "def f(x):\n    if x:\n        return 1\n    return 2\n"


@pytest.mark.parametrize(
    ("text", "old", "new", "result", "how"),
    [
        ("a b c", "b", "x", "a x c", "exact"),
        ("a\nb\nc\n", "b\n", "", "a\nc\n", "exact"),
        ("a\nb\nc\n", "a\nb", "a\nx\nb", "a\nx\nb\nc\n", "exact"),
        ("a  \nb\t\nc\n", "a\nb\n", "x\n", "x\nc\n", "trailing white space ignored"),
        ("a\nb", "b\n", "c\n", "a\nc", "trailing white space ignored"),
        (CODE, "if x:\n    return 1", "if x:\n    return 3", CODE.replace("1", "3"), "indentation ignored"),
        (
            "\tif x:\n\t\ty()\n",
            "if x:\n    y()\n",
            "if x:\n    y()\n    z()\n",
            "\tif x:\n\t\ty()\n\t\tz()\n",
            "indentation ignored",
        ),
        ("say(\u201chi\u201d)\n", 'say("hi")', 'say("ho")', 'say("ho")\n', "typographic characters made plain"),
        ("a\u00a0= 1\n", "a = 1", "a = 2", "a = 2\n", "typographic characters made plain"),
        ("a\r\nb\r\nc\r\n", "b\n", "x\ny\n", "a\r\nx\r\ny\r\nc\r\n", "exact"),
        ("a\r\nb\nc\r\n", "c", "d", "a\r\nb\nd\r\n", "exact"),
        ("a\nb\n", "b\n", "c", "a\nc\n", "exact"),
    ],
)
def test_an_edit_lands(text: str, old: str, new: str, result: str, how: str) -> None:
    edited = apply_edit(text, old, new)
    assert (edited.text, edited.how) == (result, how)


@pytest.mark.parametrize(
    ("text", "old", "new", "said"),
    [
        ("a\nb\na\n", "a", "x", ["found 2 times, at lines 1, 3", "replace_all"]),
        ("a\n", "", "x", ["`old` is empty", "write_file"]),
        ("a\n", "a", "a", ["the same"]),
        ("one\ntwo\nthree\n", "two\nthre!", "x", ["lines 2 to 3", "     2\ttwo", "     3\tthree", "exactly"]),
        ("alpha(beta)\n", "alpha(betta)", "x", ["nearest are lines 1 to 1", "alpha(beta)"]),
        ("", "anything", "x", ["nothing in it is close", "read the file"]),
        ("  a:\n b\n", "a:\nb", "x", ["not in the file", "lines 1 to 2"]),
    ],
)
def test_an_edit_that_does_not_land_names_lines_and_a_way_on(text: str, old: str, new: str, said: list[str]) -> None:
    with pytest.raises(ToolError) as raised:
        apply_edit(text, old, new)
    assert [part for part in said if part not in str(raised.value)] == []


def test_replace_all_changes_every_place_and_tells_where() -> None:
    edited = apply_edit("a\nb\na\n", "a", "x\ny", replace_all=True)
    assert edited.text == "x\ny\nb\nx\ny\n"
    assert edited.lines == ((1, 2), (4, 5))


def test_the_changed_lines_are_shown_with_some_around_them() -> None:
    edited = apply_edit("".join(f"line {n}\n" for n in range(1, 31)), "line 15\n", "new\n")
    assert edited.shown().splitlines()[0] == "    12\tline 12"
    assert "    15\tnew" in edited.shown()
    assert edited.shown().splitlines()[-1] == "    18\tline 18"


lines = st.lists(st.text(alphabet="ab \t\u201c", max_size=4), min_size=1, max_size=8)
ends = st.sampled_from(["\n", "\r\n"])


@given(before=lines, middle=st.text(alphabet="xyz", min_size=1, max_size=9), after=lines, new=lines, end=ends)
def test_what_was_not_matched_keeps_every_byte(
    before: list[str], middle: str, after: list[str], new: list[str], end: str
) -> None:
    head, tail = end.join(before), end.join(after)
    put = "\n".join(new)
    edited = apply_edit(f"{head}{middle}{tail}", middle, put)
    assert edited.text.startswith(head)
    rest = edited.text.removeprefix(head)
    assert rest.endswith(tail)
    assert rest.removesuffix(tail).replace("\r\n", "\n") == put


whole_lines = st.builds(
    lambda lines, end: "".join(line + end for line in lines),
    st.lists(st.text("ab \t", max_size=3), max_size=6),
    st.sampled_from(["\n", "\r\n"]),
)


@given(
    text=st.text(alphabet="ab \r\n\t", max_size=40) | whole_lines,
    old=st.text(alphabet="ab \n\t", max_size=8),
    new=st.text("xy\n", max_size=8),
)
@example(text="a\r\nb\r\n", old="a\nb", new="x\ny\nz")
def test_an_edit_lands_or_says_why_and_keeps_the_final_newline(text: str, old: str, new: str) -> None:
    try:
        edited = apply_edit(text, old, new)
    except ToolError:
        return
    if text.endswith("\n") and edited.text:
        assert edited.text.endswith("\n")
    if 0 < text.count("\n") == text.count("\r\n"):
        assert edited.text.count("\n") == edited.text.count("\r\n")


indents = st.sampled_from(["", "  ", "    ", "\t", "\t\t"])


@given(file=st.lists(indents, min_size=1, max_size=12), shift=indents, data=st.data())
def test_a_piece_that_was_copied_with_other_indentation_lands_with_that_of_the_file(
    file: list[str], shift: str, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(file) - 1))
    end = data.draw(st.integers(at + 1, len(file)))
    lines = [f"{indent}old {number};" for number, indent in enumerate(file)]
    piece = "\n".join(shift + line for line in lines[at:end])
    edited = apply_edit("\n".join(lines) + "\n", piece + "\n", piece.replace("old", "new") + "\n")
    changed = [line.replace("old", "new") for line in lines[at:end]]
    assert edited.text == "\n".join([*lines[:at], *changed, *lines[end:]]) + "\n"
