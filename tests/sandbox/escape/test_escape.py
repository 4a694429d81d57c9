"""Ways out of a sandbox, each closed at every level that walls in; and open without walls, so that the probe is one."""

import asyncio
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from headway.domain.ids import AgentId
from headway.git.changes import Changes
from headway.sandbox.backend import Launch
from headway.sandbox.backends.backends import Backends
from headway.sandbox.backends.bubblewrap import Bubblewrap, programs
from headway.sandbox.backends.host_binds import host_binds
from headway.sandbox.local import LocalSandbox
from headway.sandbox.runner import Command
from headway.sandbox.spec import INSIDE, SandboxSpec
from tests.agents.stage import ROOT, Stage
from tests.sandbox.escape.conftest import KEY, Ground, at

OUT = "ESCAPED"
IS_ROOT = os.geteuid() == 0
SETTING = "/proc/sys/vm/swappiness"
DOORS = "$(find /sys/fs/cgroup -name cgroup.procs 2>/dev/null | head -2)"

_CONNECT = """python3 -c '
import os, socket, sys
socket.socket(socket.AF_UNIX).connect({address}); print("ESCAPED")' 2>/dev/null"""
_TRACE = """python3 -c '
import ctypes, os
libc = ctypes.CDLL(None)
if libc.ptrace(16, int(os.environ["VICTIM"]), 0, 0) == 0:
    print("ESCAPED")
    os.waitpid(int(os.environ["VICTIM"]), 0x40000000)
    libc.ptrace(17, int(os.environ["VICTIM"]), 0, 0)
'"""

READS = {
    "the key in a worker process": f'grep -aqs {KEY} "/proc/$VICTIM/environ" && echo ESCAPED',
    "the database": f'grep -qs {KEY} "$STATE/database" && echo ESCAPED',
    "the list of the state folder": 'ls "$STATE" 2>/dev/null | grep -q database && echo ESCAPED',
    "another workspace": f'grep -qs {KEY} "$OTHER/notes" && echo ESCAPED',
    "another workspace, by dots": f"grep -qs {KEY} ../../other/files/notes && echo ESCAPED",
    "another workspace, by a link": f'ln -sfn "$OTHER" link; grep -qs {KEY} link/notes && echo ESCAPED',
    "another workspace, by its processes": f'grep -qs {KEY} /proc/[0-9]*/root"$OTHER/notes" && echo ESCAPED',
    "the hub's refs": f'grep -qs {KEY} "$HUB/refs/heads/main" && echo ESCAPED',
}
WRITES = {
    "another workspace": '(echo x > "$OTHER/planted") 2>/dev/null && echo ESCAPED',
    "the hub's refs": '(echo x > "$HUB/refs/heads/planted") 2>/dev/null && echo ESCAPED',
    "the hub's hooks": '(echo x > "$HUB/hooks/update") 2>/dev/null && echo ESCAPED',
    "the hub's objects": '(echo x > "$HUB/objects/planted") 2>/dev/null && echo ESCAPED',
    "outside, by dots": "(echo x > ../../../../../../outside/planted) 2>/dev/null && echo ESCAPED",
    "outside, by a link": 'ln -sfn "$OUTSIDE/linked" out; (echo x > out) 2>/dev/null && echo ESCAPED',
    "outside, by a hard link": 'ln "$OTHER/notes" hard 2>/dev/null && (echo x >> hard) 2>/dev/null && echo ESCAPED',
    "outside, by moving": 'echo x > moved; mv moved "$OUTSIDE/moved" 2>/dev/null && echo ESCAPED',
    "emptying": "python3 -c \"import os; os.truncate(os.environ['OTHER'] + '/notes', 9)\" 2>/dev/null && echo ESCAPED",
}
PROCESSES = {
    "signals": 'kill -0 "$VICTIM" 2>/dev/null && echo ESCAPED',
    "signals to all of a name": 'pkill -KILL -f "$MARKER" && echo ESCAPED',
    "tracing": _TRACE,
}
NETWORK = {
    "loopback": '(echo > "/dev/tcp/127.0.0.1/$PORT") 2>/dev/null && echo ESCAPED',
    "its own address": '(echo > "/dev/tcp/$ADDRESS/$PORT") 2>/dev/null && echo ESCAPED',
    "a socket by path": _CONNECT.format(address='os.environ["SOCKET"]'),
    "an abstract socket": _CONNECT.format(address='chr(0) + os.environ["ABSTRACT"]'),
}
RIGHTS = {
    "new privileges": 'grep -q "NoNewPrivs:.*0$" /proc/self/status && echo ESCAPED',
    "namespaces": "unshare --user --map-root-user true 2>/dev/null && echo ESCAPED",
}
RIGHTS_OF_ROOT = {
    "capabilities": 'grep -q "CapEff:.*[1-9a-f]" /proc/self/status && echo ESCAPED',
    "settings of the kernel": f"cat {SETTING} > s; (cat s > {SETTING}) 2>/dev/null && echo ESCAPED",
    "devices": "rm -f node; mknod node b 254 0 2>/dev/null && rm node && echo ESCAPED",
    "network namespaces": "unshare --net true 2>/dev/null && echo ESCAPED",
    "mount namespaces": "unshare --mount mount -t tmpfs none /mnt 2>/dev/null && echo ESCAPED",
    "control groups": f'for f in {DOORS}; do (echo 0 > "$f") 2>/dev/null && echo ESCAPED; done',
    "hashes of passwords": "[ -s /etc/shadow ] && head -c 1 /etc/shadow | grep -q . && echo ESCAPED",
}
EVERY = {
    **{f"read {name}": line for name, line in READS.items()},
    **{f"write {name}": line for name, line in WRITES.items()},
    **PROCESSES,
    **{f"reach {name}": line for name, line in NETWORK.items()},
    **RIGHTS,
    **(RIGHTS_OF_ROOT if IS_ROOT else {}),
}


