"""The patch engine: what a patch says, where it goes, what it keeps, and what it says when it goes nowhere."""

import difflib
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headway.domain.errors import ToolError
from headway.editing.hunks import Hunk, apply_hunks
from headway.editing.patch import Add, Delete, Update, parse_operation, parse_patch

TWICE = "class A:\n    def f(self):\n        return 1\n\n\nclass B:\n    def f(self):\n        return 1\n"


def hunks_of(diff: str) -> tuple[Hunk, ...]:
    section = parse_operation("update_file", "a", diff)
    assert isinstance(section, Update)
    return section.hunks


def wrapped(*lines: str) -> str:
    return "\n".join(["*** Begin Patch", *lines, "*** End Patch"])


def test_a_patch_says_what_becomes_of_each_file() -> None:
    sections = parse_patch(
        wrapped(
            *("*** Add File: new.py", "+a", "+", "+  b"),
            *("*** Update File: src/app.py", "*** Move to: src/main.py", "@@ def f():", " x", "-y", "+z", "", " w"),
            *("*** Delete File: old.py", "*** Update File: a b.txt", "*** Move to: c d.txt"),
        )
    )
    assert sections[0] == Add("new.py", "a\n\n  b\n")
    moved = sections[1]
    assert isinstance(moved, Update)
    assert (moved.path, moved.move_to) == ("src/app.py", "src/main.py")
    assert moved.hunks[0].scopes == ("def f():",)
    assert moved.hunks[0].lines == ((" ", "x"), ("-", "y"), ("+", "z"), (" ", ""), (" ", "w"))
    assert sections[2:] == (Delete("old.py"), Update("a b.txt", (), "c d.txt"))


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ("", "begins with the line `*** Begin Patch`"),
        ("*** Begin Patch\n*** Delete File: a", "ends with the line `*** End Patch`: send it whole"),
        (wrapped(), "the patch names no file"),
        (wrapped("-a", "+b"), "line 2 of the patch names no file"),
        (wrapped("*** Add File: a", "+x", "y"), "line 4 of the patch: every line of a new file begins with `+`"),
        (wrapped("*** Delete File: a", "-x"), "line 3 of the patch: nothing follows"),
        (wrapped("*** Update File: a"), "there is no change in it"),
        (
            wrapped("*** Update File: a", "@@", "x = 1"),
            "line 4 of the patch is `x = 1`: a line of a change begins with",
        ),
        (wrapped("*** Update File:", "@@", "+x"), "line 2 of the patch names no path"),
        (wrapped("*** Rename File: a", "@@", "+x"), "line 2 of the patch names no file"),
    ],
)
def test_what_is_no_patch_is_told_by_its_line(patch: str, said: str) -> None:
    with pytest.raises(ToolError) as raised:
        parse_patch(patch)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("text", "diff", "result", "how"),
    [
        ("a\nb\nc\n", "@@\n a\n-b\n+x\n c\n", "a\nx\nc\n", "exact"),
        ("a\nb\nc\n", "-b\n+x", "a\nx\nc\n", "exact"),
        ("ab\nb\n", "-b\n+x\n", "ab\nx\n", "exact"),
        ("a\nb\nc\n", "@@ -2,1 +2,1 @@\n-b\n+x\n", "a\nx\nc\n", "exact"),
        ("a\nb\nc\nd\n", "@@\n-a\n b\n@@\n b\n-c\n+x\n", "b\nx\nd\n", "exact"),
        ("a\nb\nc\n", "@@\n-c\n+x\n@@\n-a\n+y\n", "y\nb\nx\n", "exact"),
        ("a\nb\n", "@@ a\n+x\n", "a\nx\nb\n", "exact"),
        ("a\n", "+x\n*** End of File", "a\nx\n", "exact"),
        ("", "+x\n", "x\n", "exact"),
        ("a\nb\na\n", "-a\n+x\n*** End of File\n", "a\nb\nx\n", "exact"),
        ("a\nb\nc\n", " b\n c\n+d\n\n", "a\nb\nc\nd\n", "exact"),
        ("a\r\nb\r\nc\r\n", "-b\n+x\n+y\n", "a\r\nx\r\ny\r\nc\r\n", "exact"),
        ("a\r\nb\nc\r\n", "-c\n+d\n", "a\r\nb\nd\r\n", "exact"),
        ("a\nb", " a\n-b\n+x\n", "a\nx", "exact"),
        ("a\nb", " b\n+x\n", "a\nb\nx", "exact"),
        ("a  \nb\t\nc\n", " a\n-b\n+x\n", "a  \nx\nc\n", "trailing white space ignored"),
        ("\tif x:\n\t\ty()\n", " if x:\n-    y()\n+    z()\n", "\tif x:\n\t\tz()\n", "indentation ignored"),
        (
            "say(\u201chi\u201d)\nb\n",
            ' say("hi")\n-b\n+c\n',
            "say(\u201chi\u201d)\nc\n",
            "typographic characters made plain",
        ),
        (TWICE, "@@ class B:\n-        return 1\n+        return 2\n", TWICE[:-2] + "2\n", "exact"),
        (TWICE, "@@ class B\n@@ def f\n-        return 1\n+        return 2\n", TWICE[:-2] + "2\n", "exact"),
        (TWICE, "@@ gone\n-class B:\n+class C:\n", TWICE.replace("class B", "class C"), "exact"),
    ],
)
def test_a_change_lands_and_what_it_does_not_touch_keeps_every_byte(
    text: str, diff: str, result: str, how: str
) -> None:
    edited = apply_hunks(text, hunks_of(diff))
    assert (edited.text, edited.how) == (result, how)


