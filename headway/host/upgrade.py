"""The check of a worker process before it polls, when the workflows' code has changed: it replays all open workflows.

A workflow whose history the new code does not repeat would stand still in silence. So the process does not start
then, and says which runs it is about.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from pathlib import Path

from pydantic import BaseModel, ValidationError
from temporalio.client import Client, WorkflowExecution
from temporalio.worker import Replayer

import headway
from headway.domain.errors import UserError
from headway.domain.ids import AgentId, RunName, run_of
from headway.host.connection import WORKFLOW_QUEUE
from headway.host.history import fetch_histories
from headway.host.replayed import Replayed, replay_each
from headway.system.files import write_whole

FILE = "workflow-code.json"
TOLD_EVERY = 100
RUNS_NAMED = 5
OURS = f"TaskQueue = '{WORKFLOW_QUEUE}' AND WorkflowType IN ('Run', 'Planner', 'Task') AND ExecutionStatus = 'Running'"

Tell = Callable[[str], None]


class Checked(BaseModel):
    """The code that is known to fit the open workflows of one service.

    Attributes:
        code: Hash of its sources.
        version: Of Headway, for the user.
        skipped: Runs that the user took out of the check.
    """

    code: str
    version: str
    skipped: tuple[RunName, ...] = ()


class CodeRecord:
    """The checks that `HEADWAY_HOME` remembers, by service: a result for one service says nothing about another."""

    def __init__(self, home: Path, client: Client) -> None:
        self._file = home / FILE
        self._service = this_service(client)

    def read(self) -> Checked | None:
        """The newest check; None before the first, and when it cannot be read: then it is made again."""
        try:
            return Checked.model_validate(_noted(self._file).get(self._service))
        except ValidationError:
            return None

    def write(self, checked: Checked) -> None:
        """Remember a check."""
        known = _noted(self._file) | {self._service: checked.model_dump(mode="json")}
        write_whole(self._file, f"{json.dumps(known, indent=1)}\n".encode(), synced=False)


def this_service(client: Client) -> str:
    """The service of a client: its address and the namespace."""
    return f"{client.service_client.config.target_host} {client.namespace}"


def services_of(home: Path) -> frozenset[str]:
    """The services with which worker processes of this state folder have worked, as `this_service` names them."""
    return frozenset(_noted(home / FILE))


def _noted(file: Path) -> dict[str, object]:
    try:
        known = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def hash_of(folders: Iterable[Path]) -> str:
    """One hash of all Python sources in these folders, by their names within them."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{path.relative_to(folder).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


async def check_upgrade(  # noqa: D417 - the rest says what it is
    client: Client,
    home: Path,
    code: str,
    replayer: Callable[[], Replayer],
    *,
    skip: Collection[str] = (),
    tell: Tell,
) -> None:
    """Return when the code fits every open workflow, or is known to; the next start with the same code returns at once.

    Args:
        code: Hash of the workflows' sources.
        skip: Runs that are not checked: those of their workflows that do not fit stand still until the old version is
            back.

    Raises:
        UserError: It does not fit; nothing was touched.
    """
    record = CodeRecord(home, client)
    known = await asyncio.to_thread(record.read)
    due = None if known is None or known.code != code else {*known.skipped} - {*skip}
    if due == set():
        _tell_skipped(known.skipped if known else (), tell)
        return
    found = [execution async for execution in client.list_workflows(OURS)]
    skipped = sorted({run for run in map(_run, found) if run in skip})
    left = [each for each in found if _run(each) not in skipped and (due is None or _run(each) in due)]
    bad = [one async for one in _replayed(client, left, replayer, tell) if one.mismatch]
    if bad:
        raise _refusal(bad, known.version if known else None, skipped)
    _tell_skipped(skipped, tell)
    checked = Checked(code=code, version=headway.__version__, skipped=tuple(skipped))
    await asyncio.to_thread(record.write, checked)


async def _replayed(
    client: Client, executions: list[WorkflowExecution], replayer: Callable[[], Replayer], tell: Tell
) -> AsyncIterator[Replayed]:
    if not executions:
        return
    tell(f"the workflows' code has changed: replaying {_count(len(executions), 'open workflow')} first")
    count = 0
    async for one in replay_each(replayer(), fetch_histories(client, executions)):
        count += 1
        if count % TOLD_EVERY == 0:
            tell(f"replayed {count:,} of {len(executions):,}")
        yield one
    tell(f"replayed {count:,} of {len(executions):,}")


def _run(execution: WorkflowExecution) -> RunName:
    return run_of(AgentId(execution.id))


def _tell_skipped(runs: Iterable[RunName], tell: Tell) -> None:
    for run in runs:
        tell(f"{run} was not checked: its workflows that do not fit this code wait until the old version is back")


def _refusal(bad: list[Replayed], before: str | None, skipped: list[RunName]) -> UserError:
    first: dict[RunName, Replayed] = {}
    for one in bad:
        first.setdefault(run_of(AgentId(one.workflow)), one)
    lines = [f"  {run}: {one.workflow} at {one.mismatch}" for run, one in list(first.items())[:RUNS_NAMED]]
    if len(first) > RUNS_NAMED:
        lines.append(f"  and {len(first) - RUNS_NAMED} more: {', '.join(list(first)[RUNS_NAMED:])}")
    options = " ".join(f"--skip-run {run}" for run in [*skipped, *first])
    old = f"the version that ran them ({before})" if before else "the version that ran them"
    return UserError(
        f"This version of Headway ({headway.__version__}) does not repeat what {_count(len(bad), 'open workflow')} of "
        f"{_count(len(first), 'run')} did:\n" + "\n".join(lines),
        f"Nothing was touched. Either let them end under {old}, or start with `{options}`: those runs then stand "
        "still until the old version is back, and everything else goes on.",
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("s" if number != 1 else "")
