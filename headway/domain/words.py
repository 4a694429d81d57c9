"""Numbers and sentences as people read them, in all places: terminal, Web UI, notes, reports."""

from typing import Literal


def counted(count: int, noun: str, plural: str = "") -> str:
    """A number with its noun: "1 commit", "2,300 commits"."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def limit_words(limit: int | Literal["none"], noun: str) -> str:
    """A limit with its noun: "1,000 tasks", "any number of tasks"."""
    return f"any number of {noun}s" if limit == "none" else counted(limit, noun)


def sentence(text: str) -> str:
    """Text that ends as a sentence, so that another one can follow. Most words of a server have their full stop."""
    return text if text.rstrip("\"'`)").endswith((".", "!", "?")) else f"{text}."
