"""Commands as the tests of this room start them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from headway.sandbox.runner import Command
from headway.sandbox.spec import SandboxSpec
from tests.support.sandboxes import PlainSandbox

MakeCommand = Callable[..., Command]


@pytest.fixture
def sandbox() -> PlainSandbox:
    return PlainSandbox()


@pytest.fixture
def command(tmp_path: Path) -> MakeCommand:
    """A command in a fresh folder; everything but its line has a default."""

    def make(line: str, timeout_s: float = 30.0, **rest: object) -> Command:
        walls = SandboxSpec(agent="tests/agent", workspace=tmp_path)
        return Command(line=line, timeout_s=timeout_s, **{"cwd": tmp_path, "walls": walls, **rest})  # type: ignore[arg-type]

    return make
