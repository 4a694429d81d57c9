"""The command as a user runs it: a process of its own, its output and its exit code."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from temporalio.client import Client
from typer.testing import CliRunner

from headway import __version__
from headway.cli import status
from headway.cli.app import EXAMPLES, GROUPS, application
from headway.cli.console import open_console
from headway.cli.limits import _value
from headway.cli.run import start
from headway.domain.errors import UserError
from headway.domain.ids import RunName
from headway.host.service_settings import ServiceSettings
from headway.system.ports import free_ports

COMMANDS = ("demo", "up", "down", "run", "status", "pause", "resume", "reset", "cancel", "continue", "rm", "replay")
ROOT = Path(__file__).resolve().parents[2]


def headway(home: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "headway.cli.app", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HEADWAY_HOME": str(home), "COLUMNS": "120", **env},
    )


def told(done: subprocess.CompletedProcess[str]) -> str:
    """The message of a command that was refused: on stderr, without a traceback, with exit code 2."""
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr


def test_help_names_every_command(home: Path) -> None:
    done = headway(home, "--help")

    assert done.returncode == 0
    assert all(name in done.stdout for name in COMMANDS)


def test_the_conventions_of_a_command_line(home: Path) -> None:
    assert headway(home, "--version").stdout == f"headway {__version__}\n"
    short, long = headway(home, "-h"), headway(home, "--help")
    assert (short.returncode, short.stdout) == (0, long.stdout)
    assert all(group in long.stdout for group in GROUPS)
    for name in (name for names in GROUPS.values() for name in names):
        assert EXAMPLES[name]
        assert all(example.startswith(f"headway {name}") for example in EXAMPLES[name])
        help_of = CliRunner().invoke(application([name]), [name, "-h"])
        assert (help_of.exit_code, "--help" in help_of.output, "<bool>" in help_of.output) == (0, True, False)
    assert "<bool>" not in long.stdout
    shown = headway(home, "pause", "-h").stdout
    assert "headway pause first 1.3" in shown
    assert "--show-completion" in short.stdout


@pytest.mark.parametrize(
    ("text", "tokens"), [("40M", 40_000_000), ("1.5k", 1500), ("40_000_000", 40_000_000), ("7", 7)]
)
def test_a_limit_may_be_given_in_thousands_and_millions(text: str, tokens: int) -> None:
    assert _value("tokens", text) == tokens


@pytest.mark.parametrize("text", ["M", "-1", "0", "1.5", "many", "1e999", ""])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="--tokens"):
        _value("tokens", text)


async def test_a_deadline_that_is_over_is_refused(home: Path, client: Client) -> None:
    await start(client, RunName("late"), {"repo": "/x", "instructions": "Do it."})

    assert "are over" in told(headway(home, "limits", "late", "--hours", "0.0000001"))
    assert "must not be empty" in told(headway(home, "amend", "late", ""))


def test_what_is_piped_is_not_wrapped() -> None:
    target = open_console()
    assert not target.is_terminal
    assert target.width > 10_000


def test_run_without_a_key_says_what_to_set_and_mentions_the_rehearsal(home: Path, settings: ServiceSettings) -> None:
    message = told(headway(home, "run", str(ROOT), "Do it.", TEMPORAL_ADDRESS=settings.address))

    assert "OPENAI_API_KEY" in message
    assert "OPENAI_BASE_URL" in message
    assert "headway rehearse" in message


def test_run_without_a_service_says_headway_up(home: Path, settings: ServiceSettings) -> None:
    message = told(headway(home, "run", str(ROOT), "Do it.", OPENAI_API_KEY="k", TEMPORAL_ADDRESS=settings.address))

    assert f"No Temporal service answers at {settings.address}" in message
    assert "headway up" in message


@pytest.mark.parametrize("command", [["-m", "headway.cli.app", "worker"], [str(ROOT / "worker.py")]])
def test_a_worker_process_is_refused_in_the_same_words(
    command: list[str], home: Path, settings: ServiceSettings
) -> None:
    env = {"PYTHONPATH": str(ROOT), "HEADWAY_HOME": str(home), "TEMPORAL_ADDRESS": settings.address}
    argv = [sys.executable, *command]
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, env=os.environ | env | {"OPENAI_API_KEY": "k"}
    )
    assert told(done).startswith(f"headway: No Temporal service answers at {settings.address}")


@pytest.mark.parametrize(
    ("arguments", "env", "said"),
    [
        *((["status"], {name: "caf\udce9"}, message) for name, message in (
            ("ANY_VARIABLE", "No Temporal service answers"),
            ("TEMPORAL_NAMESPACE", "Temporal's client configuration cannot be used"),
            ("HEADWAY_HOME", "HEADWAY_HOME: its name is not UTF-8"),
        )),
        (["run", "/", "Do it \udce9."], {"OPENAI_API_KEY": "k"}, "instructions: must be text in UTF-8"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list | dict) else "",
)  # fmt: skip
def test_what_is_not_utf_8_is_told_or_makes_no_difference(
    home: Path, settings: ServiceSettings, arguments: list[str], env: dict[str, str], said: str
) -> None:
    assert said in told(headway(home, *arguments, **{"TEMPORAL_ADDRESS": settings.address, **env}))


def test_run_with_bad_input_says_so_before_anything_else(home: Path) -> None:
    assert "repo: /no/such/place is not there" in told(headway(home, "run", "/no/such/place", "Do it."))
    assert "--name: 'no good' must be" in told(headway(home, "run", str(ROOT), "Do it.", "--name", "no good"))
    assert "instructions: must not be empty" in told(headway(home, "run", str(ROOT), "  "))


async def test_run_without_a_worker_process_says_so(home: Path, client: Client) -> None:
    message = told(headway(home, "run", str(ROOT), "Do it.", OPENAI_API_KEY="k"))

    assert "No worker process polls the task queue 'headway'" in message
    assert "headway worker" in message


async def test_a_used_name_is_told(client: Client) -> None:
    await start(client, RunName("twice"), {"repo": "/x", "instructions": "Do it."})

    with pytest.raises(UserError, match="a run named 'twice' is there already"):
        await start(client, RunName("twice"), {"repo": "/x", "instructions": "Do it."})


async def test_status_lists_the_runs(home: Path, client: Client) -> None:
    assert "There are no runs" in headway(home, "status").stdout
    await start(client, RunName("first"), {"repo": "/x", "instructions": "Do it."})

    listed = ""
    while "first" not in listed:  # the list is eventually consistent
        listed = headway(home, "status").stdout
    assert "running" in listed


async def test_a_list_that_is_not_whole_says_so(
    home: Path, client: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(status, "RUNS_SHOWN", 2)
    for count in range(1, 4):
        await start(client, RunName(f"run-{count}"), {"repo": "/x", "instructions": "Do it."})
    listed: list[str] = []
    while not any(line.startswith("There are more") for line in listed):  # the list is eventually consistent
        await status._list(client, home, everything=False, as_json=False)
        listed = capsys.readouterr().out.splitlines()
    assert len(listed) == 1 + 2 + 1
    assert listed[-1] == "There are more than 2; `headway status --all` lists them."
    await status._list(client, home, everything=True, as_json=False)
    assert len(capsys.readouterr().out.splitlines()) == 1 + 3


async def test_status_answers_from_temporals_list_alone_and_says_so(home: Path, client: Client) -> None:
    await start(client, RunName("alone"), {"repo": "/x", "instructions": "Do it."})

    done = headway(home, "status", "alone", "--exit-status")

    assert done.returncode == 6, "it waits for its user to start one"
    assert "no worker process answers" in done.stdout
    assert "alone" in done.stdout


async def test_status_of_an_unknown_run_is_told(home: Path, client: Client) -> None:
    assert "There is no run named 'nobody'" in told(headway(home, "status", "nobody"))


def test_up_without_a_key_starts_nothing(home: Path) -> None:
    assert "OPENAI_API_KEY" in told(headway(home, "up"))
    assert not (home / "temporal").exists()


def test_up_without_git_says_so(home: Path, tmp_path: Path) -> None:
    """The system's own folders, which are always searched, hold one on every machine that these tests run on."""
    program = "import os; os.defpath = ''; from headway.cli.app import main; main()"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HEADWAY_HOME": str(home), "PATH": str(tmp_path)}
    argv = [sys.executable, "-c", program, "up"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=env)
    assert "git is not on PATH" in told(done)


