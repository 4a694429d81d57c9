"""Agents whose requests are recorded: workers and a planner of ours, against a server that keeps what they send."""

import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.agent_ground import INCARNATION, ROOT, Ground, Instant, asking
from benchmarks.prefix_server import PLANNER_TURNS, RecordingServer
from headway.agents.planner.planner import PlannerAgent
from headway.agents.tools.catalogue import PLANNER_TOOLS, WORKER_TOOLS
from headway.agents.worker.worker import WorkerAgent
from headway.domain.handoff import Handoff, HandoffNotice, HandoffReport, HandoffStatus
from headway.domain.ids import AgentId, ChildKey, child_id, root_planner_id
from headway.domain.messages import WorkOrder
from headway.domain.planner_turn import Final, PlanTurn
from headway.domain.refs import Ref
from headway.domain.state.budget import UNLIMITED, Amount
from headway.domain.task import TaskSpec
from headway.eventlog.events.life import HandedOff
from headway.git.workspace.workspaces import Workspaces
from headway.models.client import Model
from headway.models.endpoint import Api, Endpoint
from headway.models.roles import ModelRoles
from prompts.prompts import Prompts

GUIDANCE = "Every module begins with what it is for. Names are whole words. Tests stand beside what they test.\n"
FILES = {
    "AGENTS.md": "# How to work here\n\n" + "".join(f"{n}. {GUIDANCE}" for n in range(128)),
    "notes.txt": "".join(f"field {n} is as the part before it says\n" for n in range(160)),
}
"""The guidance has 13 KB, as in the repositories that were tried."""

OUTPUT = 2_600
"""Bytes that a worker's command answers."""
SUMMARY = "The part was compared with the one before it; two names differ, and both are used elsewhere. " * 6
WINDOW = 4_000_000
EVERYTHING = Amount(tokens=UNLIMITED, tasks=1)
TASK = TaskSpec(
    title="Compare a part",
    intent="Readers stumble where one part calls a thing differently from the one before. " * 6,
    context="The parts stand in notes.txt, one a line. " * 4,
    done_when="Each name is the same in both parts.",
)


class PrefixGround:
    """A run and its model's server. Close it at the end.

    Args:
        window: Tokens after three quarters of which a conversation is closed.
        maker: What the models' names begin with.
    """

    def __init__(
        self, folder: Path, api: Api = "chat", *, steps: int = 60, window: int = WINDOW, maker: str = ""
    ) -> None:
        self.server = RecordingServer()
        self.ground = Ground(folder, FILES)
        self._model = Model(Endpoint(base_url=self.server.url, api=api, window=window))
        names = {"planner": f"{maker}plan", "worker": f"{maker}steps-{steps}"}
        self._models = ModelRoles(self._model, {"planner": names["planner"], "worker": names["worker"]})
        self._places = Workspaces(self.ground.store.run_folder(self.ground.context.run) / "workspaces", self.ground.hub)

    async def work(self, number: int, granted: Amount = EVERYTHING) -> list[bytes]:
        """The requests of a worker on the root planner's task of that index, in their order."""
        order = self._order(number).model_copy(update={"granted": granted, "more": False})
        args = (self.ground.store, lambda _: self.ground.hub, lambda _: self._places, Instant("x" * OUTPUT))
        await WorkerAgent(*args, self._models, Prompts.load(), time.time, tools=WORKER_TOOLS).work(
            order, lambda _: None
        )
        return self.server.sent[order.me]

    def _order(self, number: int) -> WorkOrder:
        task = TASK.model_copy(update={"title": f"Compare part {number}"})
        key = ChildKey(f"1.{number}-{number:08x}")
        with self.ground.store.open(ROOT, role="planner") as log:
            event = log.append(asking(key, task))
        me = child_id(ROOT, key)
        ref = Ref(log=ROOT, seq=event.seq, item=0)
        return WorkOrder(context=self.ground.context, me=me, task=ref, title=task.title, granted=EVERYTHING)

    async def plan(self) -> list[bytes]:
        """The requests of a root planner over all its turns: it asks for ten tasks, and wakes for each handoff."""
        me = root_planner_id(self.ground.context.run, INCARNATION, 2)
        agent = PlannerAgent(
            self.ground.store, lambda _: self.ground.hub, self._models, Prompts.load(), time.time, tools=PLANNER_TOOLS
        )
        seq, waiting = -1, list[ChildKey]()
        for turn in range(1, PLANNER_TURNS + 1):
            inbox = (self._handed_off(me, waiting.pop(0)),) if waiting else ()
            final = Final() if turn == PLANNER_TURNS else None
            outcome = await agent.turn(self._turn(me, turn, seq, inbox, final), lambda _: None)
            waiting += [spawned.key for spawned in outcome.spawned]
            seq = outcome.seq
        return self.server.sent[me]

    def _turn(
        self, me: AgentId, turn: int, seq: int, inbox: tuple[HandoffNotice, ...], final: Final | None
    ) -> PlanTurn:
        given: dict[str, Any] = {"context": self.ground.context, "me": me, "scope": self.ground.context.spec}
        amounts = {"allowance": Amount(tokens=UNLIMITED), "balance": Amount(tokens=UNLIMITED, tasks=1_000 - 2 * turn)}
        more = {"depth": 1, "spawnable": 100, "may_delegate": True, "inbox": inbox, "final": final}
        return PlanTurn(key=f"k{turn}", turn=turn, from_seq=seq, **given, **amounts, **more)

    def _handed_off(self, planner: AgentId, key: ChildKey) -> HandoffNotice:
        child = child_id(planner, key)
        report = HandoffReport(status=HandoffStatus.DONE, summary=f"{key}: {SUMMARY}")
        handoff = Handoff(agent=child, title=f"Compare part {key}", report=report)
        with self.ground.store.open(child, role="worker", task=child) as log:
            event = log.append(HandedOff(handoff=handoff), sync=True)
        return HandoffNotice(child=key, status=HandoffStatus.DONE, seq=event.seq)

    async def close(self) -> None:
        """Close the connections and the server."""
        await self._model.close()
        self.server.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
