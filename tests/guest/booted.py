"""A guest in a test: its lines are shown as they come, and kept."""

from pathlib import Path

import pytest

from tests.guest.kernel import Lacking
from tests.guest.machines import boot


def booted(folder: Path, program: str, within_s: float, changed: dict[str, str]) -> tuple[int, list[str]]:
    """The exit code of the guest's program, and its lines; skips the test where there can be no guest."""
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        print(line, flush=True)

    try:
        return boot(folder, program, within_s, tell, changed), lines
    except Lacking as lacking:
        pytest.skip(str(lacking))
