"""The result of a run: commits by task, commands to review and merge them, unlanded work, time and cost."""

import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from headway.cli.agent_tools import results
from headway.cli.display.words import lasting, short
from headway.domain.errors import HeadwayError
from headway.domain.figures import Figures, RunFigures
from headway.domain.ids import AgentId
from headway.domain.run import RunReport, taking_home
from headway.domain.words import counted
from headway.eventlog.local_store import LocalStore
from headway.eventlog.views.figures import figures_of
from headway.git.hub import Hub
from headway.git.local_upstream import LocalUpstream, local_path
from headway.git.unlanded import unlanded
from headway.runs.landed_commits import RunCommit, hub_of, landed
from headway.runs.short_ids import short_id

TASKS_NAMED = 10
REFS_NAMED = 5
ROLES = {"planner": "planners", "worker": "workers", "fixer": "fixers"}


def result_lines(home: Path, report: RunReport) -> list[str]:
    """The result in labelled lines, as far as the run's hub and logs are on this machine."""
    figures = figures_of(LocalStore(home, results=results()), report.run)
    lines = list(_cost(figures))
    hub = Hub(hub_of(home, report.run))
    if not hub.folder.is_dir():
        return lines
    with suppress(HeadwayError, OSError):  # git cannot be started, or the hub is broken: the report says the rest
        lines = [*_landed(hub, home, report, figures), *_commands(hub, report), *_left(hub, figures), *lines]
    return lines


def _landed(hub: Hub, home: Path, report: RunReport, figures: RunFigures) -> Iterator[str]:
    commits = landed(home, report.run)
    if not commits:
        return
    by_task: dict[AgentId, list[RunCommit]] = {}
    for commit in commits:
        by_task.setdefault(commit.task, []).append(commit)
    changed = hub.repo.run("diff", "--shortstat", hub.facts().base, report.trunk).text.strip()
    count = max(len(commits), report.commits or 0)
    tasks = max(len(by_task), sum(each.own.commits > 0 for each in figures.agents.values()))
    yield f"landed    {counted(count, 'commit')} by {counted(tasks, 'task')}: {changed}"
    for task, its in list(by_task.items())[:TASKS_NAMED]:
        known = figures.agents.get(task)
        title = f"{short_id(task)} {known.title}" if known is not None and known.title else short_id(task) or "no task"
        yield f"          {title}: {', '.join(commit.short for commit in its)}"
    if tasks > TASKS_NAMED:
        yield f"          and {counted(tasks - TASKS_NAMED, 'more task')}"


def _commands(hub: Hub, report: RunReport) -> Iterator[str]:
    """Commands to review and merge, in the user's own repository, or in a checkout of one that has none itself."""
    if not report.branch:
        return
    facts, path = hub.facts(), local_path(hub.address())
    if report.problem:
        at, branch = "", str(report.run)
        yield f"fetch     {taking_home(report)}"
    elif path is None or _is_bare(path):
        at, branch = "", "FETCH_HEAD"
        yield f"fetch     git fetch {shlex.quote(facts.source)} {report.branch}"
    else:
        at, branch = f"-C {shlex.quote(str(path))} ", report.branch
    yield f"review    git {at}log -p {facts.base[:12]}..{branch}"
    yield f"merge     git {at}merge {branch}"


def _is_bare(repository: Path) -> bool:
    with suppress(HeadwayError):  # it is gone: the commands say so themselves
        return LocalUpstream.find(repository).is_bare
    return False


def _left(hub: Hub, figures: RunFigures) -> Iterator[str]:
    """Work that did not land, each with the command that fetches it as a branch."""
    left = unlanded(hub)
    for kept in left[:REFS_NAMED]:
        known = figures.agents.get(kept.task)
        name = f"{short_id(kept.task)} {known.title if known is not None else ''}".rstrip()
        branch = f"refs/heads/wip/{short_id(kept.task)}"
        fetch = shlex.join(["git", "fetch", str(hub.folder), f"{kept.ref}:{branch}"])
        yield f"unlanded  {name}: {counted(len(kept.paths), 'file')}; {fetch}"
    if len(left) > REFS_NAMED:
        more = counted(len(left) - REFS_NAMED, "more task")
        yield f"unlanded  and {more}"


def _cost(figures: RunFigures) -> Iterator[str]:
    parts = [f"{ROLES[role]} {_price(part)}" for role, part in sorted(figures.by_role.items()) if role in ROLES]
    if parts:
        yield f"cost      {', '.join(parts)}"
    if figures.began_at and figures.ended_at:
        yield f"took      {lasting(figures.ended_at - figures.began_at)}"


def _price(part: Figures) -> str:
    usd, tokens = part.spent.usd, f"{short(part.spent.tokens)} tokens"
    return f"${usd:,.2f} ({tokens})" if usd is not None else tokens
