"""What `headway run` says when a run has ended."""

from rich.console import Console
from rich.markup import escape

from headway.cli.ending import Ending
from headway.domain.run import RunReport, taking_home

STYLES = {"done": "bold green", "done_unproven": "bold yellow", "partial": "bold yellow"}
MEANINGS = {
    "done": "done, and the check passes on the trunk",
    "done_unproven": "done, but no check was given that could prove it",
    "partial": "partial",
    "failed": "failed",
    "cancelled": "cancelled",
}


def print_ending(console: Console, name: str, ending: Ending) -> None:
    """The end of a run, in a few lines."""
    if ending.report is None:
        console.print(f"[bold red]{name}: {ending.state}[/]\n{escape(ending.failure)}", highlight=False, soft_wrap=True)
        return
    report = ending.report
    style = STYLES.get(report.outcome, "bold red")
    unpublished = "; what landed is not in your repository" if report.problem else ""
    console.print(f"[{style}]{name}: {MEANINGS[report.outcome]}{unpublished}[/]", highlight=False)
    for line in _lines(report):
        console.print(escape(line), highlight=False, soft_wrap=True)


def _lines(report: RunReport) -> list[str]:
    lines = [report.summary, ""] if report.summary else []
    lines += _branch(report)
    if report.check is not None:
        lines.append(f"check     {report.check.why} on {report.check.commit[:12]}")
        lines += [f"          {line}" for line in report.check.failing.splitlines()]
    if report.handoffs:
        lines.append("handoffs  " + ", ".join(f"{count} {status}" for status, count in report.handoffs.items()))
    lines.append(f"spent     {report.spent.tokens:,} tokens, {report.spent.tasks} tasks, {report.spent.dollars}")
    if report.report:
        lines.append(f"report    {report.report}")
    if report.rehearsal:
        lines.append("This was a rehearsal: a script played the model.")
    return lines


def _branch(report: RunReport) -> list[str]:
    if not report.branch:
        return ["branch    none: nothing landed"]
    counted = "uncounted" if report.commits is None else f"{report.commits}"
    if not report.problem:
        return [f"branch    {report.branch} at {report.trunk[:12]}, {counted} commits"]
    stands = "is not there" if report.stands is None else f"stands at {report.stands[:12]}, without all that landed"
    return [
        f"branch    {report.branch} {stands}: {report.problem}",
        f"          {counted} commits up to {report.trunk[:12]} are in the run's own repository; take them with",
        f"          {taking_home(report)}",
    ]
