"""The final report of a run, the first thing that its user reads when it is over. Markdown, from facts only."""

from dataclasses import dataclass

from headway.domain.handoff import Handoff, HandoffReport
from headway.domain.printable import code_block, for_markdown, quoted
from headway.domain.run import RunReport, taking_home
from headway.domain.state.budget import Ceiling

COMMITS_SHOWN = 200
OPEN_SHOWN = 50


@dataclass(frozen=True)
class ReportFacts:
    """Facts of the report that the run's result lacks.

    Attributes:
        root: The root planner's handoff.
        commits: The trunk's commits of this run, oldest first: short id and subject.
        unlanded: Handoffs that left work on a ref.
        open: Handoffs that are not done, or that name concerns.
    """

    report: RunReport
    repo: str
    root: Handoff
    commits: tuple[tuple[str, str], ...]
    unlanded: tuple[Handoff, ...]
    open: tuple[Handoff, ...]


def render_report(facts: ReportFacts) -> str:
    """The whole report."""
    parts = [
        f"# Run {facts.report.run}: {facts.report.outcome}",
        *_warnings(facts),
        _table(facts),
        f"## What the root planner says\n\n{spoken(facts.root.report)}",
        _list(f"## Commits ({len(facts.commits)})", [_named(oid, subject) for oid, subject in facts.commits]),
        _list("## Not done, or with concerns", [_line(handoff) for handoff in facts.open[:OPEN_SHOWN]]),
        _list("## Work that did not land", [_named(f"{h.facts.wip}", h.title) for h in facts.unlanded[:OPEN_SHOWN]]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _warnings(facts: ReportFacts) -> list[str]:
    said = []
    if facts.report.rehearsal:
        said.append("**REHEARSAL**: every answer was scripted; no model took part.")
    if facts.report.problem:
        said.append(f"**What landed is not in your repository:** {for_markdown(facts.report.problem)}")
        said.append(f"It is in the run's own repository; this makes a branch of it:\n\n    {taking_home(facts.report)}")
    return said


def _table(facts: ReportFacts) -> str:
    report = facts.report
    check = "none was given" if report.check is None else for_markdown(report.check.why)
    rows = [
        ("repository", for_markdown(facts.repo)),
        ("branch", _branch(report)),
        ("check on the final trunk", check),
        ("handoffs", ", ".join(f"{count} {status}" for status, count in sorted(report.handoffs.items())) or "none"),
        ("used", f"{report.spent.tokens:,} tokens, {report.spent.tasks:,} tasks, {report.spent.dollars}"),
        *([("allowed", _allowed(report.granted))] if report.granted else []),
    ]
    body = "\n".join(f"| {name} | {value} |" for name, value in rows)
    failing = report.check.failing if report.check is not None and not report.check.passed else ""
    return f"| | |\n|---|---|\n{body}" + (f"\n\n{code_block(failing)}" if failing else "")


def _branch(report: RunReport) -> str:
    if not report.branch:
        return "none: nothing landed"
    if not report.problem:
        return f"`{report.branch}` at `{report.trunk[:12]}`"
    return f"`{report.branch}` " + (f"stands at `{report.stands[:12]}`" if report.stands else "is not there")


def _allowed(ceiling: Ceiling) -> str:
    tokens, tasks = ("any number of" if n == "none" else f"{n:,}" for n in (ceiling.tokens, ceiling.tasks))
    usd = "no limit in dollars" if ceiling.usd == "none" else f"${ceiling.usd:,.2f}"
    return f"{tokens} tokens, {tasks} tasks, {usd}"


def spoken(report: HandoffReport) -> str:
    """An agent's report on its work, as Markdown."""
    rest = "".join(f"\n\n**{name.capitalize()}:**\n\n{quoted(text)}" for name, text in report.optional.items())
    return f"{quoted(report.summary)}{rest}"


def _line(handoff: Handoff) -> str:
    said = handoff.report.concerns or handoff.report.summary
    return f"{handoff.report.status} · {for_markdown(handoff.title)} · {for_markdown(said[:300])}"


def _named(name: str, title: str) -> str:
    return f"`{name}` {for_markdown(title)}"


def _list(heading: str, lines: list[str]) -> str:
    if not lines:
        return ""
    shown = lines[-COMMITS_SHOWN:]
    more = f"\n- and {len(lines) - len(shown)} before them" if len(lines) > len(shown) else ""
    return f"{heading}\n\n" + "\n".join(f"- {line}" for line in shown) + more
