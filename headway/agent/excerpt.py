"""Text as the model sees it: numbered lines and cuts, made once, before it enters the conversation."""

LINE_CHARS = 2_000
LINES_READ = 400
CARRIAGE_RETURN = "\r"
EXCERPT_CHARS = 60_000
"""Characters of one tool answer; about 15,000 tokens."""


def excerpt(raw: bytes, path: str, start: int = 1, limit: int = LINES_READ) -> str:
    """Numbered lines of a file, or a line that says why none are shown."""
    if b"\0" in raw[:8_000]:
        return f"[{path} is binary: {len(raw)} bytes]"
    return numbered(raw.decode("utf-8", "replace"), start, limit)


def numbered(text: str, start: int = 1, limit: int = LINES_READ) -> str:
    """Lines `start` to `start + limit - 1` of a text with their numbers, and how many there are beyond."""
    # Not `splitlines`, which also splits where no editor and no search counts a line.
    lines = text.removesuffix("\n").split("\n")
    if not text:
        return "[empty]"
    first = max(1, start)
    if first > len(lines):
        return f"[there is no line {first}: the file has {len(lines)} lines]"
    shown: list[str] = []
    room = EXCERPT_CHARS
    for number, line in enumerate(lines[first - 1 : first - 1 + max(1, limit)], first):
        entry = f"{number:>6}\t{cut(line.rstrip(CARRIAGE_RETURN), LINE_CHARS)}"
        room -= len(entry) + 1
        if room < 0:
            break
        shown.append(entry)
    last = first - 1 + len(shown)
    if last < len(lines):
        shown.append(f"[lines {last + 1} to {len(lines)} are not shown: read on with start={last + 1}]")
    return "\n".join(shown)


def cut(text: str, chars: int) -> str:
    """A text of at most `chars` characters; what is missing is marked at the end."""
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
