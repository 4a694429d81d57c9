"""What a landing leaves on the trunk: one commit, whose trailers say whose work it is."""

from dataclasses import dataclass

from headway.domain.ids import AgentId, Oid, RunName
from headway.git.repo import Repo

_FIELDS = ("%H", "%s", *(f"%(trailers:key=Headway-{key},valueonly,unfold)" for key in ("Task", "Run", "Planner")))
_MARK = "%(trailers:key=Headway-Submission,valueonly,unfold)"


@dataclass(frozen=True)
class LandedCommit:
    """One commit of the trunk. What did not come by a landing has no task, run and planner (empty)."""

    oid: Oid
    subject: str
    task: AgentId
    run: RunName
    planner: str


def landed_since(repo: Repo, since: Oid, upto: str, paths: tuple[str, ...] = ()) -> list[LandedCommit]:
    """The trunk's own commits after `since`, oldest first; with `paths`, those that touched one of them."""
    return [
        LandedCommit(Oid(oid), subject, AgentId(task.strip()), RunName(run.strip()), planner.strip())
        for oid, subject, task, run, planner in _log(repo, _FIELDS, since, upto, paths)
    ]


@dataclass(frozen=True)
class Mark:
    """Which submission of which task a commit of the trunk is."""

    oid: Oid
    task: AgentId
    mark: str


def marks_since(repo: Repo, since: Oid, upto: str) -> list[Mark]:
    """The landings among the trunk's own commits after `since`, oldest first."""
    read = ((oid, task.strip(), mark.strip()) for oid, task, mark in _log(repo, ("%H", _FIELDS[2], _MARK), since, upto))
    return [Mark(Oid(oid), AgentId(task), mark) for oid, task, mark in read if task and mark]


def _log(repo: Repo, fields: tuple[str, ...], since: Oid, upto: str, paths: tuple[str, ...] = ()) -> list[list[str]]:
    form = "--format=" + "%x00".join(fields) + "%x01"
    span = ["--first-parent", "--reverse", f"{since}..{upto}"]
    said = repo.run("log", form, *span, "--", *paths).out.decode(errors="replace")
    records = (record.lstrip("\n") for record in said.split("\x01"))
    return [record.split("\0") for record in records if record]


def trailers(run: RunName, task: AgentId, planner: tuple[str, ...], place: str, submission: str) -> str:
    """The trailers of a landing, as the last paragraph of its message."""
    said = {"Run": run, "Task": task, "Planner": " ".join(planner), "Place": place, "Submission": submission}
    return "".join(f"Headway-{key}: {value}\n" for key, value in said.items() if value)