def own_address() -> str:
    """An address of this machine that is not loopback; loopback where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            any_socket.connect(("203.0.113.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(any_socket.getsockname()[0])


@pytest.fixture(autouse=True)
def told(ground: Ground, victim: "subprocess.Popen[bytes]") -> None:
    ground.told["ADDRESS"] = own_address()


@pytest.mark.parametrize("probe", sorted(EVERY))
async def test_no_way_out(walled: LocalSandbox, ground: Ground, victim: "subprocess.Popen[bytes]", probe: str) -> None:
    if "signals" in probe and any(what.startswith("signals") for what in walled.not_enforced):
        pytest.skip(f"level {walled.level} on this kernel: signals are not held back")
    result = await ground.run(walled, EVERY[probe])
    assert OUT not in result.output
    assert victim.poll() is None
    assert (ground.other / "notes").read_text() == f"{KEY}\n"
    assert sorted(path.name for path in (ground.folder / "outside").iterdir()) == ["socket"]


@pytest.mark.parametrize("probe", sorted(EVERY))
async def test_without_walls_it_is_one(plain: LocalSandbox, tmp_path: Path, ground: Ground, probe: str) -> None:
    """On grounds of its own, since it does harm."""
    if probe == "tracing" and not IS_ROOT:
        pytest.skip("the kernel may keep users from tracing what is not their child")
    if probe == "namespaces" and not IS_ROOT and not may_make_namespaces():
        pytest.skip("the kernel keeps users from making namespaces")
    harmed = Ground(tmp_path / "harmed")
    harmed.told |= {name: ground.told[name] for name in ("PORT", "SOCKET", "ABSTRACT", "VICTIM", "MARKER", "ADDRESS")}
    result = await harmed.run(plain, EVERY[probe])
    assert OUT in result.output, result.output


def may_make_namespaces() -> bool:
    return subprocess.run(["unshare", "--user", "true"], capture_output=True, check=False).returncode == 0


async def test_a_command_has_what_it_needs(walled: LocalSandbox, ground: Ground) -> None:
    scratch = 'echo t > "$TMPDIR/t"; cat "$TMPDIR/t"; echo h > ~/h; cat ~/h'
    line = f'cat "$HUB/objects/one"; echo made > made && cat made; {scratch}'
    result = await ground.run(walled, line)
    assert result.output == "an object\nmade\nt\nh\n"
    assert (ground.mine / "made").read_text() == "made\n"


async def test_a_workspace_is_at_the_same_place_for_every_agent(levels: Backends, ground: Ground) -> None:
    for pin in ("bubblewrap+cgroup", "bubblewrap+limits"):
        sandbox = at(levels, pin)
        assert (await ground.run(sandbox, "pwd")).output == f"{INSIDE}\n"
        assert (await ground.run(sandbox, "pwd", workspace=ground.mine)).output == f"{INSIDE}\n"


async def test_no_secret_is_in_any_environment(
    walled: LocalSandbox, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    line = (
        f"env | grep -q {KEY} && echo ESCAPED; cat /proc/[0-9]*/environ 2>/dev/null | grep -aq {KEY} && echo ESCAPED; :"
    )
    result = await ground.run(walled, line)
    assert (result.exit_code, result.output) == (0, "")


async def test_the_environment_of_the_first_process_would_tell_it(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why ours is never handed on: `--clearenv` clears that of the command, and not that of its sandbox."""
    launch = bubblewrap(ground, f"tr '\\0' '\\n' < /proc/1/environ | grep -q {KEY} && echo ESCAPED")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    cleared = [
        *launch.argv[: launch.argv.index(str(programs()[0])) + 1],
        "--clearenv",
        *launch.argv[launch.argv.index(str(programs()[0])) + 1 :],
    ]
    assert OUT not in said(launch, launch.argv, dict(launch.env))
    launch = bubblewrap(ground, launch.argv[-1])
    assert OUT in said(launch, with_fds(cleared, launch), dict(os.environ) | dict(launch.env))


