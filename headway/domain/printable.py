"""Makes text that agents, repositories and servers wrote harmless for a terminal, for Markdown and for one line.

Each kind of output has one function. Code that prints hostile text calls it once, at the place where it prints.
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

    A control below U+0020 becomes its picture (ESC becomes U+241B), any other one U+FFFD. Each takes one column, so
    columns stay aligned.
    """
    return text.translate(_SHOWN)


def one_line(text: str) -> str:
    """The same in one line."""
    return " ".join(for_terminal(text).split())


def for_markdown(text: str) -> str:
    """One line in which Markdown and HTML characters are escaped."""
    return one_line(text).translate(_MARKDOWN)


def quoted(text: str) -> str:
    """A Markdown block quote that shows text as it was written, line by line."""
    return "\n".join(f"> {for_markdown(line)}  " if line.strip() else ">" for line in for_terminal(text).split("\n"))


def code_block(text: str) -> str:
    """A Markdown code block that the text cannot end, because its fence is longer than any fence in the text."""
    shown = for_terminal(text)
    fence = "`" * max(3, 1 + max((len(found) for found in _FENCE.findall(shown)), default=0))
    return f"{fence}\n{shown}\n{fence}"
