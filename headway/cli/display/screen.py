"""A run on one screen: labelled lines of plain text, cut to the width and the height that there is."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.text import Text

from headway.cli.display.board import RATE_S, WELL, Board, Row, board_of
from headway.cli.display.watch import Look
from headway.cli.display.words import lasting, short, used_of
from headway.domain.figures import Figures, Happened
from headway.domain.printable import one_line
from headway.domain.state.budget import Ceiling
from headway.domain.words import counted
from headway.runs.short_ids import short_id

LABEL = 11
"""Columns of the labels."""
LEAST = 8
"""Lines below which a screen is not cut any more."""
REHEARSAL = "REHEARSAL: a script plays the model; nothing here is intelligent"
STYLES = {
    "stuck": "yellow",
    "done": "green",
    "failed": "red",
    "cancelled": "red",
    "partial": "yellow",
    "blocked": "yellow",
}
ROLES = {"planner": "planners", "worker": "workers", "fixer": "fixers"}
RED = ("failed", "cancelled", "needs attention")
YELLOW = ("on hold", "parked", "paused", "stalled", "preparing", "partial", "done_unproven")


@dataclass(frozen=True)
class Section:
    """Labelled lines that may be folded.

    Attributes:
        rows: All of it, the most important first.
        least: Lines that it keeps while others give way.
        noun: Word for lines that are left out and counted; empty when only the first lines matter.
    """

    label: str
    rows: Sequence[Text]
    least: int
    noun: str

    def lines(self, most: int) -> list[Text]:
        """At most so many lines; the last one counts the rest."""
        rows = list(self.rows)
        if self.noun and len(rows) > most > 0:
            rows = [*rows[: most - 1], Text(f"and {len(rows) - most + 1} more {self.noun}", style="dim")]
        return [_labelled(self.label if index == 0 else "", row) for index, row in enumerate(rows[:most])]


def screen(look: Look, width: int, height: int | None = None) -> list[Text]:
    """The lines of a look; `height` None shows everything."""
    board, now = board_of(look), look.figures.at
    head = list(_head(board, look, now))
    sections = _sections(board, look, width - LABEL)
    if height is None:
        room = [len(section.rows) for section in sections]
    else:
        room = _shared([(len(section.rows), section.least) for section in sections], max(LEAST, height) - len(head))
    lines = head + [line for section, most in zip(sections, room, strict=True) for line in section.lines(most)]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def _head(board: Board, look: Look, now: float) -> Iterable[Text]:
    if look.status.get("rehearsal"):
        yield Text(REHEARSAL, style="bold magenta")
    elapsed = f" · {lasting(board.elapsed_s)} elapsed" if board.elapsed_s is not None else ""
    yield Text.assemble((f"{board.name}: ", "bold"), (one_line(board.state), _style_of(board.state)), elapsed)
    if look.preparation is not None:
        return
    yield _labelled("cost", Text(_cost(look)))
    yield _labelled("rate", Text(_rate(look, board, now)))
    yield _labelled("landed", Text(one_line(_landed(look, now))))
    yield _labelled("conflicts", Text(_conflicts(look)))
    yield _labelled("agents", Text(_agents(board)))


def _sections(board: Board, look: Look, width: int) -> list[Section]:
    stuck = [Text(one_line(line), style="yellow") for line in board.attention]
    stuck += [_row(row, width) for row in board.of("stuck")]
    stuck = stuck or [Text("nothing", style="dim")]
    failed = [row for row in board.of("ended") if not row.words.startswith(("done", "not needed", "ended"))]
    well = len(board.of("ended")) - len(failed)
    ended = [_row(row, width) for row in failed] + ([Text(f"{well} well", style="dim")] if well else [])
    events = [Text(line) for line in _events(look)]
    now = [_row(row, width) for row in board.of("busy", "waiting", "queued", "resting")]
    return [
        Section("stuck", stuck, 4, "of them"),
        Section("now", now, 6, "agents working or waiting"),
        Section("ended", ended, 2, "agents that ended"),
        Section("events", events, 3, ""),
    ]


def _shared(wanted: list[tuple[int, int]], room: int) -> list[int]:
    """Number of lines of each section: first its least, then the rest of the room, in their order."""
    got: list[int] = []
    for rows, least in wanted:
        got.append(min(rows, least, max(0, room - sum(got))))
    for index, (rows, _) in enumerate(wanted):
        got[index] += min(rows - got[index], max(0, room - sum(got)))
    return got


def _cost(look: Look) -> str:
    granted = Ceiling.model_validate(look.status["granted"]) if look.status.get("granted") else None
    by_role = [f"{ROLES[role]} {_price(part)}" for role, part in sorted(look.figures.by_role.items()) if role in ROLES]
    said = used_of(look.spent, granted)
    return said + (f" ({', '.join(by_role)})" if len(by_role) > 1 else "")


def _price(part: Figures) -> str:
    usd = part.spent.usd
    return f"${usd:,.2f}" if usd is not None else short(part.spent.tokens)


def _rate(look: Look, board: Board, now: float) -> str:
    elapsed = board.elapsed_s or 0.0
    if elapsed < 1:
        return "not yet known"
    until = look.figures.ended_at or now
    span = min(RATE_S, elapsed)
    newest = sum(commit.at >= until - span for commit in look.commits)
    bill = look.spent
    parts = [f"{60 * newest / span:.1f} commits a minute"]
    parts += [f"{short(int(60 * bill.tokens / elapsed))} tokens a minute"]
    parts += [f"${3600 * bill.usd / elapsed:,.2f} an hour"] if bill.usd is not None else []
    return ", ".join(parts)


def _landed(look: Look, now: float) -> str:
    known = look.figures
    count = max(len(look.commits), known.total.commits)
    if not look.commits:
        return counted(count, "commit")
    newest, tasks = look.commits[-1], len({commit.task for commit in look.commits})
    tasks = max(tasks, sum(each.own.commits > 0 for each in known.agents.values()))
    age = lasting(now - newest.at)
    said = f"{counted(count, 'commit')} by {counted(tasks, 'task')}, newest {age} ago: {newest.short} {newest.subject}"
    return f"{said} ({short_id(newest.task)})" if newest.task else said


def _conflicts(look: Look) -> str:
    total = look.figures.total.conflicts
    if not total:
        return "none"
    opened = [each for each in look.figures.agents.values() if each.now.conflicts and each.status is None]
    which = f" ({', '.join(short_id(each.agent) for each in opened)})" if opened else ""
    return f"{len(opened)} open{which}, {total} in all"


def _agents(board: Board) -> str:
    parts = [f"{count} {name}" for name, count in board.counts.items()]
    parts += [f"{board.unseen} more open"] if board.unseen else []
    return f"{len(board.rows)}: {', '.join(parts)}" if parts else "none yet"


def _events(look: Look) -> list[str]:
    """The last events, newest first."""
    happened = [(event.at, each, event) for each in look.figures.agents.values() for event in each.events]
    happened.sort(key=lambda one: -one[0])
    clocks = (time.strftime("%H:%M:%S", time.localtime(at)) for at, _, _ in happened)
    return [
        one_line(f"{clock} {short_id(each.agent)} {_told(event, each.title)}")
        for clock, (_, each, event) in zip(clocks, happened, strict=True)
    ]


def _told(event: Happened, title: str) -> str:
    match event.kind:
        case "landed":
            return f"landed: {event.what or title}"
        case "conflict":
            return f"{title}: conflict on {event.what}"
        case "attempt":
            return f"{title}: attempt {event.what}"
        case status:
            return f"{title}: {status.replace('_', ' ')}" + (f": {event.what}" if status not in WELL else "")


def _row(row: Row, width: int) -> Text:
    return Text(one_line(row.label(width)), style=STYLES.get(row.status or row.group, ""))


def _labelled(label: str, text: Text) -> Text:
    return Text.assemble((f"{label:<{LABEL}}", "bold"), text)


def _style_of(state: str) -> str:
    if state.startswith(RED):
        return "bold red"
    return "bold yellow" if state.startswith(YELLOW) else "bold green"
