"""The trailers of a landing: the one module that writes them and reads them.

They are the last paragraph of the message, which the harness appends to the agent's text. So only the last paragraph
is read, line by line. Git's own reading of trailers is not used: a scissors line in a message hides everything after it
from git.
"""

import re
from dataclasses import dataclass, fields

from headway.domain.ids import AgentId, RunName

_MARK = "Headway-"
_LIKE_OURS = re.compile(r"^(?=headway-)", re.IGNORECASE | re.MULTILINE)
_CUTS = re.compile(r"^(?=(?:# ?-+ *>8|---|Conflicts:))", re.MULTILINE)
"""Lines at which git and mail tools end a message: scissors, the line before a patch, the list of an old merge."""


@dataclass(frozen=True)
class Trailers:
    """The origin of a commit on the trunk.

    Attributes:
        planner: The chain of planners above the task, the root first, with blanks between.
        place: The landing's place in the agent log.
        submission: The hash that identifies the submitted change.
    """

    run: RunName
    task: AgentId
    planner: str
    place: str
    submission: str

    def under(self, message: str) -> str:
        """The whole commit message: the agent's text, then these trailers."""
        said = ((field.name.capitalize(), getattr(self, field.name)) for field in fields(self))
        return f"{message}\n\n" + "".join(f"{_MARK}{key}: {value}\n" for key, value in said if value)


def read(message: str) -> Trailers | None:
    """The trailers of a commit message; None for a commit that is not a landing."""
    last = message.rstrip("\n").rpartition("\n\n")[2].split("\n")
    found = {}
    for line in last:
        key, colon, value = line.partition(": ")
        if not colon or not key.startswith(_MARK):
            return None
        found[key.removeprefix(_MARK).lower()] = value.strip()
    if not {"run", "task"} <= found.keys():
        return None
    rest = (found.get(name, "") for name in ("planner", "place", "submission"))
    return Trailers(RunName(found["run"]), AgentId(found["task"]), *rest)


def harmless(message: str) -> str:
    """An agent's message with `>` before each line that looks like a trailer of ours or ends a message for git."""
    return _CUTS.sub("> ", _LIKE_OURS.sub("> ", message))
