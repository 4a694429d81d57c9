"""What looks like a key is never written down, and yet is carried out as the model asked for it."""

import pytest

from headway.agents.tools.catalogue import RESULTS
from headway.eventlog.events.conversation import ToolResult
from headway.eventlog.events.envelope import bodies
from headway.eventlog.local_store import LocalStore
from headway.eventlog.redaction import redactor
from tests.agents.stage import Stage, finish, step, use
from tests.agents.test_resume import killed_at
from tests.eventlog.steps import content_of

KEYLIKE = "ghp_" + "a1B2" * 9
OURS = "our-own-key-0123456789"


@pytest.fixture
def guarded(stage: Stage) -> Stage:
    stage.store = LocalStore(stage.folder / "state", redact=redactor([OURS]), results=RESULTS)
    return stage


def in_the_log(stage: Stage, text: str) -> bool:
    folder = stage.folder / "state" / "runs" / "tidy-up"
    files = [path for part in ("logs", "blobs") for path in (folder / part).rglob("*") if path.is_file()]
    return any(text in content_of(path).decode() for path in files)


async def test_a_file_gets_what_the_model_wrote_and_the_log_does_not(guarded: Stage) -> None:
    content = f"TOKEN = '{KEYLIKE}'\n"
    guarded.serve(
        tasks={
            "Write a file": [
                step(use("write_file", path="tests/fake.py", content=content)),
                step(use("edit_file", path="tests/fake.py", old="TOKEN", new=f"# {KEYLIKE}\nTOKEN")),
                step(use("land", message="A fake token for the tests")),
                finish(),
            ]
        }
    )
    outcome, _ = await guarded.done(guarded.task())
    assert outcome.status == "done"
    assert guarded.on_trunk("tests/fake.py") == f"# {KEYLIKE}\n{content}"
    assert not in_the_log(guarded, KEYLIKE)


async def test_our_own_key_reaches_neither_the_log_nor_a_file(guarded: Stage) -> None:
    write = step(use("write_file", path="leak.txt", content=f"{OURS}\n"))
    guarded.serve(tasks={"Write a file": [write, step(use("land", message="Leak")), finish()]})
    await guarded.done(guarded.task())
    assert guarded.on_trunk("leak.txt") == "[redacted]\n"
    assert not in_the_log(guarded, OURS)


async def test_after_a_kill_the_model_is_asked_to_make_such_a_call_again(guarded: Stage) -> None:
    write = step(use("write_file", path="fake.txt", content=KEYLIKE + "\n"))
    guarded.serve(tasks={"Write a file": [write, write, step(use("land", message="Fake")), finish()]})
    order = guarded.task()
    died = [await killed_at(guarded, order, at, before=False) for at in (1, 1, 2)]
    assert died == ["agent.start", "message", "llm.response"]
    outcome, _ = await guarded.done(order)
    assert outcome.status == "done"
    first, second, *_ = bodies(guarded.store.read(order.me), ToolResult)
    assert "not run" in first.text
    assert "Make the call again" in first.text
    assert not second.error
    assert guarded.on_trunk("fake.txt") == KEYLIKE + "\n"
