"""The interpreter of commands: it decides, performs, and waits, for every type of workflow.

It holds no rule. Rules stand in `headway.domain.state`; effects go through the port `World`, which workflows implement
with Temporal and tests in memory.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar, assert_never

from headway.domain.commands import (
    Abandon,
    Call,
    CancelChild,
    Command,
    ContinueAsNew,
    End,
    Launch,
    ListAs,
    Observed,
    Record,
    Signal,
    SignalAbove,
    Sleep,
    StartChild,
)
from headway.domain.ids import AgentId

Result = Any
"""The result of a command: see each of them."""


class State(Protocol):
    """All that a workflow knows."""

    def apply(self, event: Any, now: float) -> bool:
        """Book an event. True if it may change what is decided."""
        ...

    def begin(self, command: Command, now: float) -> None:
        """Book a command that is performed now."""
        ...

    def finish(self, command: Command, result: Result, now: float) -> None:
        """Book the result of a command."""
        ...


S = TypeVar("S", bound=State)


class World(Protocol):
    """The effects that a workflow can have."""

    def now(self) -> float:
        """Seconds since the epoch, the same in a replay."""
        ...

    def observed(self) -> Observed:
        """Facts about the history itself."""
        ...

    async def start(self, child: StartChild) -> bool: ...

    async def signal(self, to: AgentId, message: Any) -> bool: ...

    async def signal_above(self, message: Any) -> bool: ...

    async def cancel(self, agent: AgentId) -> bool: ...

    async def call(self, call: Call) -> Result: ...

    def launch(self, call: Launch, done: Callable[[Result], None]) -> None:
        """Begin an activity; `done` is called with its result."""
        ...

    def abandon(self, *, awaited: bool) -> None: ...

    def list_as(self, state: str) -> None: ...

    async def together(self, lanes: Sequence[Awaitable[None]]) -> None:
        """Finish all of them, in any order."""
        ...

    async def wait(self, awake: Callable[[], bool], until: float | None) -> None:
        """Return when `awake` says so, or at `until`."""
        ...

    def continue_as_new(self, argument: object) -> None: ...


class Reconciler(Generic[S]):
    """One workflow's loop around its state.

    Args:
        decide: The rules: the commands that are due. They change nothing before they are begun.
    """

    def __init__(self, state: S, decide: Callable[[S, float], list[Command]], world: World) -> None:
        self.state = state
        self.decide = decide
        self.world = world
        self._dirty = True

    def apply(self, event: Any) -> None:
        """Book an event that came in, for the next decision."""
        self._dirty = self.state.apply(event, self.world.now()) or self._dirty

    async def run(self) -> Result:
        """Decide and perform until the end. Returns the workflow's result."""
        while True:
            self._dirty = False
            self.state.apply(self.world.observed(), self.world.now())
            commands = self.decide(self.state, self.world.now())
            for command in commands:
                self.state.begin(command, self.world.now())
            await self.world.together([self._perform_all(lane) for lane in _lanes(commands)])
            match commands[-1:]:
                case [Sleep(until=until)] if not self._dirty:
                    await self.world.wait(lambda: self._dirty, until)
                case [ContinueAsNew(argument=argument)] if not self._dirty:
                    self.world.continue_as_new(argument)
                case [End(result=result)]:
                    return result
                case _:
                    pass

    async def _perform_all(self, lane: Sequence[Command]) -> None:
        for command in lane:
            await self._perform(command)

    async def _perform(self, command: Command) -> None:
        world, result = self.world, None
        match command:
            case StartChild():
                result = await world.start(command)
            case Signal(to=to, message=message):
                result = await world.signal(to, message)
            case SignalAbove(message=message):
                result = await world.signal_above(message)
            case CancelChild(child=child):
                result = await world.cancel(child)
            case Call():
                result = await world.call(command)
            case Launch():
                return world.launch(command, lambda result: self._finish(command, result))
            case Abandon(awaited=awaited):
                world.abandon(awaited=awaited)
            case ListAs(state=state):
                world.list_as(state)
            case Record() | Sleep() | ContinueAsNew() | End():
                return None
            case _:
                assert_never(command)
        return self._finish(command, result)

    def _finish(self, command: Command, result: Result) -> None:
        self.state.finish(command, result, self.world.now())
        self._dirty = True


def _lanes(commands: Sequence[Command]) -> list[list[Command]]:
    """Commands that go to the same place keep their order; the rest may be under way at once."""
    lanes: dict[object, list[Command]] = {}
    for number, command in enumerate(commands):
        match command:
            case StartChild(me=place) | Signal(to=place) | CancelChild(child=place):
                lanes.setdefault(place, []).append(command)
            case SignalAbove():
                lanes.setdefault("above", []).append(command)
            case _:
                lanes.setdefault(number, []).append(command)
    return list(lanes.values())
