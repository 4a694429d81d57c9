"""The tools of a worker."""

from typing import Annotated

from pydantic import Field

from headway.agent.tools.planning import Grep, ListDir, PathText, ReadFile, RewriteScratchpad
from headway.agent.tools.report import Report
from headway.agent.tools.schema import Arguments, tool_schema


class Shell(Arguments):
    """Runs a command in bash in your workspace, without a terminal and without input.

    Nothing that it starts outlives it: start a server and use it in one command. Long output is cut in the middle; the
    whole of it lies in a file that is named in the answer.
    """

    command: Annotated[str, Field(min_length=1, max_length=64_000)]
    timeout_s: Annotated[float | None, Field(gt=0, description="Seconds; the default is the longest allowed.")] = None
    workdir: Annotated[PathText, Field(description="A folder of the workspace.")] = "."


class EditFile(Arguments):
    """Replaces one piece of a file.

    `old` must stand in the file exactly once: give enough lines around it. White space at line ends and indentation
    are forgiven.
    """

    path: PathText
    old: str
    new: str
    replace_all: Annotated[bool, Field(description="Replace every place where `old` stands.")] = False


class WriteFile(Arguments):
    """Writes a whole file, with the folders above it. For new files and small ones."""

    path: PathText
    content: str


class Land(Arguments):
    """Puts your change on the trunk as one commit.

    What lands is every difference between your workspace and the trunk commit it stands on, whatever git says there.
    Your workspace then stands on the new trunk. A conflict comes back to you, in the files.
    """

    message: Annotated[str, Field(min_length=1, max_length=10_000, description="The commit message: what and why.")]
    paths: Annotated[
        Annotated[tuple[PathText, ...], Field(max_length=1_000)] | None,
        Field(description="Only these files or folders."),
    ] = None


class Finish(Report):
    """Hands off, once, and ends your work. What did not land is kept aside and is not on the trunk."""


WORKER_TOOLS: dict[str, type[Arguments]] = {
    "edit_file": EditFile,
    "finish": Finish,
    "grep": Grep,
    "land": Land,
    "list_dir": ListDir,
    "read_file": ReadFile,
    "rewrite_scratchpad": RewriteScratchpad,
    "shell": Shell,
    "write_file": WriteFile,
}
"""By name, in the order in which every request carries them: a prompt cache wants it the same each time."""

WORKER_SCHEMAS = tuple(tool_schema(name, arguments) for name, arguments in WORKER_TOOLS.items())
