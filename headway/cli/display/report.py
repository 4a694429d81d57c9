"""The output of `headway run` when a run has ended."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from headway.cli.display.result import result_lines
from headway.domain.run import RunReport, taking_home
from headway.domain.words import counted
from headway.runs.run_end import RunEnd

STYLES = {"done": "bold green", "done_unproven": "bold yellow", "partial": "bold yellow"}
SET_IN = "  "
MEANINGS = {
    "done": "done, and the check passes on the trunk",
    "done_unproven": "done, but no check was given that could prove it",
    "partial": "partial",
    "failed": "failed",
    "cancelled": "cancelled",
}


def print_run_end(console: Console, name: str, ending: RunEnd, home: Path | None = None) -> None:
    """The end of a run, in a few lines; with its state folder, also the next commands for its result."""
    if ending.report is None:
        console.print(f"[bold red]{name}: {ending.state}[/]\n{escape(ending.failure)}", highlight=False, soft_wrap=True)
        return
    report = ending.report
    style = STYLES.get(report.outcome, "bold red")
    fails = report.check is not None and report.check.ran and not report.check.passed
    unproven = "; the check fails" if fails else ""
    unpublished = "; what landed is not in your repository" if report.problem else ""
    console.print(f"[{style}]{name}: {MEANINGS[report.outcome]}{unproven}{unpublished}[/]", highlight=False)
    for line in _lines(report, home):
        console.print(escape(line), highlight=False, soft_wrap=True)


def _lines(report: RunReport, home: Path | None) -> list[str]:
    # Set in, because a model wrote it: no line of it looks like one of ours, which name commands to be copied.
    lines = [*(f"{SET_IN}{line}".rstrip() for line in report.summary.splitlines()), ""] if report.summary else []
    lines += _branch(report)
    if report.check is not None:
        lines.append(f"check     {report.check.why} on {report.check.commit[:12]}")
        lines += [f"          {line}" for line in report.check.failing.splitlines()]
    if report.handoffs:
        lines.append("handoffs  " + ", ".join(f"{count} {status}" for status, count in report.handoffs.items()))
    spent = report.spent
    lines.append(f"spent     {counted(spent.tokens, 'token')}, {counted(spent.tasks, 'task')}, {spent.dollars}")
    lines += result_lines(home, report) if home is not None else []
    if report.report and home is not None:
        lines.append(f"report    {report.report}")
    if report.rehearsal:
        lines.append("This was a rehearsal: a script played the model.")
    return lines


def _branch(report: RunReport) -> list[str]:
    if not report.branch:
        return ["branch    none: nothing landed"]
    commits = "uncounted commits" if report.commits is None else counted(report.commits, "commit")
    if not report.problem:
        return [f"branch    {report.branch} at {report.trunk[:12]}, {commits}"]
    stands = "is not there" if report.stands is None else f"stands at {report.stands[:12]}, without all that landed"
    return [
        f"branch    {report.branch} {stands}: {report.problem}",
        f"          {commits} up to {report.trunk[:12]} are in the run's own repository; take them with",
        f"          {taking_home(report)}",
    ]
