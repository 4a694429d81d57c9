"""The recorded histories: where they lie, and how they are written so that a new recording reads well in a diff."""

import base64
import gzip
import json
import re
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHistory

from headway.host.history import read_history, title_of

FOLDER = Path(__file__).parent / "histories"
STATES = Path(__file__).parent / "states"
PACK_OVER = 100_000

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
DECIDED = re.compile(
    r"ActivityTaskScheduled|StartChildWorkflowExecutionInitiated|MarkerRecorded|"
    r"WorkflowExecution(Completed|Failed|Canceled|Terminated|ContinuedAsNew|UpdateCompleted)|"
    r"(SignalExternal|RequestCancelExternal)WorkflowExecutionInitiated"
)
UNSTEADY = re.compile(r" (?!\w+$).*")


def recorded() -> list[Path]:
    """Every history that is kept."""
    return sorted([*FOLDER.glob("*.json"), *FOLDER.glob("*.json.gz")])


def kinds(chain: Iterable[WorkflowHistory]) -> set[str]:
    """What a workflow decided, without when, how often and about whom: two recordings of one story have the same."""
    titles = [title_of(event) for history in chain for event in history.events]
    return {UNSTEADY.sub("", title) for title in titles if DECIDED.match(title)}


class Plain:
    """Takes out of histories what differs at every recording: ids of runs and requests, and who recorded."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def text(self, history: WorkflowHistory) -> str:
        """The history as a file's text."""
        return json.dumps(self._cleaned(history.to_json_dict()), indent=1) + "\n"

    def _cleaned(self, value: Any) -> Any:
        match value:
            case dict():
                return {
                    name: "recorder" if name == "identity" else self._payload(part) if name == "data" else
                    self._cleaned(part)
                    for name, part in value.items()
                    if name not in {"taskId", "workerVersion"}
                }  # fmt: skip
            case list():
                return [self._cleaned(part) for part in value]
            case str():
                return UUID.sub(self._renamed, value)
        return value

    def _payload(self, data: Any) -> Any:
        if not isinstance(data, str):
            return self._cleaned(data)
        text = base64.b64decode(data).decode()
        return base64.b64encode(UUID.sub(self._renamed, text).encode()).decode()

    def _renamed(self, found: re.Match[str]) -> str:
        return self._known.setdefault(found[0], str(uuid.UUID(int=len(self._known) + 1)))


def keep(name: str, texts: list[str]) -> None:
    """Write a history, or the numbered ones of a chain, in the place of what there was; large ones are packed."""
    for path in _paths(name):
        path.unlink()
    for number, text in enumerate(texts, 1):
        file = f"{name}-{number}.json" if len(texts) > 1 else f"{name}.json"
        if len(text) > PACK_OVER:
            (FOLDER / f"{file}.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
        else:
            (FOLDER / file).write_text(text)


def kept(name: str) -> list[WorkflowHistory]:
    """The history of that name, or all of the chain, as recorded before."""
    return [read_history(path) for path in _paths(name)]


def _paths(name: str) -> list[Path]:
    return [path for path in recorded() if re.fullmatch(rf"{name}(-\d+)?\.json(\.gz)?", path.name)]
