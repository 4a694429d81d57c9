"""Text that agents, repositories and servers wrote, made harmless for a terminal, for Markdown, for one line.

Each output has one function here. A caller that prints hostile text goes through it once, at the place where it prints.
"""

import re

_HIDDEN = (
    *range(0x80, 0xA0),  # the second set of controls
    *(0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)),  # these turn the direction of writing
    *(0x2028, 0x2029),  # separators of lines
    *(0x200B, *range(0x2060, 0x2066), 0xFEFF),  # characters without a width
    *range(0xD800, 0xE000),  # halves of surrogate pairs
)
_SHOWN = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"},
    0x7F: 0x2421,
    **dict.fromkeys(_HIDDEN, 0xFFFD),
}
_MARKDOWN = str.maketrans({char: f"\\{char}" for char in "\\`*_{}[]()#+|!~"} | {"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_FENCE = re.compile(r"`{3,}")


def for_terminal(text: str) -> str:
    """Text with line feeds and tabs as its only controls.

    A control of the first set is shown by its picture (ESC as U+241B), every other one as U+FFFD. Each takes one
    column, so that columns stay aligned.
    """
    return text.translate(_SHOWN)


def one_line(text: str) -> str:
    """The same in one line."""
    return " ".join(for_terminal(text).split())


def for_markdown(text: str) -> str:
    """One line in which Markdown and HTML find nothing to act upon."""
    return one_line(text).translate(_MARKDOWN)


def quoted(text: str) -> str:
    """A Markdown block quote that shows text as it was written, line by line."""
    return "\n".join(f"> {for_markdown(line)}  " if line.strip() else ">" for line in for_terminal(text).split("\n"))


def code_block(text: str) -> str:
    """A Markdown block of code that text cannot end: its fence is longer than any in the text."""
    shown = for_terminal(text)
    fence = "`" * max(3, 1 + max((len(found) for found in _FENCE.findall(shown)), default=0))
    return f"{fence}\n{shown}\n{fence}"
