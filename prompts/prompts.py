"""Prompts as files: everything that an agent is told in prose, with placeholders that are strict in both directions."""

import difflib
import hashlib
import importlib.resources
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from string import Template

from headway.domain.errors import UserError

FOLDER_VARIABLE = "HEADWAY_PROMPTS"
"""Names a folder of the user's own prompts, which override those of the same name that Headway ships."""


class PromptError(Exception):
    """A prompt file and the code that renders it disagree; a bug of ours, found at the first rendering or sooner."""


class Prompts:
    """The Markdown files below one folder, by their path without the suffix: `worker`, `messages/nudge`.

    All are read once, so that an edit of a file takes effect with the next worker process and never within one.

    Attributes:
        own: Names of the prompts that the user put in the place of ours.
    """

    def __init__(self, folder: Path, own: Mapping[str, Template] | None = None) -> None:
        self._templates: dict[str, Template] = {}
        for path in sorted(folder.rglob("*.md")):
            template = Template(path.read_text(encoding="utf-8").strip("\n"))
            if not template.is_valid():
                raise PromptError(f"{path}: a '$' that is not a placeholder must be written '$$'")
            self._templates[path.relative_to(folder).with_suffix("").as_posix()] = template
        self.own = tuple(own or ())
        self._templates |= own or {}

    @classmethod
    def load(cls, own: Path | None = None) -> "Prompts":
        """The prompts that Headway ships, from a checkout as from an installed package, with the user's over them.

        Raises:
            UserError: The user's folder holds a file that is no prompt of ours, or one that cannot be rendered.
        """
        shipped = Path(str(importlib.resources.files("prompts")))
        return cls(shipped, _read_own(own, cls(shipped)) if own is not None else None)

    @property
    def names(self) -> tuple[str, ...]:
        """Every prompt there is."""
        return tuple(self._templates)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all prompts as they stand in their files: names, in the log, which set an agent worked by."""
        texts = (f"{name}\0{template.template}\0" for name, template in sorted(self._templates.items()))
        return fingerprint("".join(texts))

    @property
    def told(self) -> str:
        """The user's own prompts among all, for people; empty without any."""
        named = ", ".join(self.own)
        return f"prompts of your own: {named} (set {self.fingerprint[:12]})" if named else ""

    def text(self, name: str) -> str:
        """A prompt as it stands in its file."""
        return self._template(name).template

    def placeholders(self, name: str) -> frozenset[str]:
        """The placeholders of a prompt, each of which needs a value."""
        return frozenset(self._template(name).get_identifiers())

    def render(self, name: str, /, **values: object) -> str:
        """The text of a prompt.

        Raises:
            PromptError: If there is no such prompt, a placeholder has no value, or a value has no placeholder.
        """
        template = self._template(name)
        wanted, given = set(template.get_identifiers()), set(values)
        if wanted != given:
            raise PromptError(f"{name}.md: missing {sorted(wanted - given)}, unknown {sorted(given - wanted)}")
        return template.substitute(values)

    def _template(self, name: str) -> Template:
        template = self._templates.get(name)
        if template is None:
            raise PromptError(f"there is no prompt '{name}'")
        return template


def fingerprint(text: str) -> str:
    """SHA-256 of a rendered prompt: names, in the log, which text the model worked by."""
    return hashlib.sha256(text.encode()).hexdigest()


def _read_own(folder: Path, shipped: Prompts) -> dict[str, Template]:
    """The user's prompts, each checked against the one it stands for."""
    if not folder.is_dir():
        raise UserError(f"{FOLDER_VARIABLE}: {folder} is not a folder.", "Name a folder, or unset it.")
    found: dict[str, Template] = {}
    problems: list[str] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        inner = path.relative_to(folder)
        if any(part.startswith(".") for part in inner.parts):
            continue
        name = inner.with_suffix("").as_posix()
        try:
            template = Template(path.read_text(encoding="utf-8").strip("\n"))
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"{inner}: cannot be read: {error}")
            continue
        if inner.suffix != ".md" or name not in shipped.names:
            problems.append(f"{inner}: {_no_prompt(name, shipped)}")
        elif not template.is_valid():
            problems.append(f"{inner}: a '$' that is not a placeholder must be written '$$'")
        else:
            problems += _difference(inner, set(template.get_identifiers()), shipped.placeholders(name))
            found[name] = template
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise UserError(
            f"{FOLDER_VARIABLE}: {folder} cannot be used:\n{listed}",
            "A file there stands for the prompt of the same name that Headway ships, and has the same placeholders.",
        )
    return found


def _no_prompt(name: str, shipped: Prompts) -> str:
    near = difflib.get_close_matches(name, shipped.names, n=1)
    return "is the name of no prompt" + (f"; did you mean {near[0]}.md?" if near else "")


def _difference(path: Path, has: set[str], wants: frozenset[str]) -> list[str]:
    def named(names: set[str]) -> str:
        return ", ".join(f"${name}" for name in sorted(names))

    missing, unknown = set(wants - has), has - wants
    return [
        *([f"{path}: lacks {named(missing)}"] if missing else []),
        *([f"{path}: has {named(unknown)}, which nothing fills"] if unknown else []),
    ]
