"""The sandbox levels of this machine, each tried, and the strongest one that holds."""

import itertools
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from headway.domain.diagnostic import Diagnostic, FindingState
from headway.domain.errors import TransientError, UserError
from headway.sandbox.backend import Backend
from headway.sandbox.backends import network, remedies
from headway.sandbox.backends.bubblewrap import Bubblewrap, programs
from headway.sandbox.backends.host_binds import HostBinds, host_binds
from headway.sandbox.backends.plain import Plain
from headway.sandbox.backends.trial import Undecided, try_out
from headway.sandbox.local import LocalSandbox
from headway.sandbox.resources import Resources

VARIABLE = "HEADWAY_SANDBOX"
FLAG = "--allow-weak-sandbox"
TOPIC = "sandbox"
PINS = ("bubblewrap+cgroup", "bubblewrap+limits", "plain")
"""The levels by name, the strongest first."""

TRIAL_S = 20.0
LONGEST_TRIAL_S = 320.0
"""Longest time for a try. Each try gets twice the time of the one before, up to this."""

_PAUSE_S = 5.0
_NETWORK_TRIES = 3


@dataclass(frozen=True)
class Tried:
    """Result of the trial of a level.

    Attributes:
        pin: The level's name.
        level: The level; None where it cannot be used here.
        why_not: Reason why it cannot be used here; empty when it can.
        remedy: The user's way to make it usable.
    """

    pin: str
    level: Backend | None
    why_not: str = ""
    remedy: str = ""


class Backends:
    """The levels of this machine, each tried once. On a busy machine the trials take longer, and their result stays.

    Args:
        private: Folders that commands never see: the state folder.
        resources: Limits of commands; with control groups, if this process may make any.
        trial_s: Time for the first try of a trial.
        tries: Tries without a result after which a trial is given up; None for no limit.
        tell: Called with the reason when a trial is tried again.

    Raises:
        TransientError: A trial had no result in `tries` tries.
    """

    def __init__(
        self,
        private: Sequence[Path],
        resources: Resources,
        *,
        trial_s: float = TRIAL_S,
        tries: int | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._trial_s = trial_s
        self._tries = tries
        self._tell = tell
        self._private = tuple(private)
        self._resources = resources
        seen = host_binds(private) if sys.platform == "linux" else HostBinds((), ())
        bubblewrap = self._bubblewrap(seen)
        self.tried = (
            self._with_groups(bubblewrap),
            Tried(PINS[1], bubblewrap.level, bubblewrap.why_not, bubblewrap.remedy),
            Tried(PINS[2], Plain()),
        )

    def choose(self, *, allow_weak: bool, pinned: str = "") -> LocalSandbox:
        """The strongest usable level, or the pinned one.

        Raises:
            UserError: Only the weakest is usable and the caller did not allow it, or the pinned one is not usable.
        """
        if pinned and pinned not in PINS:
            raise UserError(f"{VARIABLE}: '{pinned}' is not a sandbox level.", f"It may be one of {', '.join(PINS)}.")
        able = [each for each in self.tried if each.level is not None and pinned in {"", each.pin}]
        if not able:
            lacking = next(each for each in self.tried if each.pin == pinned)
            raise UserError(f"{VARIABLE}={pinned} does not work here: {lacking.why_not}.", lacking.remedy)
        taken = able[0]
        assert taken.level is not None
        if isinstance(taken.level, Plain) and not allow_weak:
            raise UserError(self._too_weak(taken.level), f"Or accept that with {FLAG}.")
        return self._sandbox(taken)

    def findings(self) -> tuple[Diagnostic, ...]:
        """Findings of `headway doctor`: the level, the obstacle to the next stronger one, and the missing bounds."""
        at = next(place for place, each in enumerate(self.tried) if each.level is not None)
        taken = self.tried[at]
        assert taken.level is not None
        found = [Diagnostic(topic=TOPIC, state="good", says=f"level {taken.pin}")]
        if at:
            above = self.tried[at - 1]
            says = f"level {taken.pin}; not {above.pin}: {above.why_not}"
            state: FindingState = "broken" if isinstance(taken.level, Plain) else "lacking"
            found = [Diagnostic(topic=TOPIC, state=state, says=says, remedy=above.remedy)]
        for what in self._sandbox(taken).not_enforced:
            found.append(Diagnostic(topic=TOPIC, state="lacking", says=f"not enforced: {what}"))
        if taken.level.refuses_network:
            says = f"no command gets a network: {taken.level.refuses_network}"
            remedy = remedies.network(installed=network.helper() is not None)
            found.append(Diagnostic(topic="network", state="lacking", says=says, remedy=remedy))
        return tuple(found)

    def _sandbox(self, taken: Tried) -> LocalSandbox:
        assert taken.level is not None
        held = self._resources
        if taken.pin == PINS[1]:
            held = Resources(None, held.gates, held.quota, held.reserve)
        return LocalSandbox(taken.level, held, taken.pin)

    def _too_weak(self, plain: Plain) -> str:
        lines = ["No sandbox works on this machine."]
        lines += [f"  {each.pin}: {each.why_not}. {each.remedy}".rstrip() for each in self.tried[:-1]]
        lines += ["Without a sandbox nothing restricts a command of a model:"]
        return "\n".join([*lines, *(f"  {what}" for what in plain.not_enforced)])

    def _bubblewrap(self, seen: HostBinds) -> Tried:
        """The trial of bubblewrap with the first of its programs that holds: the system's, then the one from PyPI."""
        if (why := remedies.bubblewrap_missing()) is not None:
            return Tried(PINS[1], None, *why)
        first = ""
        for program in programs():
            said = self._try(Bubblewrap(seen, program))
            if not said:
                return Tried(PINS[1], self._with_network(seen, program))
            first = first or said
        return Tried(PINS[1], None, *remedies.bubblewrap_fails(first))

    def _with_network(self, seen: HostBinds, program: Path) -> Bubblewrap:
        """Bubblewrap, with a network by slirp4netns if that keeps a command from this machine."""
        why = f"{network.HELPER} is not installed"
        if (helper := network.helper()) is not None:
            level = Bubblewrap(seen, program, helper)
            if not (said := self._try(level, reach=True)):
                return level
            why = f"{helper}: a trial failed: {said}"
        return Bubblewrap(seen, program, refuses_network=why)

    def _with_groups(self, bubblewrap: Tried) -> Tried:
        if bubblewrap.level is None:
            return Tried(PINS[0], None, bubblewrap.why_not, bubblewrap.remedy)
        if self._resources.cages is None:
            return Tried(PINS[0], None, "this user may make no control groups", remedies.CGROUP)
        return Tried(PINS[0], bubblewrap.level)

    def _try(self, level: Backend, *, reach: bool = False) -> str:
        """The fault of a level; empty when it holds. A trial without a result is repeated."""
        limit_s = self._trial_s
        place = next((folder for folder in self._private if folder.is_dir()), None)
        for tries in itertools.count(1):
            try:
                return try_out(level, place, limit_s, reach=reach, slow_network=tries < _NETWORK_TRIES)
            except Undecided as why:
                told = f"sandbox: the trial of {level.name} found nothing out: {why}"
                if tries == self._tries:
                    raise TransientError(told) from why
                self._tell(f"{told}; it is tried again")
            time.sleep(min(_PAUSE_S, limit_s))
            limit_s = min(2 * limit_s, LONGEST_TRIAL_S)
        raise AssertionError("the count has no end")
