"""The steps of `headway demo`, and its output."""

import asyncio
import os
import shlex
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from temporalio.client import Client

from headway.cli.demo_run.facts import facts_of
from headway.cli.demo_run.sample_repository import CHECK, INSTRUCTIONS, PLAYBOOK, make_sample
from headway.cli.display.report import print_run_end
from headway.cli.display.screen import REHEARSAL
from headway.cli.display.views import LiveView, PlainView, open_view, tree_of
from headway.cli.display.watch import Look, Watcher, follow
from headway.cli.run import start
from headway.domain.errors import UserError
from headway.domain.ids import RunName
from headway.git.git_environment import hermetic_environment
from headway.git.git_process import run_git
from headway.host.child_event import ChildEvent
from headway.host.local_site import Site, start_service, start_workers
from headway.host.service_settings import ServiceSettings, find_settings, load_settings
from headway.host.supervisor import Supervisor
from headway.rehearsal.host import Rehearsal
from headway.runs.landed_commits import landed
from headway.runs.run_end import RunEnd
from headway.system.ports import free_ports

NAME = RunName("demo")
BRANCH = f"headway/{NAME}/main"
AGENTS = 8
HEARTBEAT_S = 5
"""Shorter than the default of 60 s, so that the killed process is missed soon enough for a demo."""

KILL_AFTER = 3
"""Commits on the trunk when the agents' process is killed: in the middle, with the other tasks at work."""

LOOK_EVERY_S = 0.2
WITHIN_S = 300.0