@pytest.mark.parametrize(
    ("text", "diff", "said"),
    [
        ("a\nb\na\n", "@@\n-a\n+x\n", ["the change at line 1 of the patch fits 2 times, at lines 1, 3", "`@@ line`"]),
        (TWICE, "@@ def f(self):\n-        return 1\n+        return 2\n", ["fits 2 times, at lines 3, 8"]),
        (TWICE, "@@ class B:\n-class A:\n+class C:\n", ["not in the file below line 6 (`@@ class B:`)", "1\tclass A:"]),
        ("one\ntwo\nthree\n", " two\n-thre!\n+x\n", ["lines 2 to 3", "     2\ttwo", "     3\tthree", "Copy the lines"]),
        ("", "-anything\n+x\n", ["nothing in it is close", "read the file"]),
        ("a\nb\n", "+x\n", ["does not say where its lines go", "`@@ line`"]),
        ("a\nb\n", "@@\n-a\n+x\n@@\n-a\n+y\n", ["line 4 of the patch changes what another one changes"]),
        ("\n\n", "-  \n+x\n", ["not in the file"]),
    ],
)
def test_a_change_that_does_not_land_names_lines_and_a_way_on(text: str, diff: str, said: list[str]) -> None:
    with pytest.raises(ToolError) as raised:
        apply_hunks(text, hunks_of(diff))
    assert [part for part in said if part not in str(raised.value)] == []


def test_it_is_said_which_lines_are_new() -> None:
    edited = apply_hunks("a\nb\nc\nd\ne\n", hunks_of("@@\n-a\n@@\n c\n+x\n+y\n d\n@@\n-e\n"))
    assert edited.text == "b\nc\nx\ny\nd\n"
    assert edited.lines == ((1, 1), (3, 4), (6, 6))


def diff_of(before: Sequence[str], after: Sequence[str], context: int) -> str:
    """The change as a model would write it."""
    out = []
    for group in difflib.SequenceMatcher(a=before, b=after, autojunk=False).get_grouped_opcodes(context):
        out.append("@@")
        for kind, a, b, c, d in group:
            if kind == "equal":
                out += [f" {line}" for line in before[a:b]]
            else:
                out += [f"-{line}" for line in before[a:b]] + [f"+{line}" for line in after[c:d]]
        if group[-1][2] == len(before):
            out.append("*** End of File")
    return "".join(f"{line}\n" for line in out)


any_line = st.one_of(
    st.sampled_from(["", " ", "a", "  a", "a ", "@@", "*** End of File", "-", "}"]), st.text("ab \t", max_size=4)
)
versions = st.lists(any_line, max_size=12)


def text_of(lines: Sequence[str], eol: str = "\n") -> str:
    return "".join(f"{line}{eol}" for line in lines)


@given(before=versions, after=versions, eol=st.sampled_from(["\n", "\r\n"]))
def test_a_patch_of_a_whole_file_gives_exactly_the_second_version(
    before: list[str], after: list[str], eol: str
) -> None:
    if before == after:
        return
    edited = apply_hunks(text_of(before, eol), hunks_of(diff_of(before, after, 100)))
    # A file without a line has no line ends either.
    assert edited.text == text_of(after, eol if before else "\n")


@given(changes=st.lists(st.sampled_from(["keep", "keep", "keep", "drop", "new", "change"]), max_size=40))
def test_a_patch_of_lines_that_differ_gives_exactly_the_second_version(changes: list[str]) -> None:
    before, after = [], []
    for number, change in enumerate(changes):
        old, new = f"line {number}", f"new {number}"
        before += [] if change == "new" else [old]
        after += {"keep": [old], "drop": [], "new": [new], "change": [new]}[change]
    if before != after:
        assert apply_hunks(text_of(before), hunks_of(diff_of(before, after, 3))).text == text_of(after)


@given(before=versions, after=versions, context=st.integers(0, 3))
@example(before=["a", "b", "a"], after=["a", "b", "c"], context=0)
def test_a_patch_with_little_around_it_gives_the_second_version_or_is_refused(
    before: list[str], after: list[str], context: int
) -> None:
    if before == after:
        return
    try:
        edited = apply_hunks(text_of(before), hunks_of(diff_of(before, after, context)))
    except ToolError:
        return
    assert edited.text == text_of(after)


marks = st.sampled_from(
    [
        *("*** Begin Patch", "*** End Patch", "*** Add File: a", "*** Update File: b", "*** Delete File: c"),
        *(
            "*** Move to: d",
            "*** End of File",
            "@@",
            "@@ x",
            "@@ -1 +1 @@",
            " x",
            "+x",
            "-x",
            "",
            "-",
            "x",
            "\\ No newline at end of file",
        ),
    ]
)


@given(text=st.one_of(st.text(), st.lists(marks, max_size=12).map("\n".join)), before=st.text("x\ny\r ", max_size=20))
def test_any_text_is_a_patch_or_told(text: str, before: str) -> None:
    with suppress(ToolError):
        for section in parse_patch(f"*** Begin Patch\n{text}\n*** End Patch"):
            if isinstance(section, Update):
                apply_hunks(before, section.hunks)


@pytest.mark.parametrize("diff", ["@@ a\n@@ a\n a\n-a\n+b\n", "@@ a\n+b\n", "-a\n+b\n"])
def test_a_long_file_of_lines_that_are_all_alike_is_answered(diff: str) -> None:
    """With time by the square of its lines it would take hours."""
    with pytest.raises(ToolError, match=r"`@@ line`$"):
        apply_hunks("a\n" * 200_000, hunks_of(diff))