@pytest.mark.skipif(not IS_ROOT, reason="only root has capabilities to keep")
async def test_roots_capabilities_would_remount_the_system(ground: Ground) -> None:
    """Why they are dropped, and why mounting is filtered as well."""
    line = "mount -o remount,rw /etc 2>/dev/null && echo ESCAPED"
    launch = bubblewrap(ground, line)
    assert OUT not in said(launch, launch.argv, dict(launch.env))
    launch = bubblewrap(ground, line)
    argv = list(launch.argv)
    for option in ("--cap-drop", "--seccomp"):
        place = argv.index(option)
        del argv[place : place + 2]
    assert OUT in said(launch, argv, dict(launch.env))


def bubblewrap(ground: Ground, line: str) -> Launch:
    """As the level starts a command."""
    if not programs():
        pytest.skip("bubblewrap is not installed")
    level = Bubblewrap(host_binds((ground.state,)), programs()[0])
    home = ground.mine / "home"
    home.mkdir(exist_ok=True)
    return level.launch(ground.command(line), home, "probe")


def with_fds(argv: list[str], launch: Launch) -> list[str]:
    """The same options with this launch's descriptors."""
    argv = list(argv)
    for option in ("--json-status-fd", "--seccomp"):
        argv[argv.index(option) + 1] = launch.argv[launch.argv.index(option) + 1]
    return argv


def said(launch: Launch, argv: list[str], env: dict[str, str]) -> str:
    """What it says."""
    try:
        done = subprocess.run(argv, env=env, cwd=launch.cwd, pass_fds=launch.fds, capture_output=True, check=False)
    finally:
        launch.started()
        launch.stands()
    return done.stdout.decode()


async def test_nothing_outlives_a_command(walled: LocalSandbox, ground: Ground) -> None:
    daemon = "(setsid env -i sh -c 'exec -a headway-daemon sleep 600' </dev/null >/dev/null 2>&1 &)"
    line = f"{daemon}; setsid sleep 601 & echo started"
    result = await ground.run(walled, line)
    assert result.output == "started\n"
    assert running("headway-daemon") == running("sleep 601") == []


def running(what: str) -> list[str]:
    found = subprocess.run(["pgrep", "-fx", f"(.* )?{what}( .*)?"], capture_output=True, text=True, check=False)
    return found.stdout.split()


@pytest.fixture
def memory() -> Iterator[str]:
    """A piece of memory that another process of this user shares."""
    made = subprocess.run(["ipcmk", "-M", "4096"], capture_output=True, text=True, check=True).stdout.split()[-1]
    yield made
    subprocess.run(["ipcrm", "-m", made], check=True)


JOIN = "python3 -c 'import ctypes; print(ctypes.CDLL(None).shmat({}, None, 0o10000))'"


