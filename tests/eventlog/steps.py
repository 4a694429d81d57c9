"""What the tests of logs do again and again."""

import gzip
from collections.abc import Iterable
from pathlib import Path

from headway.domain.ids import AgentId, RunName
from headway.eventlog.blobs import INLINE_CHARS
from headway.eventlog.events.conversation import Text
from headway.eventlog.events.envelope import AnyEvent, bodies
from headway.eventlog.local_store import LocalStore
from headway.eventlog.store import AgentLog

RUN = RunName("demo")
LONG = "ü" * (INLINE_CHARS + 1)


def say(log: AgentLog, text: str, *, sync: bool = False) -> int:
    return log.append(Text(text=text), sync=sync).seq


def file_of(store: LocalStore, agent: AgentId) -> Path:
    return store.run_folder(RUN) / "logs" / f"{agent.partition('/')[2] or 'run'}.jsonl"


def content_of(path: Path) -> bytes:
    """What a file of the state folder says, compressed or not."""
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


def texts(store: LocalStore, agent: AgentId, upto: int | None = None) -> list[str]:
    return texts_in(store.read(agent, upto))


def texts_in(events: Iterable[AnyEvent]) -> list[str]:
    return [text.text for text in bodies(events, Text)]
