"""Whatever one call of a tool meets, this process takes a bounded amount of memory for it, and the answer is short.

Each call is made in a process of its own, whose memory is looked at. The content is what an agent or a repository could
hold: one long line, millions of short ones, long paths, thousands of long names.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headway.git.hub import Hub
from tests.git.ground import git, make_repository

MB = 1 << 20
SIZE = 24 * MB
MEMORY_MB = 100
ANSWER_CHARS = 70_000

CHILD = """
import resource, sys
from pathlib import Path
from headway.editing.edit_process import EditProcess, Replacement
from headway.system.excerpt import EXCERPT_CHARS, cut, excerpt
from headway.editing.files import Files
from headway.policy.guidance import guidance
from headway.editing.patch import parse_patch
from headway.editing.patching import Patching
from prompts.prompts import Prompts
from headway.editing.search import hits_text
from headway.domain.errors import ToolError
from headway.git.hub import Hub
from headway.system.bounded import unheld
place = Path(sys.argv[1])
files, hub, apart = Files(place / "source"), Hub(place / "hub.git"), EditProcess(unheld, seconds=2.0)
MANY = "\\n".join(["*** Begin Patch", *(f"*** Delete File: large/{n}" for n in range(20)), "*** End Patch"])
def peak():
    # Not `ru_maxrss`, which a process takes over from the one that forked it.
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) // 1024
before = peak()
try:
    text = eval(sys.argv[2])
except ToolError as error:
    text = str(error)
print(peak() - before, len(text))
"""

CALLS = {
    "search of many lines": "files.grep('x')",
    "search of one line": "files.grep('aaa')",
    "search below a long path": "files.grep('deep')",
    "search in one file": "files.grep('x', 'rows.csv')",
    "list of long names": "files.list_dir('many')",
    "read of many lines": "files.read('rows.csv', 2_000_000, 10)",
    "read of nothing but line ends": "files.read('ends', 1, 2000)",
    "read of one line": "files.read('line')",
    "edit of nothing but line ends": "apart.change(files.raw('ends'), Replacement('zz\\nyy', 'x'), 1).shown",
    "edit of every letter": "apart.change(b'a' * 40_000, Replacement('a', 'b' * 30_000, True), 1).shown",
    "patch of many large files": "Patching(files, parse_patch(MANY), 'x', apart).drafted()",
    "guidance": "guidance(hub, hub.tip(), ['deep/' * 2_000_000, *['a/b'] * 200_000], Prompts.load())",
    "hub: search": "hits_text(hub.grep('HEAD', 'x'))",
    "hub: search of one line": "hits_text(hub.grep('HEAD', 'aaa'))",
    "hub: read of many lines": "excerpt(hub.read_file('HEAD', 'rows.csv'), 'rows.csv', 5, 10)",
    "hub: read of nothing but line ends": "excerpt(hub.read_file('HEAD', 'ends'), 'ends', 5_000_000, 10)",
    "hub: read of one line": "excerpt(hub.read_file('HEAD', 'line'), 'line', 5, 10)",
    "hub: a commit": "hub.show('HEAD')",
    "hub: history": "hub.log('HEAD', limit=100)",
    "hub: list": "cut(hub.list_dir('HEAD', 'many', 3), EXCERPT_CHARS)",
    "hub: a name that is not there": "hub.read_file('HEAD', 'many/' + 'n' * 3000)",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("bounds")
    source = make_repository(place / "source", {"README.md": "hello\n"})
    (source / "rows.csv").write_bytes(b"x,1,2,3\n" * (SIZE // 8))
    (source / "line").write_bytes(b"a" * SIZE)
    (source / "ends").write_bytes(b"\n" * (8 << 20))
    (source / "AGENTS.md").write_bytes(b"Use tabs.\n" * (SIZE // 10))
    (source / "large").mkdir()
    for number in range(20):
        (source / "large" / str(number)).write_bytes(b"ab\n" * (7 * MB // 3))
    (source / "many").mkdir()
    for number in range(3_000):
        (source / "many" / f"{number}{'n' * 240}").touch()
    at = Path.cwd()
    os.chdir(source)
    for _ in range(14):  # a path longer than the system takes at once
        Path("d" * 250).mkdir()
        os.chdir("d" * 250)
    Path("f").write_text("deep\n" * 50_000)
    os.chdir(at)
    git(source, "add", "--all", ":!d*", ":!large")
    (place / "message").write_text("word " * 200_000)
    git(source, "commit", "--quiet", f"--file={place / 'message'}")
    Hub(place / "hub.git").prepare(str(source), None)
    return place


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_call_takes_little_memory_and_answers_briefly(place: Path, call: str) -> None:
    done = subprocess.run([sys.executable, "-c", CHILD, str(place), call], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    memory, length = map(int, done.stdout.split())
    assert memory < MEMORY_MB
    assert 0 < length < ANSWER_CHARS


@pytest.mark.parametrize("rev", [":/((a{1,255}){1,255}){1,255}", "HEAD^{/x}", ":README.md", "HEAD@{1}", "HEAD..HEAD"])
def test_what_searches_or_names_more_than_a_commit_is_no_revision(place: Path, rev: str) -> None:
    with pytest.raises(Exception, match="there is no commit"):
        Hub(place / "hub.git").show(rev)