async def test_memory_that_others_share_cannot_be_joined(
    walled: LocalSandbox, plain: LocalSandbox, ground: Ground, memory: str
) -> None:
    assert (await ground.run(walled, JOIN.format(memory))).output == "-1\n"
    assert (await ground.run(plain, JOIN.format(memory))).output != "-1\n"


async def test_what_a_command_leaves_for_the_next_is_not_followed(walled: LocalSandbox, ground: Ground) -> None:
    """Its private /tmp is a folder in its workspace, which it may replace."""
    await ground.run(walled, 'rm -rf "$HOME/tmp"; ln -s "$OTHER" "$HOME/tmp"')
    result = await ground.run(walled, 'cat "$TMPDIR/notes"; echo x > "$TMPDIR/planted"')
    assert KEY not in result.output
    assert sorted(path.name for path in ground.other.iterdir()) == ["notes"]


async def test_the_command_of_another_agent_is_out_of_reach(walled: LocalSandbox, ground: Ground) -> None:
    if any(what.startswith("signals") for what in walled.not_enforced):
        pytest.skip(f"level {walled.level} on this kernel: signals are not held back")
    line = "mkfifo go; exec -a headway-other-agent sleep 600"
    other = asyncio.create_task(ground.run(walled, line, agent="one/other", workspace=ground.other, cwd=ground.other))
    while not (ground.other / "go").exists():  # noqa: ASYNC110  # no event comes out of a sandbox
        await asyncio.sleep(0.01)
    await ground.run(walled, "pkill -KILL -f 'headway-other-agen[t]'; :")
    assert running("headway-other-agent.*")
    other.cancel()
    with pytest.raises(asyncio.CancelledError):
        await other
    (ground.other / "go").unlink()
    assert running("headway-other-agent.*") == []


@pytest.mark.parametrize("trick", ["the file", "its folder"])
async def test_the_file_of_a_commands_output_is_not_led_elsewhere(
    walled: LocalSandbox, plain: LocalSandbox, ground: Ground, tmp_path: Path, trick: str
) -> None:
    """The harness writes it while the command runs, outside of all walls."""
    lines = {
        "the file": f'ln -s "{tmp_path}/1.txt" out/1.txt; echo planted',
        "its folder": f'mv out was; ln -s "{tmp_path}" out; echo planted',
    }
    for sandbox in (walled, plain):
        await ground.run(sandbox, "rm -rf out was; mkdir out")
        command = ground.command(lines[trick])
        await sandbox.run(command, full_output=ground.mine / "out/1.txt")
        assert os.listdir(tmp_path) == []  # noqa: PTH208  # it is quick


TRAPS = """
trap="$PWD/ran"
printf '#!/bin/sh\\necho "$0" >> "%s"\\ncat\\n' "$trap" > trap.sh; chmod +x trap.sh
for hook in pre-commit post-checkout post-index-change reference-transaction; do cp trap.sh .git/hooks/$hook; done
git config core.fsmonitor "$PWD/trap.sh"; git config core.hooksPath "$PWD/.git/hooks"
git config core.pager "$PWD/trap.sh"
git config filter.trap.clean "$PWD/trap.sh"; git config filter.trap.smudge "$PWD/trap.sh"
git config diff.trap.textconv "$PWD/trap.sh"; git config core.sshCommand "$PWD/trap.sh"
echo '* filter=trap diff=trap' > .gitattributes; cp .gitattributes .git/info/attributes
echo changed > README.md
"""


async def test_traps_for_the_harnesss_git_do_not_spring(walled: LocalSandbox, tmp_path: Path) -> None:
    """Hooks, filters and settings that a command leaves run for its own git, and never outside."""
    stage = Stage(tmp_path)
    workspace = stage.places.open(AgentId(f"{ROOT}/1.1-00000000"), 1, 1)
    walls = SandboxSpec(agent="one", workspace=workspace.path, readable=(workspace.hub.folder / "objects",))
    line = f"mkdir -p .git/hooks; {TRAPS}"
    result = await walled.run(Command(line, workspace.path, 30.0, walls))
    assert result.exit_code == 0, result.output
    (workspace.path / "ran").unlink(missing_ok=True)
    assert "README.md" in workspace.changes().paths
    assert workspace.changes() != Changes()
    assert not (workspace.path / "ran").exists()
    result = await walled.run(Command("git status; cat ran", workspace.path, 30.0, walls))
    assert "trap.sh" in result.output
