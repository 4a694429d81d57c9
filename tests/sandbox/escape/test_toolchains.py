"""Toolchains work behind the walls, where they are on this machine; credentials beside them stay out of sight."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from headway.sandbox.backends.bubblewrap import Bubblewrap, programs
from headway.sandbox.backends.host_binds import CREDENTIALS, host_binds, refused
from headway.sandbox.local import LocalSandbox
from headway.sandbox.runner import Command
from headway.sandbox.spec import SandboxSpec
from tests.sandbox.escape.conftest import Ground

TOOLS = {
    "python3": "python3 -c 'import json, ssl, sqlite3, multiprocessing; print(6 * 7)'",
    "cargo": "cargo init -q --name answer --vcs none crate 2>&1 && cd crate"
    " && echo 'fn main() { println!(\"{}\", 6 * 7); }' > src/main.rs && cargo run -q --offline",
    "node": "node -e 'console.log(6 * 7)'",
    "go": "mkdir -p gopher && cd gopher && printf 'package main\\nfunc main() { println(6 * 7) }\\n' > main.go"
    " && go run main.go",
    "gcc": "printf '#include <stdio.h>\\nint main(void) { printf(\"%%d\\\\n\", 6 * 7); }\\n' > a.c"
    " && gcc a.c -o a && ./a",
    "git": "git init -q repo && cd repo && git -c user.name=a -c user.email=b commit -q --allow-empty -m 42"
    " && git log --format=%s",
    "make": "printf 'all:\\n\\t@echo 42\\n' > Makefile && make -s",
}


async def test_a_pipe_that_nobody_reads_ends_its_writer_as_in_any_shell(walled: LocalSandbox, ground: Ground) -> None:
    result = await ground.run(walled, "yes 2>&1 | head -1; echo ${PIPESTATUS[*]}; grep SigIgn /proc/self/status")
    *said, ignored = result.output.split()
    assert said == ["y", "141", "0", "SigIgn:"]
    # Whoever ignores a hangup where the suite was started, as nohup does, means it; python's own habits are nobody's.
    assert not int(ignored, 16) & sum(1 << (number - 1) for number in (signal.SIGPIPE, signal.SIGXFSZ))


@pytest.mark.parametrize("tool", sorted(TOOLS))
async def test_it_runs(walled: LocalSandbox, ground: Ground, tool: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not on this machine")
    await ground.run(walled, "rm -rf crate gopher repo")
    result = await ground.run(walled, TOOLS[tool])
    assert (result.output, result.exit_code) == ("42\n", 0)


SECRETS = (*CREDENTIALS, ".nvm/versions/node/v1/etc/npmrc")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's home, with tools and credentials."""
    home = tmp_path / "home"
    for place in (".cargo/bin", ".local/bin", ".nvm/versions/node/v1/bin", ".nvm/versions/node/v1/etc", "tools/bin"):
        (home / place).mkdir(parents=True)
    for place in (".cargo/bin/a", ".local/bin/b", ".nvm/versions/node/v1/bin/c", "tools/bin/d"):
        (home / place).write_text("#!/bin/sh\necho a tool\n", encoding="ascii")
        (home / place).chmod(0o755)
    for place in SECRETS:
        (home / place).parent.mkdir(parents=True, exist_ok=True)
        if not (home / place).is_dir():
            (home / place).write_text("plum", encoding="ascii")
    return home


async def test_tools_of_a_home_are_there_and_credentials_are_not(
    walled: LocalSandbox, home: Path, tmp_path: Path
) -> None:
    folders = [".cargo/bin", ".local/bin", ".nvm/versions/node/v1/bin", "tools/bin"]
    path = os.pathsep.join([*(str(home / folder) for folder in folders), os.environ["PATH"]])
    state = tmp_path / "state"
    workspace = state / "workspace"
    workspace.mkdir(parents=True)
    sandbox = LocalSandbox(Bubblewrap(host_binds((state,), {"PATH": path}, home), programs()[0]))
    walls = SandboxSpec(agent="a", workspace=workspace)
    secrets = " ".join(str(home / place) for place in SECRETS)
    line = f"for tool in a b c d; do $tool; done; cat {secrets} 2>/dev/null; cat {home}/.ssh/* 2>/dev/null; :"
    result = await sandbox.run(Command(line, workspace, 30.0, walls, {"PATH": path}))
    assert result.output == "a tool\n" * 4


def test_a_policy_cannot_show_credentials(home: Path, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "sdk").mkdir()
    private = (tmp_path / "state",)
    assert refused(tmp_path / "sdk", private, home) == ""
    for name in (".ssh", ".netrc", ".config", ".", ".cargo"):
        assert refused(home / name, private, home)
    (tmp_path / "sdk/link").symlink_to(home / ".ssh")
    assert "credentials are" in refused(tmp_path / "sdk/link", private, home)
    assert "Headway's own state" in refused(tmp_path, private, home)
    for place in ("/", "/proc/1", "/run", "/dev/shm"):
        assert refused(Path(place), private, home)
