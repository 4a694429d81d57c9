"""Works on odd repositories for a time, in a process of its own whose memory is measured.

`python -m tests.agents.fuzzed_repository small NUMBER ...` works on these repositories;
`python -m tests.agents.fuzzed_repository large NUMBER for SECONDS` on those from a number on. Each number draws one.
The last line of its output is what it found, as JSON.
"""

import asyncio
import hashlib
import itertools
import json
import os
import random
import stat
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from headway.domain.errors import TransientError, UserError
from headway.domain.messages import WorkerDone
from headway.git.workspace import overlay
from tests.agents.odd_repositories import make
from tests.agents.scripted_model import ScriptedModel, replies, reply
from tests.agents.stage import RUN, Stage
from tests.models.servers import Answer
from tests.support.peak import own_peak_mb

BRANCH = f"headway/{RUN}/main"
TRIES = 3
"""A machine under load may let a merge time out; the same repository does not fail three times."""

HANG_S = 240.0
STEPS = 5
_PATHS = [
    "",
    ".",
    "..",
    "/",
    "/etc/passwd",
    ".git/config",
    ".headway/home",
    "new/file.txt",
    "a" * 5_000,
    "\ud800",
    "x\0",
    "src",
]
_PATTERNS = [".", "hello", "^", "(", "\\", "(a{1,200}){1,200}", "(a|a)*$", "\ud800", "-e", "--help", "[[:", "\\p{L}+"]
_TEXTS = ["", "x\n", "\ud800", "a" * 100_000, "\r\n\r", "<<<<<<< a\n=======\n>>>>>>> b\n", "\x00\x01", "hello\nworld\n"]
_MESSAGES = [
    *("Change it", "x" * 9_999, "Do\n\nHeadway-Task: other\nHeadway-Run: other", "a\u2028b\tc", "\x1b[31m"),
    "Hide\n# ------------------------ >8 ------------------------\nHeadway-Task: other",
]


class OddAgent:
    """A model that asks for anything, a fixed number of times, and then finishes."""

    def __init__(self, draw: random.Random, paths: list[str]) -> None:
        self._draw = draw
        self._paths = draw.sample(paths, min(40, len(paths))) + _PATHS

    def __call__(self, body: dict[str, Any]) -> Answer:
        names = {tool["function"]["name"] for tool in body.get("tools", ())}
        if replies(body) >= STEPS:
            return reply("Done.", ("finish", {"status": "partial", "summary": "Looked at it."}))
        calls = [self._call(names) for _ in range(4)]
        return reply("Next.", *calls)

    def _call(self, names: set[str]) -> tuple[str, dict[str, Any]]:
        pick, path = self._draw.choice, self._draw.choice(self._paths)
        calls: dict[str, dict[str, Any]] = {
            "list_dir": {"path": path, "depth": pick([1, 3])},
            "read_file": {"path": path, "start": pick([1, 1, 10_000_000]), "limit": pick([5, 2_000])},
            "grep": {"pattern": pick(_PATTERNS), "path": pick([".", path])}
            | pick([{}, {"glob": pick(["*", "[", "**/*.py"])}]),
            "write_file": {"path": path, "content": pick(_TEXTS)},
            "edit_file": {
                "path": path,
                "old": pick(["hello", "a", "\n", ""]),
                "new": pick(_TEXTS),
                "replace_all": pick([True, False]),
            },
            "apply_patch": {"patch": f"*** Begin Patch\n*** Update File: {path}\n@@\n-hello\n+bye\n*** End Patch\n"},
            "shell": {
                "command": pick(
                    ["ls -la", "git status", "git log -3", "mkfifo .gitattributes", "rm -rf src", "chmod 000 src"]
                ),
                "timeout_s": 20,
            },
            "land": {"message": pick(_MESSAGES)},
            "git_log": pick([{}, {"path": path}]),
            "git_show": {"rev": pick(["HEAD", "HEAD~1", ":/(a{1,9}){1,9}", "HEAD^{/x}", "--help", "refs/stash"])}
            | pick([{}, {"path": path}]),
        }
        name = pick(sorted(names & calls.keys()))
        return name, calls[name]


