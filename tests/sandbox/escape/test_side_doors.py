"""Ways around the walls that need no hole in them: what the whole machine counts, and what only looks closed."""

import os
import stat
from pathlib import Path

import psutil
import pytest

from headway.sandbox.backends.bubblewrap import Bubblewrap, programs
from headway.sandbox.backends.host_binds import _homes, host_binds
from headway.sandbox.backends.seccomp import BOUND_TO_DEVICE
from headway.sandbox.local import LocalSandbox
from headway.sandbox.process.family import use_of
from headway.sandbox.runner import Command
from headway.sandbox.spec import INSIDE, SandboxSpec
from tests.sandbox.escape.conftest import KEY, Ground

OUT = "ESCAPED"
IS_ROOT = os.geteuid() == 0


def python(code: str) -> str:
    """A command line that runs a program."""
    (quote,) = {"'"} - set(code)
    return f"python3 -c {quote}{code}{quote} 2>/dev/null; :"


AIO = """
import ctypes
import platform
context, number = ctypes.c_ulong(0), {"x86_64": 206, "aarch64": 0}[platform.machine()]
if ctypes.CDLL(None).syscall(number, 1, ctypes.byref(context)) == 0:
    print("ESCAPED")
"""
LEASE = """
import fcntl, os
fcntl.fcntl(os.open("leased", os.O_RDONLY | os.O_CREAT), 1024, 0)
print("ESCAPED")
"""
OWN_LOOPBACK = """
import socket
with socket.create_server(("127.0.0.1", 0)) as service, socket.create_connection(service.getsockname()) as client:
    service.accept()[0].sendall(b"heard")
    print(client.recv(9).decode())
"""


@pytest.mark.parametrize("door", ["AIO", "LEASE"])
async def test_what_the_machine_has_once_is_refused(
    walled: LocalSandbox, plain: LocalSandbox, ground: Ground, door: str
) -> None:
    """Contexts of asynchronous I/O are few for the whole machine; a lease stops all others that open the file."""
    line = python(globals()[door])
    assert OUT not in (await ground.run(walled, line)).output
    assert OUT in (await ground.run(plain, line)).output


async def test_locks_of_the_package_manager_are_not_there_to_be_taken(walled: LocalSandbox, ground: Ground) -> None:
    line = "for lock in /var/lib/dpkg/lock*; do [ -s $lock -o ! -c $lock ] && [ -e $lock ] && echo ESCAPED; done; :"
    assert OUT not in (await ground.run(walled, line)).output


async def test_queued_signals_of_a_command_are_bounded(walled: LocalSandbox, ground: Ground) -> None:
    line = "awk '/Max pending signals/ { print $4, $5 }' /proc/self/limits"
    soft, hard = (await ground.run(walled, line)).output.split()
    assert int(soft) <= int(hard) <= 4096


@pytest.mark.parametrize(
    ("level", "option"), [(level, each) for level in BOUND_TO_DEVICE for each in BOUND_TO_DEVICE[level]]
)
async def test_no_socket_chooses_its_device(walled: LocalSandbox, ground: Ground, level: int, option: int) -> None:
    family = "AF_INET6" if level == 41 else "AF_INET"
    code = f"""
import errno, socket
try:
    socket.socket(socket.{family}, socket.SOCK_DGRAM).setsockopt({int(level)}, {option}, bytes(20))
except OSError as error:
    print(errno.errorcode[error.errno])
"""
    assert (await ground.run(walled, python(code))).output == "EPERM\n"


async def test_its_own_loopback_works_beside_a_closed_one_of_the_host(walled: LocalSandbox, ground: Ground) -> None:
    for network in (False, not walled.refuses_network):
        assert (await ground.run(walled, python(OWN_LOOPBACK), network=network)).output == "heard\n"


@pytest.mark.skipif(not IS_ROOT, reason="an ordinary user's helper has no capabilities of the host")
async def test_the_program_that_serves_the_network_is_held_too(walled: LocalSandbox, ground: Ground) -> None:
    """It reads packets that hostile commands write."""
    if walled.refuses_network:
        pytest.skip(walled.refuses_network)
    import asyncio

    (ground.mine / "serving").unlink(missing_ok=True)
    running = asyncio.create_task(ground.run(walled, "touch serving; sleep 600", network=True))
    while not (ground.mine / "serving").exists():  # noqa: ASYNC110  # no event comes out of a sandbox
        await asyncio.sleep(0.01)
    held = statuses_of("slirp4netns")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert held
    for status in held:
        words = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert words["Seccomp"] == "2"
        assert int(words["CapEff"], 16) & ~0x400 == 0  # it keeps CAP_NET_BIND_SERVICE


def statuses_of(name: str) -> list[str]:
    """What the kernel tells of our processes of a name."""
    found = [each for each in psutil.Process().children(recursive=True) if each.name() == name]
    return [Path(f"/proc/{each.pid}/status").read_text(encoding="ascii") for each in found]


@pytest.mark.parametrize("below", ["/tmp", str(INSIDE)])
async def test_no_folder_is_made_on_the_host_where_the_state_lies_below_a_folder_of_the_command(
    walled: LocalSandbox, ground: Ground, tmp_path: Path, below: str
) -> None:
    """Bubblewrap makes the folder on which it mounts, and follows a link that a command left there."""
    victim = tmp_path / "victim"
    victim.mkdir()
    name = f"hub-{os.getpid()}"
    objects = Path(below) / name / "objects"
    level = Bubblewrap(host_binds((ground.state,)), programs()[0])
    walls = SandboxSpec(agent="one/mine", workspace=ground.mine, readable=(objects,))
    inside = "$HOME/tmp" if below == "/tmp" else "$PWD"
    plant = f'rm -rf "{inside}/{name}"; ln -sfn "/oldroot{victim}" "{inside}/{name}"'
    await ground.run(walled, plant)
    made = not os.path.exists(below)  # noqa: ASYNC240, PTH110  # it is quick
    objects.mkdir(parents=True)
    try:
        (objects / "one").write_text("an object", encoding="ascii")
        result = await LocalSandbox(level).run(Command(f"cat {objects}/one", ground.mine, 30.0, walls))
    finally:
        (objects / "one").unlink()
        for place in (objects, objects.parent, *([Path(below)] if made else [])):
            place.rmdir()
    assert result.output == "an object"
    assert list(victim.iterdir()) == []


