"""Each line that a process prints begins with a time, however it is printed."""

import io
import re
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from headway.system.timed_lines import TimedLines

TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ")
PROGRAM = """
import logging, sys, threading
from headway.system.timed_lines import time_lines
time_lines()
print("one\\ntwo", flush=True)
print("half", end=" ")
print("a line")
sys.stderr.writelines(["three\\n", "four\\n"])
logging.getLogger("any").warning("five")
def fail():
    raise ValueError("six")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
raise ValueError("seven")
"""


@given(st.lists(st.text(st.sampled_from("ab\n"), max_size=5), max_size=8))
def test_the_text_stays_and_every_line_of_it_begins_with_a_time(pieces: list[str]) -> None:
    target = io.StringIO()
    stream = TimedLines(target)
    assert [stream.write(piece) for piece in pieces] == [len(piece) for piece in pieces]
    lines = target.getvalue().split("\n")
    assert all(TIME.match(line) for line in lines[:-1])
    assert "\n".join(TIME.sub("", line, count=1) for line in lines) == "".join(pieces)
    assert TIME.match(lines[-1]) or not lines[-1]


def test_warnings_and_tracebacks_of_any_thread_have_times() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    printed = [TIME.sub("", line, count=1) for line in done.stdout.splitlines()]
    assert printed == ["one", "two", "half a line"]
    errors = done.stderr.splitlines()
    assert all(TIME.match(line) for line in (*errors, *done.stdout.splitlines()))
    assert {"three", "four", "five", "ValueError: six", "ValueError: seven"} <= {TIME.sub("", line) for line in errors}
