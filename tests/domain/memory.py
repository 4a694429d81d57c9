"""The world of a workflow, in memory: the port of the interpreter without a server, one step at a time."""

from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from headway.domain.commands import Call, Cancelled, Launch, Observed, StartChild
from headway.domain.ids import AgentId
from workflows.reconcile import Reconciler

Decide = Callable[[Any, float], list[Any]]
Parsed = Callable[[Any], Any]


class Surroundings(Protocol):
    """What all workflows of a made-up run share."""

    now: float

    def chance(self, share: float) -> bool: ...

    def born(self, child: StartChild) -> bool: ...

    def send(self, source: AgentId, target: AgentId | None, message: Any) -> bool: ...

    def effect(self, me: AgentId, call: Call) -> Any: ...


class _Asleep:
    def __await__(self) -> Generator[None, None, None]:
        yield


class Continued(Exception):
    """A workflow continues as new with this argument."""


@dataclass
class MemoryWorld:
    """The effects of one workflow. Everything happens at once but for what is launched.

    Attributes:
        launched: The activity that is under way, and whom it tells; `stopping`: it was asked to cancel.
        awake, until: What the workflow waits for.
    """

    me: AgentId
    around: Surroundings
    launched: tuple[Launch, Callable[[Any], None]] | None = None
    stopping: bool = False
    awake: Callable[[], bool] = lambda: True
    until: float | None = None

    def now(self) -> float:
        return self.around.now

    def observed(self) -> Observed:
        return Observed(long=self.around.chance(0.05), settled=True)

    async def start(self, child: StartChild) -> bool:
        return self.around.born(child)

    async def signal(self, to: AgentId, message: Any) -> bool:
        return self.around.send(self.me, to, message)

    async def signal_above(self, message: Any) -> bool:
        return self.around.send(self.me, None, message)

    async def cancel(self, agent: AgentId) -> bool:
        return self.around.send(self.me, agent, Cancelled())

    async def call(self, call: Call) -> Any:
        return self.around.effect(self.me, call)

    def launch(self, call: Launch, done: Callable[[Any], None]) -> None:
        assert self.launched is None, "one activity at a time"
        self.launched, self.stopping = (call, done), False

    def abandon(self, *, awaited: bool) -> None:
        self.stopping = True
        if not awaited:
            self.launched = None

    def conclude(self, result: Any) -> None:
        """End the activity that is under way."""
        assert self.launched is not None
        _, done = self.launched
        self.launched = None
        done(result)

    def list_as(self, state: str) -> None:
        """Lists are for people."""

    async def together(self, lanes: Sequence[Awaitable[None]]) -> None:
        for lane in lanes:
            await lane

    async def wait(self, awake: Callable[[], bool], until: float | None) -> None:
        self.awake, self.until = awake, until
        while not self.is_due:
            await _Asleep()

    def continue_as_new(self, argument: Any) -> None:
        raise Continued(argument)

    @property
    def is_due(self) -> bool:
        """True if the workflow goes on."""
        return self.awake() or (self.until is not None and self.around.now >= self.until)


@dataclass
class Agent:
    """A workflow: its state, and the interpreter at work on it.

    Attributes:
        closed: It came to its end; `killed`: it was terminated, and told nobody.
    """

    me: AgentId
    state: Any
    decide: Decide
    parse: Parsed
    around: Surroundings
    closed: bool = False
    killed: bool = False
    world: MemoryWorld = field(init=False)
    loop: Reconciler[Any] = field(init=False)

    def __post_init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.world = MemoryWorld(self.me, self.around)
        self.loop = Reconciler(self.state, self._decided, self.world)
        self._life: Generator[Any, None, Any] | None = None

    def _decided(self, state: Any, now: float) -> list[Any]:
        if not self.around.chance(0.02):
            return self.decide(state, now)
        before = state.model_copy(deep=True)
        commands = self.decide(state, now)
        assert state == before, "a decision changes nothing"
        assert self.decide(state, now) == commands, "a decision is always the same"
        return commands

    @property
    def due(self) -> bool:
        """True if it has something to do now."""
        return not self.closed and self.world.is_due

    def step(self) -> None:
        """Let it go on until it waits."""
        self._life = self._life or self.loop.run().__await__()
        try:
            next(self._life)
        except StopIteration:
            self.closed = True
        except Continued as continued:
            self.state = self.parse(continued.args[0])
            self._begin()

    def kill(self) -> None:
        """Terminate it."""
        self.closed = self.killed = True
        self.world.launched = None

    def tell(self, event: Any) -> None:
        """An event comes in."""
        if not self.closed:
            self.loop.apply(event)
