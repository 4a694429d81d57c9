"""The tools of a worker."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from headway.agent.patch import Section, parse_operation, parse_patch
from headway.agent.tools.planning import Grep, ListDir, PathText, ReadFile, RewriteScratchpad
from headway.agent.tools.report import Report
from headway.agent.tools.schema import Arguments, tool_schema
from headway.model.adapter import ToolSchema
from headway.model.editing import PATCH_TOOL, Edit


class Shell(Arguments):
    """Runs a command in bash in your workspace, without a terminal and without input.

    Nothing that it starts outlives it: start a server and use it in one command. Long output is cut in the middle; the
    whole of it lies in a file that is named in the answer.
    """

    command: Annotated[str, Field(min_length=1, max_length=64_000)]
    timeout_s: Annotated[float | None, Field(gt=0, description="Seconds; the default is the longest allowed.")] = None
    workdir: Annotated[PathText, Field(description="A folder of the workspace.")] = "."


class Operation(BaseModel):
    """A change of one file, as models say it that have the tool from their provider."""

    model_config = ConfigDict(frozen=True)

    type: Literal["create_file", "update_file", "delete_file"]
    path: PathText
    diff: str = ""


class ApplyPatch(Arguments):
    """Changes files, all of them or none, by a patch in this form.

    `*** Begin Patch`, then for each file `*** Update File: path` with its changes, `*** Add File: path` with every line
    of it behind a `+`, or `*** Delete File: path`; then `*** End Patch`. `*** Move to: path` below an Update line gives
    the file a new place. A change is a line `@@`, then three lines as they stand in the file, each behind a space; the
    lines that go, each behind a `-`; the lines that come, each behind a `+`; and three more lines behind a space. Where
    such lines stand in the file more than once, write the line of the function or class before them: `@@ def parse():`.
    """

    patch: str
    operation: SkipJsonSchema[Operation | None] = None

    @model_validator(mode="before")
    @classmethod
    def _one_of_them(cls, given: Any) -> Any:
        return {"patch": ""} | given if isinstance(given, dict) and given.get("operation") else given

    def sections(self) -> tuple[Section, ...]:
        """The changes that it asks for, file by file.

        Raises:
            ToolError: It is no patch.
        """
        asked = self.operation
        return parse_patch(self.patch) if asked is None else (parse_operation(asked.type, asked.path, asked.diff),)


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

_EITHER: dict[str, type[Arguments]] = {PATCH_TOOL: ApplyPatch, **WORKER_TOOLS}
_PATCHING = {name: _EITHER[name] for name in sorted(_EITHER) if name != "edit_file"}


@dataclass(frozen=True)
class Toolset:
    """The tools that a worker is offered."""

    tools: Mapping[str, type[Arguments]]
    schemas: tuple[ToolSchema, ...]


TOOLSETS: Mapping[Edit, Toolset] = {
    "replace": Toolset(WORKER_TOOLS, WORKER_SCHEMAS),
    "patch": Toolset(_PATCHING, tuple(tool_schema(name, arguments) for name, arguments in _PATCHING.items())),
}
"""By the way in which its model edits files."""