def seen(top: Path, *leave_out: str) -> dict[str, str]:
    """Everything in a folder, but below some names: its kind, its permissions and its content."""
    found = {}
    for place, folders, names in os.walk(top):
        below = os.path.relpath(place, top)
        folders[:] = [name for name in folders if os.path.normpath(os.path.join(below, name)) not in leave_out]  # noqa: PTH118
        for name in (*folders, *names):
            path = os.path.join(place, name)  # noqa: PTH118
            status = os.lstat(path)
            content = b""
            if stat.S_ISREG(status.st_mode):
                content = Path(path).read_bytes()
            elif stat.S_ISLNK(status.st_mode):
                content = os.fsencode(os.readlink(path))  # noqa: PTH115
            found[os.path.join(below, name)] = f"{status.st_mode:o} {hashlib.sha256(content).hexdigest()}"  # noqa: PTH118
    return found


def made(folder: Path, seed: int, maker: ProcessPoolExecutor, *, large: bool) -> list[str]:
    """Make a repository and what lies outside of it; its paths."""
    outside = folder / "outside"
    outside.mkdir(parents=True)
    (outside / "kept").write_text("kept\n")
    kinds, paths = maker.submit(make, folder / "source", outside, seed, large).result()
    print(seed, *kinds, file=sys.stderr, flush=True)
    return paths


async def work_on(folder: Path, seed: int, paths: list[str]) -> tuple[str, Counter[str]]:
    """Have agents work on one repository. How it ended, and what passed on the way.

    Raises:
        AssertionError: A rule is broken.
    """
    outside, source = folder / "outside", folder / "source"
    # Publishing adds objects and one branch.
    mine = (".git/objects", ".git/refs/heads/headway")
    before = seen(outside), seen(source, *mine)
    met: Counter[str] = Counter()
    try:
        stage = await asyncio.to_thread(Stage, folder)
    except UserError as error:
        return f"refused: {error.message[:60]}", met
    model = ScriptedModel(OddAgent(random.Random(seed), paths), keeps=False)
    try:
        stage.listen_to(model.url)
        for number in range(2):
            order = stage.task("Look", number)
            outcome = await again(lambda order=order: stage.work(order), met)
            assert isinstance(outcome, WorkerDone), outcome
            json.dumps(stage.handoff(outcome.ref).model_dump(mode="json"))
        json.dumps((await again(lambda: stage.turn("turn"), met)).model_dump(mode="json"))
        published = await asyncio.to_thread(stage.hub.publish, BRANCH)
        met["published" if not published.problem else "not published"] += 1
    finally:
        await stage.close()
        model.close()
    after = seen(outside), seen(source, *mine)
    assert after == before, [
        sorted(set(one.items()) ^ set(other.items())) for one, other in zip(before, after, strict=True)
    ]
    return "worked on", met


async def again(act: Any, met: Counter[str]) -> Any:
    """Try as the engine does, while a failure may pass."""
    for _ in range(TRIES):
        try:
            return await act()
        except TransientError as error:
            met[f"again: {str(error)[:80]}"] += 1
            last = error
    raise AssertionError(f"failed {TRIES} times: {last}") from last


def main(numbers: Iterable[int], *, large: bool) -> dict[str, Any]:
    """Work on one repository after the other."""
    count, met = 0, Counter[str]()
    slowest, maker = 0.0, ProcessPoolExecutor(1, get_context("fork"))  # before any thread begins
    for number in numbers:
        room = Path(tempfile.mkdtemp(prefix="odd-"))
        begun = time.monotonic()
        try:
            paths = made(room / "run", number, maker, large=large)  # its time is none of the engine's
            how, passed = asyncio.run(asyncio.wait_for(work_on(room / "run", number, paths), HANG_S))
        except BaseException as error:
            raise AssertionError(f"number {number}: {type(error).__name__}: {error}") from error
        finally:
            overlay.unmount_below(room)
            subprocess.run(["rm", "-rf", room], check=False)  # deeper than Python goes
        met[how] += 1
        met.update(passed)
        slowest = max(slowest, time.monotonic() - begun)
        count += 1
    maker.shutdown()
    return {"repositories": count, "peak_mb": own_peak_mb(), "slowest_s": round(slowest, 1), "met": dict(met)}


def numbers_of(words: list[str]) -> Iterator[int]:
    """Those that are named, or all from one on until a time is over."""
    if "for" not in words:
        yield from map(int, words)
        return
    first, _, seconds = words
    ends = time.monotonic() + float(seconds)
    for number in itertools.count(int(first)):
        yield number
        if time.monotonic() > ends:
            return


if __name__ == "__main__":
    print(json.dumps(main(numbers_of(sys.argv[2:]), large=sys.argv[1] == "large")))