def test_up_refuses_a_wrong_settings_file(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("server: {prot: 1}\n")

    message = told(headway(home, "up", "--config", str(file), OPENAI_API_KEY="k"))

    assert f"{file}: server.prot: is not a setting; did you mean 'port'?" in message


def test_down_with_nothing_up_says_so(home: Path) -> None:
    assert "Nothing is running" in headway(home, "down").stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_rehearse_serves_a_playbook_until_it_is_interrupted(home: Path, tmp_path: Path, number: signal.Signals) -> None:
    playbook = tmp_path / "playbook.yaml"
    playbook.write_text(
        textwrap.dedent(
            """
            name: small
            tasks:
              - title: Anything
                calls: [{text: hello}]
            """
        )
    )
    (port,) = free_ports(1)
    argv = [sys.executable, "-um", "headway.cli.app", "rehearse", str(playbook), "--port", str(port)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        said = "".join(process.stdout.readline() for _ in range(4))
        process.send_signal(number)
        _, err = process.communicate()

    assert f"OPENAI_BASE_URL=http://127.0.0.1:{port}/v1" in said
    assert "REHEARSAL" in said
    assert process.returncode == 4
    assert "task 'Anything'" in err


def test_rehearse_refuses_what_is_no_playbook(home: Path, tmp_path: Path) -> None:
    playbook = tmp_path / "playbook.yaml"
    playbook.write_text("nam: x\n")

    assert "nam: is not a field; did you mean 'name'?" in told(headway(home, "rehearse", str(playbook)))


def test_the_command_needs_git_only_where_it_works_with_it(home: Path) -> None:
    assert shutil.which("git")
    assert headway(home, "down", PATH="/nowhere").returncode == 0
