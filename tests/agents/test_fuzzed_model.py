"""Agents at a model server that answers at random; for ten minutes in the long form."""

import resource
import time
from collections import Counter
from pathlib import Path

import orjson
import pytest

from headway.domain.errors import TransientError
from headway.domain.messages import WorkerDone, WorkOrder
from headway.models.failures import UNUSABLE_AT_MOST, Refused, Unusable
from tests.agents.stage import Stage
from tests.models.fuzzing import FuzzingServer

SETTINGS = [("chat", False), ("chat", True), ("responses", False), ("responses", True)]
SHORT_S = 1.5
LONG_S = 150.0
LEAST = 8
"""Tasks and turns, however slow the machine is."""
GROWTH_MB = 300
"""What a reply of 32 MB, which is taken as text, holds at most on its way."""


async def fuzz(folder: Path, seed: int, api: str, *, streams: bool, seconds: float) -> tuple[int, Counter[str]]:
    """Tasks that were handed off, and the answers that they met."""
    server = FuzzingServer(seed, api=api, streams=streams)
    stage = Stage(folder, api=api, endpoint={"streams": streams, "stall_s": 5, "timeout_s": 20})  # type: ignore[arg-type]
    met: Counter[str] = Counter()
    ends, done = time.monotonic() + seconds, 0
    try:
        stage.listen_to(server.url)
        while time.monotonic() < ends or done < LEAST:
            server.begin()
            if done % 4 == 3:
                await planned(stage, server, f"turn-{done}", met)
            else:
                await handed_off(stage, server, stage.task("Look", done), met)
            done += 1
    finally:
        await stage.close()
        server.close()
    return done, met


async def handed_off(stage: Stage, server: FuzzingServer, order: WorkOrder, met: Counter[str]) -> None:
    """Work until the handoff, as the engine does: a failure that may pass is followed by the next try."""
    causes = Causes(server, met)
    while True:
        try:
            outcome = await stage.work(order)
        except TransientError as error:
            causes.take(error)
            continue
        assert isinstance(outcome, WorkerDone), outcome
        orjson.dumps(outcome.model_dump(mode="json"))
        orjson.dumps(stage.handoff(outcome.ref).model_dump(mode="json"))
        return


async def planned(stage: Stage, server: FuzzingServer, key: str, met: Counter[str]) -> None:
    """Take a planner's turn until its outcome."""
    causes = Causes(server, met)
    while True:
        try:
            outcome = await stage.turn(key)
        except TransientError as error:
            causes.take(error)
            continue
        orjson.dumps(outcome.model_dump(mode="json"))
        return


class Causes:
    """Why tries failed. Each has asked the server anew, and what waiting does not mend comes a few times in a row."""

    def __init__(self, server: FuzzingServer, met: Counter[str]) -> None:
        self._server = server
        self._met = met
        self._answered = server.answered
        self._unusable = 0

    def take(self, error: TransientError) -> None:
        self._met[f"{type(error).__name__}: {self._server.kind}"] += 1
        assert self._server.answered > self._answered, f"failed again without asking: {self._server.kind}: {error}"
        # A reply that can be used may have come between two.
        alone = self._server.answered == self._answered + 1
        self._unusable = (self._unusable if alone else 0) + isinstance(error, Unusable)
        assert self._unusable < UNUSABLE_AT_MOST, error
        assert isinstance(error, Unusable | Refused) or type(error) is TransientError
        assert len(str(error)) < 2000
        self._answered = self._server.answered


@pytest.mark.parametrize(("api", "streams"), SETTINGS)
async def test_every_task_ends_in_a_handoff_for_some_seconds(tmp_path: Path, api: str, streams: bool) -> None:
    done, _ = await fuzz(tmp_path, 7, api, streams=streams, seconds=SHORT_S)
    assert done


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("api", "streams"), SETTINGS)
async def test_every_task_ends_in_a_handoff_for_ten_minutes(tmp_path: Path, api: str, streams: bool) -> None:
    seed = int(time.time())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done, met = await fuzz(tmp_path, seed, api, streams=streams, seconds=LONG_S)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    print(f"seed {seed}: {done} tasks and turns; memory grew by {grown} MB; {sum(met.values())} failures that may pass")
    for kind, count in met.most_common():
        print(f"    {count:6} {kind}")
    assert done
    assert grown < GROWTH_MB
