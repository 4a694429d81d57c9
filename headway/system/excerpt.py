"""Text as the model sees it: numbered lines and cuts, made once, before it enters the conversation."""

LINE_CHARS = 2_000
LINES_READ = 400
CARRIAGE_RETURN = "\r"
_STRETCH = 1 << 16
EXCERPT_CHARS = 60_000
"""Characters of one tool answer; about 15,000 tokens."""

ANSWER_CHARS = 70_000
"""Characters that an answer of any tool may have: some more than each tool cuts its own to."""


def excerpt(raw: bytes, path: str, start: int = 1, limit: int = LINES_READ) -> str:
    """Numbered lines of a file, or a line that says why none are shown."""
    if b"\0" in raw[:8_000]:
        return f"[{path} is binary: {len(raw)} bytes]"
    return numbered(raw.decode("utf-8", "replace"), start, limit)


def numbered(text: str, start: int = 1, limit: int = LINES_READ) -> str:
    """Lines `start` to `start + limit - 1` of a text with their numbers, and how many there are beyond."""
    if not text:
        return "[empty]"
    # Not `splitlines`, which also splits where no editor and no search counts a line. And never all lines at once: a
    # list of millions of them takes a hundred times the memory of the text.
    count = line_count(text)
    first = max(1, start)
    if first > count:
        return f"[there is no line {first}: the file has {count} lines]"
    at = _start_of(text, first)
    shown: list[str] = []
    room = EXCERPT_CHARS
    for number in range(first, min(first + max(1, limit), count + 1)):
        end = text.find("\n", at)
        line = text[at : min(end if end >= 0 else len(text), at + LINE_CHARS + 2)]
        entry = f"{number:>6}\t{cut(line.rstrip(CARRIAGE_RETURN), LINE_CHARS)}"
        room -= len(entry) + 1
        if room < 0:
            break
        shown.append(entry)
        at = end + 1
    last = first - 1 + len(shown)
    if last < count:
        shown.append(f"[lines {last + 1} to {count} are not shown: read on with start={last + 1}]")
    return "\n".join(shown)


def line_count(text: str) -> int:
    """Lines of a text, as editors count them."""
    return text.count("\n") + (bool(text) and not text.endswith("\n"))


def _start_of(text: str, line: int) -> int:
    """The offset of a line. Newlines are counted in long stretches, which is faster than a search for each one."""
    at = passed = 0
    while passed + (inside := text.count("\n", at, at + _STRETCH)) < line - 1:
        at, passed = at + _STRETCH, passed + inside
    while passed < line - 1:
        at, passed = text.index("\n", at) + 1, passed + 1
    return at


def cut(text: str, chars: int) -> str:
    """A text of at most `chars` characters; a missing rest is marked at the end."""
    return text if len(text) <= chars else text[: max(0, chars - 1)] + "…"


def cut_middle(text: str, chars: int) -> str:
    """A text of about `chars` characters: its head and its tail, and how much is missing between."""
    if len(text) <= chars:
        return text
    half = chars // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"


def cut_bytes(text: str, size: int) -> str:
    """A text of at most `size` bytes in UTF-8."""
    raw = text.encode()
    return text if len(raw) <= size else raw[: max(0, size - 3)].decode("utf-8", "ignore") + "…"
