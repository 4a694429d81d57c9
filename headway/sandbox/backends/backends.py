"""Tries each sandbox level with a command that attempts to get out, and takes the strongest that holds."""

import itertools
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from headway.domain.diagnostic import Diagnostic, FindingState
from headway.domain.errors import TransientError, UserError
from headway.sandbox.backend import Backend
from headway.sandbox.backends import network, remedies, seccomp
from headway.sandbox.backends.bubblewrap import Bubblewrap, programs
from headway.sandbox.backends.host_binds import HostBinds, host_binds
from headway.sandbox.backends.plain import Plain
from headway.sandbox.local import LocalSandbox
from headway.sandbox.resources import Resources
from headway.sandbox.runner import Command
from headway.sandbox.spec import SandboxSpec
from headway.system.shortage import lacking

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
_CAN_WRITE = "can write outside of its workspace"
_TRIAL = """
echo x > inside || echo "cannot write in its workspace"
(echo x > "$OUTSIDE/written") 2>/dev/null && echo "can write outside of its workspace"
[ -e "$OUTSIDE/written" ] && echo "can write outside of its workspace"
grep -qs secret "$OUTSIDE/secret" && echo "can read the state folder"
[ -n "$HEADWAY_TRIAL_SECRET" ] && echo "sees the environment of this process"
(cat /proc/sys/vm/swappiness > was && cat was > /proc/sys/vm/swappiness) 2>/dev/null && echo "can set up the kernel"
for address in 127.0.0.1 10.0.2.2 $ADDRESSES; do
    (echo > "/dev/tcp/$address/$PORT") 2>/dev/null && echo "can reach the services of this machine"
done
[ -z "$REACH" ] || grep -qs "00000000" /proc/net/route || echo "has no way out"
[ -z "$REACH" ] || "$PYTHON" -I -S -c "$DOORS" || echo "cannot be probed with $PYTHON"
kill -0 "$OURSELVES" 2>/dev/null && echo "can signal other processes"
echo "stands"
"""

_DOORS = """
import os, socket, struct
name = next(name for _, name in socket.if_nameindex() if name != "lo")
index = struct.pack("i", socket.if_nametoindex(name))
values = {25: name.encode(), 2: bytes(16) + index, 50: index}
chosen = []
for level, options in %r.items():
    with socket.socket(socket.AF_INET6 if level == socket.IPPROTO_IPV6 else socket.AF_INET, socket.SOCK_DGRAM) as one:
        for option in options:
            value = bytes(16) + index if (level, option) == (socket.IPPROTO_IPV6, 50) else values.get(option, index)
            try:
                one.setsockopt(level, option, value)
                chosen.append((level, option))
            except OSError:
                pass
if chosen:
    print("can choose the device of a socket:", chosen)
told = [(socket.IPPROTO_IP, 8, index + bytes(8))]
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
    try:
        one.sendmsg([b"reached"], told, 0, ("127.0.0.1", int(os.environ["DATAGRAMS"])))
    except OSError:
        pass
""" % ({int(level): options for level, options in seccomp.BOUND_TO_DEVICE.items()},)  # noqa: UP031  # it holds braces
"""Tries the ways around routes: socket options that choose a device, and a datagram that names its device."""


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


class Undecided(Exception):
    """A trial has no result, because it ran out of time or the machine is short of something."""


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
            raise UserError(f"{VARIABLE}={pinned} cannot be had here: {lacking.why_not}.", lacking.remedy)
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
        lines = ["No sandbox that walls commands in can be had on this machine."]
        lines += [f"  {each.pin}: {each.why_not}. {each.remedy}".rstrip() for each in self.tried[:-1]]
        lines += ["Without one a command of a model is not kept from anything:"]
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
        for tries in itertools.count(1):
            try:
                return self._once(level, limit_s, reach=reach, slow_network=tries < _NETWORK_TRIES)
            except Undecided as why:
                told = f"sandbox: the trial of {level.name} found nothing out: {why}"
                if tries == self._tries:
                    raise TransientError(told) from why
                self._tell(f"{told}; it is tried again")
            time.sleep(min(_PAUSE_S, limit_s))
            limit_s = min(2 * limit_s, LONGEST_TRIAL_S)
        raise AssertionError("the count has no end")

    def _once(self, level: Backend, limit_s: float, *, reach: bool, slow_network: bool) -> str:
        """Run a command that tries to get out at a level. Returns the level's fault; empty when it holds.

        With `slow_network` a network that was not up in time is no result.

        Raises:
            Undecided: The trial has no result.
        """
        place = next((folder for folder in self._private if folder.is_dir()), None)
        with (
            tempfile.TemporaryDirectory(prefix=".trial-", dir=place) as made,
            socket.create_server(("", 0)) as service,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        ):
            datagrams.bind(("127.0.0.1", 0))
            datagrams.setblocking(False)
            python = Path(sys.executable).resolve()
            outside = Path(made).resolve()
            (outside / "secret").write_text("secret", encoding="ascii")
            workspace = outside / "workspace"
            home = workspace / "home"
            home.mkdir(parents=True)
            told = _told(outside, python, service.getsockname()[1], datagrams.getsockname()[1], reach=reach)
            readable = (Path(sys.base_prefix),) if reach and python.is_relative_to(sys.base_prefix) else ()
            walls = SandboxSpec(agent="trial", workspace=workspace, network=reach, readable=readable)
            launch = level.launch(Command(_TRIAL, workspace, limit_s, walls, told), home, "trial")
            try:
                done = subprocess.run(
                    launch.argv,
                    cwd=launch.cwd,
                    env=launch.env,
                    pass_fds=launch.fds,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    timeout=limit_s,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise Undecided(f"it ran out of its {limit_s:.0f} s") from None
            except OSError as error:
                if (short := lacking(error)) is not None:
                    raise Undecided(short) from error
                return str(error)
            finally:
                launch.started()
                launch.stands()
            said = done.stdout.decode("utf-8", "replace")
            if slow_network and "no network within" in said:
                raise Undecided(said.strip())
            with suppress(BlockingIOError):
                said = f"can send to the services of this machine: {datagrams.recv(16)!r}\n{said}"
            return _judged(said, outside, level)


def _told(outside: Path, python: Path, port: int, datagrams: int, *, reach: bool) -> dict[str, str]:
    """The environment of a trial."""
    return {
        "OUTSIDE": str(outside),
        "PORT": str(port),
        "REACH": "yes" if reach else "",
        "OURSELVES": str(os.getpid()),
        "PYTHON": str(python),
        "DOORS": _DOORS,
        "DATAGRAMS": str(datagrams),
        "ADDRESSES": " ".join(network.own_addresses()),
    }


def _judged(said: str, outside: Path, level: Backend) -> str:
    *lines, last = said.strip().splitlines() or [""]
    if last != "stands":
        return last or "the trial said nothing"
    if (outside / "written").exists():
        lines.append(_CAN_WRITE)
    accepted = {"can signal other processes"} if any("signals" in what for what in level.not_enforced) else set()
    return "; ".join(dict.fromkeys(line for line in lines if line not in accepted))
