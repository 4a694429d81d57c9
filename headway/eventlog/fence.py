"""A lease as another process can check it: the end of the log at the moment when its holder asked for an action."""

import json
from pathlib import Path

from headway.domain.ids import Fence


def fence_of(path: Path, end: int, lease: int) -> Fence:
    """The fence of a holder whose log at `path` is `end` bytes long."""
    return Fence(json.dumps([str(path), end, lease]))


def holds(fence: Fence) -> bool:
    """True if the lease is still the newest one of its log.

    Raises:
        ValueError: `fence` was not made by `fence_of`.
        OSError: The log cannot be read.
    """
    path, end, lease = json.loads(fence)
    try:
        with Path(path).open("rb") as file:
            file.seek(end)
            news = file.read()
    except FileNotFoundError:
        return False
    # The end without a newline may be torn: its writer holds nothing before the line is whole.
    return all(_lease(line) <= lease for line in news.split(b"\n")[:-1])


def _lease(line: bytes) -> int:
    try:
        fields = json.loads(line)
    except ValueError:
        return 0
    return int(fields.get("lease", 0)) if isinstance(fields, dict) else 0