class Show:
    """One demo in one folder, with its own state, service and ports."""

    def __init__(self, folder: Path, console: Console, *, stay: bool = False) -> None:
        self.stay = stay
        self.folder = folder
        self.home = folder / "home"
        self.console = console
        self.view: LiveView | PlainView = open_view(console, rehearsal=True)
        self.begun = time.monotonic()
        self.killed: int | None = None

    async def play(self) -> int:
        """The whole demo; its exit code: 0 when everything came out as it should."""
        if not self.console.is_terminal:  # there, the view itself shows it, all the time
            self.console.print(f"{REHEARSAL}.", highlight=False)
        repository = await asyncio.to_thread(make_sample, self.folder / "repository")
        self._tell(f"sample repository: {repository}")
        with Rehearsal(PLAYBOOK) as rehearsal:
            async with Supervisor(self.home, on_event=self._on_event) as supervisor:
                try:
                    ending, last = await self._run(supervisor, rehearsal.url, repository)
                    if self.stay:
                        await self._wait_for_enter(supervisor)
                except KeyboardInterrupt:
                    self._tell("interrupted: the demo's processes are stopped and its folder is removed")
                    raise
            report = rehearsal.report()
        return await self._close(repository, ending, last, report)

    async def _run(self, supervisor: Supervisor, url: str, repository: Path) -> tuple[RunEnd, Look]:
        site = await self._start(supervisor, url)
        await start(site.client, NAME, {"repo": str(repository), "instructions": INSTRUCTIONS, "check": CHECK})
        return await self._follow(supervisor, site.client)

    async def _start(self, supervisor: Supervisor, url: str) -> Site:
        site = await start_service(supervisor, _on_free_ports(load_settings(find_settings())))
        self._tell(f"Temporal service at {site.address}, Web UI at {site.ui_url} while the demo runs")
        env: dict[str, str | None] = {name: None for name in os.environ if name.startswith(("HEADWAY_", "OPENAI_"))}
        env |= {
            "HEADWAY_HOME": str(self.home),
            "OPENAI_BASE_URL": url,
            "OPENAI_API_KEY": "rehearsal",
            "HEADWAY_API": "chat",
            "HEADWAY_PLANNER_MODEL": "rehearsal",
            "HEADWAY_WORKER_MODEL": "rehearsal",
            "HEADWAY_HEARTBEAT_S": str(HEARTBEAT_S),
        }
        await start_workers(supervisor, site, AGENTS, env, allow_weak=True)
        return site

    async def _follow(self, supervisor: Supervisor, client: Client) -> tuple[RunEnd, Look]:
        killer = asyncio.create_task(self._kill_in_the_middle(supervisor))
        stopped = asyncio.create_task(supervisor.wait())
        with self.view as view:
            followed = asyncio.create_task(follow(client, NAME, self.home, view))
            try:
                await asyncio.wait({followed, stopped}, timeout=WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
                if not (followed.done() or stopped.done()):
                    raise UserError(f"The demo's run has not ended within {WITHIN_S:.0f} s.", "Its logs may say why.")
                if stopped.done():
                    # Ctrl-C, or a child that cannot be restarted: raises in the latter case.
                    stopped.result()
                    raise KeyboardInterrupt
                ending = followed.result()
            finally:
                for task in (followed, killer, stopped):
                    task.cancel()
        return ending, await Watcher(client, NAME, self.home).look()

    async def _kill_in_the_middle(self, supervisor: Supervisor) -> None:
        while len(await asyncio.to_thread(landed, self.home, NAME)) < KILL_AFTER:  # noqa: ASYNC110 - other processes land
            await asyncio.sleep(LOOK_EVERY_S)
        self.killed = supervisor.pid("agents")
        if self.killed is not None:
            self._tell(f"kill -9 {self.killed}: the process of all worker agents, in the middle of their work")
            os.kill(self.killed, signal.SIGKILL)

    def _on_event(self, event: ChildEvent) -> None:
        match event.what:
            case "started":
                again = "again " if event.again else ""
                self._tell(f"process {event.name} started {again}(pid {event.pid})")
            case "died":
                self._tell(f"process {event.name} (pid {event.pid}) died; its supervisor starts it again")

    async def _close(self, repository: Path, ending: RunEnd, last: Look, report: dict[str, Any]) -> int:
        self._head("The tree of agents")
        if last.tree is not None:
            self.console.print(tree_of(last.tree))
        self._head("The run")
        print_run_end(self.console, NAME, ending)
        self._head("What the logs say")
        for line in self._log_lines(report):
            self._out(line)
        self._head(f"git log {BRANCH}, in the sample repository")
        log = ("log", "--format=%h %s", BRANCH, "--")
        self._out(await asyncio.to_thread(lambda: run_git(log, env=hermetic_environment(), cwd=repository).text))
        proven = await self._prove(repository)
        problems = [*report["over_use"], *report["under_use"]]
        for problem in problems:
            self._out(f"the run and the playbook disagree: {problem}")
        took = time.monotonic() - self.begun
        survived = "the worker process killed in the middle was replaced, and " if self.killed is not None else ""
        self._head(f"{took:.0f} s; {survived}{'all tests pass' if proven else 'the tests FAIL'}")
        return 0 if proven and ending.exit_code == 0 and not problems else 1

    def _log_lines(self, report: dict[str, Any]) -> list[str]:
        facts = facts_of(self.home, NAME)
        lines = [
            f"conflict on {', '.join(c.paths)}: back to '{c.title}', whose worker resolved it" for c in facts.conflicts
        ]
        again = report["repeats"] + report["unheard"]
        lines.append(f"{report['requests']} model calls, {again} of them asked again after the kill")
        if self.killed is not None:
            lines.append(f"{facts.resumed} workers resumed from their logs in the new process")
        return lines

    async def _prove(self, repository: Path) -> bool:
        """Run the tests of the result, in a checkout of the branch next to the user's own."""
        result = self.folder / "result"
        clone = ("clone", "--quiet", "--branch", BRANCH, str(repository), str(result))
        env = hermetic_environment() | {"GIT_CONFIG_COUNT": "0"}
        await asyncio.to_thread(lambda: run_git(clone, env=env))
        self._head(f"{CHECK}, on {BRANCH}")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "unittest", cwd=result, stdout=-1, stderr=asyncio.subprocess.STDOUT
        )
        try:
            out, _ = await process.communicate()
        except BaseException:
            process.kill()
            await process.wait()
            raise
        self._out(out.decode(errors="replace").strip())
        return process.returncode == 0

    async def _wait_for_enter(self, supervisor: Supervisor) -> None:
        """Leave service and processes up until the user presses Enter or Ctrl-C, or standard input ends."""
        self._head("Look around; everything of the demo is still up")
        for line in self._offered(supervisor.facts):
            self._out(f"  {line}")
        self._out("Press Enter to end the demo.")
        pressed = asyncio.Event()
        loop = asyncio.get_running_loop()
        reader = threading.Thread(
            target=lambda: (sys.stdin.readline(), loop.call_soon_threadsafe(pressed.set)), daemon=True
        )
        reader.start()
        stopped = asyncio.create_task(supervisor.wait())
        entered = asyncio.create_task(pressed.wait())
        await asyncio.wait({stopped, entered}, return_when=asyncio.FIRST_COMPLETED)
        for task in (stopped, entered):
            task.cancel()

    def _offered(self, facts: dict[str, str]) -> list[str]:
        """Commands that show the demo's result, for another terminal: this one's environment may name a service."""
        named = sorted(name for name in os.environ if name.startswith("TEMPORAL_"))
        home = shlex.quote(str(self.home))
        return [
            f"Web UI  {facts.get('ui', 'none')}",
            *([f"unset {' '.join(named)}"] if named else []),
            f"export HEADWAY_HOME={home} TEMPORAL_ADDRESS={facts['address']}",
            f"headway status {NAME} --all",
            f"headway replay {NAME} --decisions",
            f"less {home}/runs/{NAME}/report.md",
        ]

    def _tell(self, line: str) -> None:
        self.view.say(line)

    def _head(self, line: str) -> None:
        self.console.print(f"\n[bold]{escape(line)}[/]", highlight=False)

    def _out(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def _on_free_ports(shipped: ServiceSettings) -> ServiceSettings:
    port, ui_port = free_ports(2, shipped.server.ip)
    server = shipped.server.model_copy(update={"port": port, "ui_port": ui_port, "metrics_port": None})
    return shipped.model_copy(update={"server": server})
