"""A commit as git writes it, without a process for it."""

import re
import time
from collections.abc import Sequence

from headway.domain.ids import Oid

_NOT_IN_A_NAME = re.compile(r"[<>\n\0]")
_CRUD = " .,:;<>\"\\'" + "".join(map(chr, range(32)))


def commit_text(tree: Oid, parents: Sequence[Oid], author: str, message: str) -> bytes:
    """The content of a commit object; `author` is `Name <mail>` and stands as committer too."""
    name, _, mail = author.rpartition(" <")
    mail = _clean(mail.rstrip(">"))
    who = f"{_clean(name) or mail} <{mail}> {int(time.time())} {time.strftime('%z')}"
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents), f"author {who}", f"committer {who}"]
    return ("\n".join(lines) + "\n\n" + message).encode(errors="replace")


def _clean(text: str) -> str:
    """The name without the characters that git refuses or drops."""
    return _NOT_IN_A_NAME.sub("", text).strip(_CRUD)
