"""Prompts as files: everything that an agent is told in prose, with placeholders that are strict in both directions."""

import hashlib
import importlib.resources
from pathlib import Path
from string import Template


class PromptError(Exception):
    """A prompt file and the code that renders it disagree; a bug of ours, found at the first rendering or sooner."""


class Prompts:
    """The Markdown files below one folder, by their path without the suffix: `worker`, `messages/nudge`.

    All are read once, so that an edit of a file takes effect with the next worker process and never within one.
    """

    def __init__(self, folder: Path) -> None:
        self._templates: dict[str, Template] = {}
        for path in sorted(folder.rglob("*.md")):
            template = Template(path.read_text(encoding="utf-8").strip("\n"))
            if not template.is_valid():
                raise PromptError(f"{path}: a '$' that is not a placeholder must be written '$$'")
            self._templates[path.relative_to(folder).with_suffix("").as_posix()] = template

    @classmethod
    def load(cls) -> "Prompts":
        """The prompts that Headway ships, from a checkout as from an installed package."""
        return cls(Path(str(importlib.resources.files("prompts"))))

    @property
    def names(self) -> tuple[str, ...]:
        """Every prompt there is."""
        return tuple(self._templates)

    def placeholders(self, name: str) -> frozenset[str]:
        """What must be given to render a prompt."""
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
