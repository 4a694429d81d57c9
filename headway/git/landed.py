"""The trunk's own commits, read as landings."""

from collections.abc import Iterator
from dataclasses import dataclass

from headway.domain.ids import AgentId, Oid, RunName
from headway.domain.printable import one_line
from headway.git import trailers
from headway.git.repo import Repo
from headway.git.trailers import Trailers

SUBJECT_CHARS = 200


@dataclass(frozen=True)
class LandedCommit:
    """One commit of the trunk. A commit that did not come by a landing has no task, run and planner (empty).

    Attributes:
        subject: One line without control characters, at most 200 characters.
    """

    oid: Oid
    subject: str
    task: AgentId
    run: RunName
    planner: str


def landed_since(repo: Repo, since: Oid, upto: str, paths: tuple[str, ...] = ()) -> list[LandedCommit]:
    """The trunk's own commits after `since`, oldest first; with `paths`, those that touched one of them."""
    return [
        LandedCommit(
            oid,
            subject_of(message),
            said.task if said else AgentId(""),
            said.run if said else RunName(""),
            said.planner if said else "",
        )
        for oid, message, said in _log(repo, since, upto, paths)
    ]


def subject_of(message: str) -> str:
    """The first paragraph of a commit message in one line, fit to be shown."""
    return one_line(message.split("\n\n", 1)[0])[:SUBJECT_CHARS]


@dataclass(frozen=True)
class Mark:
    """The task and the submission of a commit of the trunk."""

    oid: Oid
    task: AgentId
    mark: str


def marks_since(repo: Repo, since: Oid, upto: str) -> list[Mark]:
    """The landings among the trunk's own commits after `since`, oldest first."""
    found = ((oid, said) for oid, _, said in _log(repo, since, upto))
    return [Mark(oid, said.task, said.submission) for oid, said in found if said is not None and said.submission]


def _log(repo: Repo, since: Oid, upto: str, paths: tuple[str, ...] = ()) -> Iterator[tuple[Oid, str, Trailers | None]]:
    span = ["--first-parent", "--reverse", f"{since}..{upto}"]
    said = repo.run("log", "-z", "--format=%H%n%B", *span, "--", *paths).out.decode(errors="replace")
    for record in said.split("\0"):
        oid, _, message = record.strip("\n").partition("\n")
        if oid:
            yield Oid(oid), message, trailers.read(message)
