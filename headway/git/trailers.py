"""The trailers of a landing: the one module that writes them and reads them.

They are the last paragraph of the message, and the harness puts it there behind whatever the agent wrote. So only the
last paragraph is read, line by line, and nothing that stands before it counts. Git's own reading of trailers is not
used: a line of scissors in a message hides everything behind it from git.
"""

import re
from dataclasses import dataclass, fields

from headway.domain.ids import AgentId, RunName

_MARK = "Headway-"
_LIKE_OURS = re.compile(r"^(?=headway-)", re.IGNORECASE | re.MULTILINE)
_CUTS = re.compile(r"^(?=(?:# ?-+ *>8|---|Conflicts:))", re.MULTILINE)
"""Where git and mail tools end a message: scissors, the line before a patch, the list of an old merge."""


@dataclass(frozen=True)
class Trailers:
    """Whose work a commit of the trunk is.

    Attributes:
        planner: The chain of planners above the task, the root first, with blanks between.
        place: Where in the agent log the landing stands.
        submission: The hash by which this very change is found again.
    """

    run: RunName
    task: AgentId
    planner: str
    place: str
    submission: str

    def under(self, message: str) -> str:
        """A whole commit message: what the agent wrote, then these."""
        said = ((field.name.capitalize(), getattr(self, field.name)) for field in fields(self))
        return f"{message}\n\n" + "".join(f"{_MARK}{key}: {value}\n" for key, value in said if value)


def read(message: str) -> Trailers | None:
    """The trailers of a commit message; None for a commit that did not come by a landing."""
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
    """An agent's message in which no line looks like one of ours, and none ends the message for git or a mail tool.

    Such a line is quoted by `>`.
    """
    return _CUTS.sub("> ", _LIKE_OURS.sub("> ", message))
