"""Commands under every state of the standard streams, and as a user whom the machine does not know: no traceback."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEADWAY = f"exec {sys.executable} -m headway.cli.app"


def run(line: str, env: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **env}
    return subprocess.run(["sh", "-c", line], env=env, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(
    ("redirection", "code"), [(">/dev/full", 1), (">&-", 0), (">&- 2>&-", 0), ("<&- >&- 2>&-", 0), ("", 0)]
)
def test_a_stream_that_takes_nothing_is_no_traceback(redirection: str, code: int, home: Path) -> None:
    done = run(f"{HEADWAY} down {redirection}", {"HEADWAY_HOME": str(home)})
    assert "Traceback" not in done.stderr
    assert done.returncode == code
    if code:
        assert done.stderr == "headway: the output cannot be written: No space left on device\n"


def test_a_terminal_of_ascii_is_shown_what_it_can_show() -> None:
    show = "from headway.cli.streams import prepare_streams; prepare_streams(); print(chr(228), chr(0x1f600))"
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    done = run(f'exec {sys.executable} -c "{show}"', env)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "\\xe4 \\U0001f600\n")


def test_what_is_opened_does_not_get_the_number_of_a_closed_stream() -> None:
    look = (
        "from headway.cli.streams import prepare_streams; prepare_streams(); import os; "
        "print(os.open('/', 0), file=open('/proc/self/fd/9', 'w'))"
    )
    done = run(f'exec 9>&1; exec {sys.executable} -c "{look}" <&- >&- 2>&-', {})
    assert int(done.stdout) > 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes a user whom the machine does not know")
def test_a_user_without_an_entry_and_without_a_home_is_told_what_to_set() -> None:
    program = (
        "import os; os.setgroups([]); os.setgid(54321); os.setuid(54321)\n"
        "from headway.host.home import home_from\n"
        "from headway.domain.errors import UserError\n"
        "try: home_from({})\n"
        "except UserError as error: print(error)\n"
        "from headway.system.user import user_home\n"
        "print(user_home())\n"
    )
    # Loaded before the user changes, who may not read this checkout.
    done = run(f"exec {sys.executable} -c \"import headway.host.home, headway.system.user\nexec('''{program}''')\"", {})
    assert done.stdout.splitlines()[0] == "HEADWAY_HOME: this user has no home folder."
    assert done.stdout.splitlines()[-1] == "/", done.stderr
