"""Words and lines of a text."""

import re

WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


def words(text):
    """The words of a text, in order, as they are written."""
    return WORD.findall(text)


def count_words(text):
    return len(words(text))


def count_lines(text):
    return len(text.splitlines())


def count_characters(text):
    return len(text)
