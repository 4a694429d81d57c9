"""What a command of an agent costs beyond the command: overhead, rate, neighbours, and cancelling three hundred.

Ours is the strongest sandbox level that this machine can put up, with a control group per agent. The baseline is a
plain subprocess in the same list of runs, and for neighbours the same load without any limit.
"""

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.table import Outcome, arguments, report
from headway.sandbox.backends.backends import Backends
from headway.sandbox.backends.plain import Plain
from headway.sandbox.cgroup.groups import Groups
from headway.sandbox.disk_usage import Quota
from headway.sandbox.local import LocalSandbox
from headway.sandbox.resources import Resources
from headway.sandbox.runner import Command
from headway.sandbox.spec import SandboxSpec

AGENTS = 300
AT_ONCE = 8
SPIN = "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done"
"""A tenth of a second of one core, in a shell."""

BUILD = f"for i in 1 2 3 4 5; do cp -r $SOURCE b$i && cat b$i/* | md5sum && rm -rf b$i; {SPIN}; done"
"""Reads and writes many small files and computes in between, as a compiler does; like one it syncs nothing."""

WRITER = "while :; do dd if=/dev/zero of=big bs=1M count=1500 conv=fsync 2>/dev/null; done"


class Bench:
    """The workspaces and the sandboxes of one run of the benchmark."""

    def __init__(self, folder: Path, ours: LocalSandbox, *, quick: bool) -> None:
        self.folder = folder
        self.ours = ours
        self.quick = quick
        self.unlimited = LocalSandbox(Plain())
        self.source = folder / "source"
        self.source.mkdir()
        for number in range(200):
            (self.source / f"file{number}").write_bytes(os.urandom(8_000))

    def command(self, line: str, agent: str, timeout_s: float = 120.0) -> Command:
        """A command of an agent, in its workspace."""
        place = self.folder / agent
        place.mkdir(exist_ok=True)
        walls = SandboxSpec(agent=agent, workspace=place, readable=(self.source,))
        return Command(line=line, cwd=place, timeout_s=timeout_s, walls=walls, env={"SOURCE": str(self.source)})

    async def timed(self, sandbox: LocalSandbox, command: Command) -> float:
        """Seconds of one command."""
        began = time.perf_counter()
        result = await sandbox.run(command)
        if result.exit_code != 0:
            raise RuntimeError(f"{command.line!r} ended with {result}")
        return time.perf_counter() - began


async def overhead(bench: Bench, out: Outcome) -> None:
    """One command at a time, ours and a plain subprocess in turn."""
    command = bench.command("true", "alone")
    ours, plain = [], []
    await bench.timed(bench.ours, command)
    for _ in range(60 if bench.quick else 300):
        began = time.perf_counter()
        plain_true(command.cwd)
        plain.append(time.perf_counter() - began)
        ours.append(await bench.timed(bench.ours, command))
        await asyncio.sleep(0.01)  # agents do not run their commands back to back
    out.figures["command_ms_p50"] = 1000 * statistics.median(ours)
    out.figures["command_ms_p95"] = 1000 * statistics.quantiles(ours, n=20)[-1]
    out.baseline["command_ms_p50"] = 1000 * statistics.median(plain)
    out.baseline["command_ms_p95"] = 1000 * statistics.quantiles(plain, n=20)[-1]
    differences = [mine - theirs for mine, theirs in zip(ours, plain, strict=True)]
    out.figures["overhead_ms_p50"] = 1000 * statistics.median(differences)
    out.figures["overhead_ms_p10"] = 1000 * statistics.quantiles(differences, n=10)[0]  # what load leaves alone


def plain_true(cwd: Path) -> None:
    """The baseline: what a program does that runs a command and looks at its output."""
    subprocess.run(["bash", "-c", "true"], cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, check=True)


