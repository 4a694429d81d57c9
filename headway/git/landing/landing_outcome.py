"""Answers to a landing; closed."""

from dataclasses import asdict, dataclass

from pydantic import TypeAdapter

from headway.domain.ids import Oid
from headway.git.landed import LandedCommit
from headway.git.workspace.notes import Answered, AskedLanding


@dataclass(frozen=True)
class Landed:
    """The change is on the trunk.

    Attributes:
        commit: The commit that it became.
        trunk: The trunk's commit on which the workspace stands now.
        others: Paths that others changed since the commit it stood on, at most 1,000.
        conflicted: Paths of unlanded changes that conflict with the trunk; they hold markers now, or are as the trunk
            has them.
        before: A snapshot of the workspace as it was before that; None where nothing conflicts.
    """

    commit: Oid
    trunk: Oid
    others: tuple[str, ...] = ()
    conflicted: tuple[str, ...] = ()
    before: Oid | None = None


@dataclass(frozen=True)
class Conflicted:
    """Others changed the same; the workspace stands on the new trunk and holds both, with zdiff3 markers.

    Attributes:
        kinds: The kind of conflict of each of `paths`, in git's words. A `binary` file is left as the trunk has it.
        rivals: The landed commits that touched those paths meanwhile, oldest first.
        rounds: Number of conflicts of the task in a row, this one included.
        before: A snapshot of the workspace as it was before the markers came in.
    """

    paths: tuple[str, ...]
    kinds: tuple[str, ...]
    trunk: Oid
    rivals: tuple[LandedCommit, ...]
    rounds: int
    before: Oid


@dataclass(frozen=True)
class NothingToLand:
    """The files are those of the trunk already; `trunk` is where the workspace stands."""

    trunk: Oid


@dataclass(frozen=True)
class LandingRefused:
    """The change does not land as it is. `doubtful`: it will, when it is asked for again on purpose."""

    reason: str
    paths: tuple[str, ...]
    doubtful: bool = False


LandingOutcome = Landed | Conflicted | NothingToLand | LandingRefused

_LANDED = TypeAdapter(Landed)
_CONFLICTED = TypeAdapter(Conflicted)


def noted(asked: AskedLanding, tree: Oid, answer: Landed | Conflicted) -> Answered:
    """An answer as it is kept next to the workspace; `tree` is the workspace's content then."""
    kind = "landed" if isinstance(answer, Landed) else "conflicted"
    return Answered.model_validate({"asked": asked, "kind": kind, "tree": tree, "answer": asdict(answer)})


def told(answered: Answered) -> Landed | Conflicted:
    """The answer that was kept."""
    adapter: TypeAdapter[Landed] | TypeAdapter[Conflicted] = _LANDED if answered.kind == "landed" else _CONFLICTED
    return adapter.validate_python(answered.answer)
