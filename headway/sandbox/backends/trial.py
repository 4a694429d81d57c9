"""One trial of a sandbox level: a command that attempts to get out, and the judgement of its words."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from headway.sandbox.backend import Backend, Launch
from headway.sandbox.backends import network, seccomp
from headway.sandbox.runner import Command
from headway.sandbox.spec import SandboxSpec
from headway.system.shortage import lacking

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


class Undecided(Exception):
    """A trial has no result, because it ran out of time or the machine is short of something."""


@dataclass(frozen=True)
class _Services:
    """Services of this machine that a command must not reach: one that listens, and one that takes datagrams."""

    listener: socket.socket
    datagrams: socket.socket

    @classmethod
    @contextmanager
    def open(cls) -> Iterator["_Services"]:
        with socket.create_server(("", 0)) as listener, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            datagrams.bind(("127.0.0.1", 0))
            datagrams.setblocking(False)
            yield cls(listener, datagrams)


def try_out(level: Backend, place: Path | None, limit_s: float, *, reach: bool, slow_network: bool) -> str:
    """Run a command that tries to get out at a level. Returns the level's fault; empty when it holds.

    Args:
        level: The level.
        place: The folder in which the trial makes its own; None for the system's temporary one.
        limit_s: Seconds that it may take.
        reach: The command may reach the network.
        slow_network: A network that was not up in time is no result.

    Raises:
        Undecided: The trial has no result.
    """
    with tempfile.TemporaryDirectory(prefix=".trial-", dir=place) as made, _Services.open() as services:
        outside = Path(made).resolve()
        (outside / "secret").write_text("secret", encoding="ascii")
        home = outside / "workspace" / "home"
        home.mkdir(parents=True)
        launch = level.launch(_command(outside, services, limit_s, reach=reach), home, "trial")
        try:
            said = _output_of(launch, limit_s)
        except OSError as error:
            if (short := lacking(error)) is not None:
                raise Undecided(short) from error
            return str(error)
        if slow_network and "no network within" in said:
            raise Undecided(said.strip())
        with suppress(BlockingIOError):
            said = f"can send to the services of this machine: {services.datagrams.recv(16)!r}\n{said}"
        return _judged(said, outside, level)


def _command(outside: Path, services: _Services, limit_s: float, *, reach: bool) -> Command:
    python, workspace = Path(sys.executable).resolve(), outside / "workspace"
    told = {
        "OUTSIDE": str(outside),
        "PORT": str(services.listener.getsockname()[1]),
        "REACH": "yes" if reach else "",
        "OURSELVES": str(os.getpid()),
        "PYTHON": str(python),
        "DOORS": _DOORS,
        "DATAGRAMS": str(services.datagrams.getsockname()[1]),
        "ADDRESSES": " ".join(network.own_addresses()),
    }
    readable = (Path(sys.base_prefix),) if reach and python.is_relative_to(sys.base_prefix) else ()
    walls = SandboxSpec(agent="trial", workspace=workspace, network=reach, readable=readable)
    return Command(_TRIAL, workspace, limit_s, walls, told)


def _output_of(launch: Launch, limit_s: float) -> str:
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
    finally:
        launch.started()
        launch.stands()
    return done.stdout.decode("utf-8", "replace")


def _judged(said: str, outside: Path, level: Backend) -> str:
    *lines, last = said.strip().splitlines() or [""]
    if last != "stands":
        return last or "the trial said nothing"
    if (outside / "written").exists():
        lines.append(_CAN_WRITE)
    accepted = {"can signal other processes"} if any("signals" in what for what in level.not_enforced) else set()
    return "; ".join(dict.fromkeys(line for line in lines if line not in accepted))