async def rate(bench: Bench, out: Outcome) -> None:
    """Commands a second, by a few agents at once, and what they cost in processor time, ours included."""
    count = 200 if bench.quick else 1000

    async def ours(agent: int) -> None:
        command = bench.command("true", f"rate{agent}")
        for _ in range(count // AT_ONCE):
            await bench.timed(bench.ours, command)

    async def plain(_: int) -> None:
        for _ in range(count // AT_ONCE):
            await asyncio.to_thread(plain_true, bench.folder)

    for target, work in ((out.figures, ours), (out.baseline, plain)):
        began, used = time.perf_counter(), time.process_time()
        await asyncio.gather(*(work(agent) for agent in range(AT_ONCE)))
        target["commands_per_second"] = count / (time.perf_counter() - began)
        target["own_cpu_ms_per_command"] = 1000 * (time.process_time() - used) / count


async def neighbours(bench: Bench, out: Outcome) -> None:
    """How a command fares beside an agent that forks and spins, and a build beside one that writes at full speed.

    A slowdown is over the fair share: beside one other agent on every core, a command may take twice its time.
    """
    forks = os.cpu_count() or 1
    spinner = f"for i in $(seq {8 * forks}); do (while :; do :; done) & done; wait"
    for target, sandbox in ((out.figures, bench.ours), (out.baseline, bench.unlimited)):
        busy = bench.command(" ".join(f"({SPIN}; {SPIN}; {SPIN}) &" for _ in range(forks)) + " wait", "spins")
        alone = await several(bench, sandbox, busy)
        target["neighbour_slowdown_beyond_fair"] = await beside(bench, sandbox, spinner, busy) / alone / 2 - 1
        build = bench.command(BUILD, "builds")
        alone = await several(bench, sandbox, build)
        target["build_slowdown_beside_writer"] = await beside(bench, sandbox, WRITER, build) / alone - 1


async def beside(bench: Bench, sandbox: LocalSandbox, line: str, command: Command) -> float:
    """The same as `several`, with a neighbour at work."""
    neighbour = asyncio.ensure_future(sandbox.run(bench.command(line, "neighbour")))
    await asyncio.sleep(1.0)
    try:
        return await several(bench, sandbox, command)
    finally:
        neighbour.cancel()
        await asyncio.wait({neighbour})


async def several(bench: Bench, sandbox: LocalSandbox, command: Command) -> float:
    """The median of some."""
    return statistics.median([await bench.timed(sandbox, command) for _ in range(3 if bench.quick else 9)])


async def cancelled(bench: Bench, out: Outcome) -> None:
    """Three hundred agents in commands that block, all cancelled at once: seconds until the last process is gone."""
    asleep = f"sleep {1_000_000 + os.getpid()}"  # told from everybody else's
    line = f"{asleep} & (setsid {asleep} &) ; touch started; wait"
    tasks = [asyncio.ensure_future(bench.ours.run(bench.command(line, f"blocks{n}", 600))) for n in range(AGENTS)]
    while not all((bench.folder / f"blocks{n}" / "started").exists() for n in range(AGENTS)):  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    began, used = time.perf_counter(), time.process_time()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    while living(asleep):  # noqa: ASYNC110  # the kernel tells nobody when a stranger is gone
        await asyncio.sleep(0.02)
    out.figures["cancel_300_s"] = time.perf_counter() - began
    out.figures["cancel_300_cpu_s"] = time.process_time() - used


def living(line: str) -> bool:
    """Whether a process with this command line lives."""
    wanted = line.replace(" ", "\0").encode()
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if process.read_bytes().startswith(wanted):
                return True
    return False


@contextmanager
def strongest(folder: Path) -> Iterator[LocalSandbox]:
    """The level that a worker process would take here, without its gates."""
    private = folder / "private"
    private.mkdir()
    resources = Resources(Groups.detect(), None, Quota(100_000))
    try:
        yield Backends([private], resources).choose(allow_weak=True)
    finally:
        resources.close()


async def measure(folder: Path, *, quick: bool) -> Outcome:
    """Everything, in one process."""
    out = Outcome("commands")
    with strongest(folder) as ours:
        print(f"sandbox level {ours.level}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", file=sys.stderr)
        bench = Bench(folder, ours, quick=quick)
        for part in (overhead, rate, cancelled, neighbours):
            await part(bench, out)
    return out


def main() -> None:
    """The command."""
    options = arguments(__doc__)
    folder = Path(tempfile.mkdtemp(prefix="headway-commands-"))
    try:
        report(asyncio.run(measure(folder, quick=options.quick)), options.json)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