async def test_private_files_of_the_machine_stay_private(walled: LocalSandbox, tmp_path: Path) -> None:
    """As root a command could read them: files for root alone beside tools, and a home whose `bin` is on PATH."""
    tools, state = tmp_path / "tools", tmp_path / "state"
    workspace = state / "workspace"
    for place in (tools / "bin", tools / "etc/deep", workspace):
        place.mkdir(parents=True)
    for name, mode in (("bin/tool", 0o755), ("etc/token", 0o600), ("etc/deep/token", 0o640), ("etc/open", 0o644)):
        (tools / name).write_text(f"#!/bin/sh\necho {KEY}\n", encoding="ascii")
        (tools / name).chmod(mode)
    os.chmod(tmp_path, 0o755)  # noqa: PTH101  # it is quick
    path = f"{tools / 'bin'}:{os.environ['PATH']}"
    sandbox = LocalSandbox(Bubblewrap(host_binds((state,), {"PATH": path}, tmp_path / "home"), programs()[0]))
    walls = SandboxSpec(agent="a", workspace=workspace)
    line = f"tool; cat {tools}/etc/open {tools}/etc/token {tools}/etc/deep/token 2>/dev/null | grep -c {KEY}"
    assert (await sandbox.run(Command(line, workspace, 30.0, walls, {"PATH": path}))).output == f"{KEY}\n1\n"


def test_the_home_of_another_user_is_not_shown_for_the_tools_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = tmp_path / "alice"
    (alice / "bin").mkdir(parents=True)
    monkeypatch.setattr("headway.sandbox.backends.host_binds._homes", lambda _env, _home: [alice])
    seen = host_binds((tmp_path / "state",), {"PATH": str(alice / "bin")}, tmp_path / "bob")
    assert alice / "bin" in seen.shown
    assert alice not in seen.shown


def test_what_tools_keep_beside_their_programs_is_not_shown(tmp_path: Path) -> None:
    """Readable by all, and no program: an install root with its `.env`, a home that no list of users names."""
    keys = [tmp_path / "tools" / name for name in (".env", ".ssh", ".netrc")]
    (tmp_path / "tools" / "bin").mkdir(parents=True)
    for key in keys:
        key.write_text("KEY")
    seen = host_binds((tmp_path / "state",), {"PATH": str(tmp_path / "tools" / "bin")}, tmp_path / "bob")
    assert tmp_path / "tools" in seen.shown
    assert set(keys) <= set(seen.hidden)
    path = "/usr/bin:/home/nobody-lists-me/bin:/home/nobody-lists-me/.cargo/bin"
    assert Path("/home/nobody-lists-me") in _homes({"PATH": path}, tmp_path)


@pytest.mark.skipif(IS_ROOT, reason="root may enter every folder")
def test_a_folder_on_path_that_may_not_be_entered_is_left_out(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "bin").mkdir(parents=True)
    closed.chmod(0)
    try:
        assert closed / "bin" not in host_binds((), {"PATH": str(closed / "bin")}, tmp_path).shown
    finally:
        closed.chmod(stat.S_IRWXU)


MEMORY = {
    "shared memory": "open('/dev/shm/x', 'wb').write(bytes(150 << 20))",
    "run": "open('/run/x', 'wb').write(bytes(150 << 20))",
    "memfd": "import os; m = os.memfd_create('m'); os.write(m, bytes(150 << 20))",
    "memfd of two": "import os; m = os.memfd_create('m'); os.write(m, bytes(150 << 20)); os.fork()",
    "mapped memfd": "import mmap, os; m = os.memfd_create('m'); os.write(m, bytes(150 << 20)); "
    "k = mmap.mmap(m, 0); k.read()",
    "mapped file": "import mmap; f = open('/dev/shm/y', 'w+b'); f.truncate(150 << 20); "
    "k = mmap.mmap(f.fileno(), 0); k.write(bytes(150 << 20))",
    "mapped": "import mmap; m = mmap.mmap(-1, 150 << 20); m.write(bytes(150 << 20))",
}


@pytest.mark.parametrize("kind", sorted(MEMORY))
async def test_memory_that_is_shared_is_counted_once(walled: LocalSandbox, ground: Ground, kind: str) -> None:
    """Without control groups a watchdog counts; files in memory belong to no process."""
    import asyncio

    (ground.mine / "full").unlink(missing_ok=True)
    code = f"{MEMORY[kind]}; open('full', 'w'); import time; time.sleep(600)"
    running = asyncio.create_task(ground.run(walled, f'exec python3 -c "{code}"'))
    while not (ground.mine / "full").exists():  # noqa: ASYNC110  # no event comes out of a sandbox
        await asyncio.sleep(0.01)
    leaders = [each.pid for each in psutil.Process().children() if each.name() in {"bwrap", "sh"}]
    # Marks that stand in no environment: those of other processes would count too.
    used = sum(use.memory_kb for use in use_of({f"mark of {pid}": pid for pid in leaders}).values())
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert 150 * 1024 < used < 250 * 1024
