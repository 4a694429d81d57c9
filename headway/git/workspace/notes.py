"""The harness's notes of a workspace, next to its files. Each is written atomically, so a kill leaves it whole.

They are not synced. A workspace is trusted only within the boot that wrote it, and only a crash of the machine can tear
a note: a torn one is as good as one of another boot.
"""

import os
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote_from_bytes, unquote_to_bytes

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError, ValidationInfo

from headway.domain.errors import LeaseLost
from headway.domain.ids import AgentId, Oid, RunName
from headway.system.files import write_whole
from headway.system.process import Process


def _path_in(value: object, info: ValidationInfo) -> object:
    return os.fsdecode(unquote_to_bytes(value)) if info.mode == "json" and isinstance(value, str) else value


def _path_out(path: str) -> str:
    return quote_from_bytes(os.fsencode(path))


RepoPath = Annotated[str, BeforeValidator(_path_in), PlainSerializer(_path_out, return_type=str, when_used="json")]
"""A path as git names it, bytes that are no UTF-8 included; JSON takes no such text, so there it is percent-encoded."""


class Owner(BaseModel):
    """The owner of a workspace: its task, attempt, lease and process.

    Attributes:
        boot_id: The boot of the machine that wrote the files; after another one they are not trusted.
        rebuilt: The workspace took the place of one that was lost, and may lack the newest steps.
        rebuilt_from: The snapshot that it was rebuilt from; None when there was none.
        base: The trunk commit that the files stood on at first. As long as nothing else is noted they still do.
        generation: The base layer whose layers the files lie on; None for files that lie by themselves.
        process: The process that opened it last.
    """

    model_config = ConfigDict(frozen=True)

    run: RunName
    task: AgentId
    attempt: int
    lease: int
    boot_id: str
    rebuilt: bool = False
    rebuilt_from: Oid | None = None
    base: Oid
    generation: int | None = None
    process: Process | None = None


class Move(BaseModel):
    """A step to another trunk commit that was begun: the files become `tree`, and stand on `commit` then."""

    model_config = ConfigDict(frozen=True)

    tree: Oid
    commit: Oid
    conflicted: tuple[RepoPath, ...] = ()
    rounds: int = 0
    last: "Answered | None" = None


class AskedLanding(BaseModel):
    """One call of a landing, as far as it tells a repeat from a new one."""

    model_config = ConfigDict(frozen=True)

    message: str
    paths: tuple[RepoPath, ...] | None
    place: str


class Pending(BaseModel):
    """A submission that is about to land; noted before the trunk may move.

    Attributes:
        mark: Its hash, which the commit carries as a trailer.
        tree: The submitted tree.
    """

    model_config = ConfigDict(frozen=True)

    asked: AskedLanding
    mark: str
    tree: Oid


class Answered(BaseModel):
    """The last answer of a landing, so that a call that is repeated after a crash gets it again.

    Attributes:
        tree: The files of the workspace when it was given.
        answer: The answer as JSON fields.
    """

    model_config = ConfigDict(frozen=True)

    asked: AskedLanding
    kind: Literal["landed", "conflicted"]
    tree: Oid
    answer: dict[str, object]


class WorkspaceNotes(BaseModel):
    """All that the harness remembers of a workspace.

    Attributes:
        base: The trunk commit that the files stand on.
        conflicted: Paths that conflicted and have not landed since; markers in them are refused.
        rounds: Conflicts in a row.
    """

    model_config = ConfigDict(frozen=True)

    base: Oid
    conflicted: tuple[RepoPath, ...] = ()
    rounds: int = 0
    moving: Move | None = None
    pending: Pending | None = None
    last: Answered | None = None


Move.model_rebuild()


def load_owner(home: Path) -> Owner | None:
    """The owner noted in a workspace's folder; None where no whole note is, as after a crash of the machine."""
    try:
        return Owner.model_validate_json((home / "owner.json").read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def store_owner(home: Path, owner: Owner) -> None:
    """Note the owner of a workspace."""
    write_whole(home / "owner.json", owner.model_dump_json().encode(), synced=False)


def load_notes(home: Path) -> WorkspaceNotes:
    """The position of the workspace. One that never moved has no note of it: each file costs a block of the disk.

    Raises:
        LeaseLost: The notes are torn. The next opening of the workspace sets it aside.
    """
    try:
        return WorkspaceNotes.model_validate_json((home / "standing.json").read_bytes())
    except FileNotFoundError:
        owner = load_owner(home)
        if owner is None:
            raise torn(home) from None
        return WorkspaceNotes(base=owner.base)
    except ValidationError:
        raise torn(home) from None


def torn(home: Path) -> LeaseLost:
    """The error for the holder of a workspace whose notes are torn: at the next opening another takes its place."""
    return LeaseLost(f"the notes of {home} are torn; it has to be opened again")


def is_torn(home: Path) -> bool:
    """True if the note of where the workspace stands is torn, as after a crash of the machine."""
    try:
        load_notes(home)
    except LeaseLost:
        return True
    return False


def store_notes(home: Path, standing: WorkspaceNotes) -> None:
    """Note where the workspace stands."""
    write_whole(home / "standing.json", standing.model_dump_json().encode(), synced=False)
