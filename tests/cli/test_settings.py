"""The settings of worker processes: their defaults, and one message for each wrong one."""

from pathlib import Path

import pytest

import worker
from headway.domain.errors import UserError
from headway.domain.ids import AgentId
from headway.host.home import home_from
from headway.host.settings import Settings, variables
from headway.host.worker_roles import USUAL_AGENTS
from headway.models.settings import ModelSettings

BOUNDS = {
    "HEADWAY_AGENTS": 1,
    "HEADWAY_HEAVY": 1,
    "HEADWAY_AGENT_DISK_MB": 0,
    "HEADWAY_AGENT_IO_MB_S": 0,
    "HEADWAY_HEARTBEAT_S": 2,
    "HEADWAY_AUDIT_S": 1,
    "HEADWAY_SNAPSHOT_STEPS": 1,
}
MODEL_NUMBERS = ("HEADWAY_PARKED_S", "HEADWAY_WINDOW", "HEADWAY_MAX_OUTPUT", "HEADWAY_STALL_S")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in variables():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HEADWAY_HOME", str(tmp_path / "home"))


def test_an_empty_environment_gives_the_defaults(tmp_path: Path) -> None:
    settings = Settings.read()
    assert (settings.home, settings.agents, settings.prompts) == (tmp_path / "home", USUAL_AGENTS, None)
    assert settings.home.stat().st_mode & 0o777 == 0o700
    assert (settings.disk_mb, settings.io_mb_s, settings.sandbox, settings.workspaces) == (0, 0, "", "")


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "1e3", "nan", "9" * 5000, "\udcff", "true"])
@pytest.mark.parametrize(("name", "least"), BOUNDS.items())
def test_a_wrong_number_is_answered_with_its_bound(
    monkeypatch: pytest.MonkeyPatch, name: str, least: int, text: str
) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(UserError) as caught:
        Settings.read()
    assert caught.value.message == f"{name} must be an integer >= {least} (got '{text[:80]}')."
    assert caught.value.remedy.startswith("Set it to such a number, or unset it for the default (")


@pytest.mark.parametrize(("name", "least"), [each for each in BOUNDS.items() if each[1] > 0])
def test_the_bound_itself_is_taken_and_one_less_is_not(monkeypatch: pytest.MonkeyPatch, name: str, least: int) -> None:
    monkeypatch.setenv(name, f" {least} ")
    Settings.read()
    monkeypatch.setenv(name, str(least - 1))
    with pytest.raises(UserError, match=f"{name} must be an integer >= {least}"):
        Settings.read()


@pytest.mark.parametrize("text", ["x", "0", "-1", "9" * 5000])
@pytest.mark.parametrize("name", MODEL_NUMBERS)
def test_a_wrong_number_of_a_model_has_the_same_message(name: str, text: str) -> None:
    with pytest.raises(UserError) as caught:
        ModelSettings.read({"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", name: text})
    assert caught.value.message == f"{name} must be an integer >= 1 (got '{text[:80]}')."


@pytest.mark.parametrize("name", [*BOUNDS, "HEADWAY_PROMPTS", "HEADWAY_SANDBOX", "HEADWAY_WORKSPACES"])
def test_a_blank_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    unset = Settings.read()
    for blank in ("", "  "):
        monkeypatch.setenv(name, blank)
        assert Settings.read() == unset


def test_the_state_folder_is_the_one_of_the_commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HEADWAY_HOME", f"{tmp_path}/ with blanks ")
    assert Settings.read().home == home_from()
    monkeypatch.setenv("HEADWAY_HOME", "/\udcff")
    with pytest.raises(UserError, match=r"^HEADWAY_HOME: its name is not UTF-8"):
        Settings.read()


@pytest.mark.parametrize("text", ["0", "x"])
def test_a_wrong_argument_is_named_as_one(capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert worker.main(["--agents", text]) == 2
    assert f"headway: --agents must be an integer >= 1 (got '{text}').\n" in capsys.readouterr().err


def test_an_argument_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_AGENTS", "7")
    assert Settings.read(agents=None).agents == 7
    assert Settings.read(agents=3).agents == 3


def test_names_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("headway_agents", "x")
    monkeypatch.setenv("agents", "x")
    assert Settings.read().agents == USUAL_AGENTS


def test_the_folder_of_prompts_is_trimmed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HEADWAY_PROMPTS", f" {tmp_path} ")
    assert Settings.read().prompts == tmp_path


def test_keys_of_the_service_are_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_API_KEY", "sk-one")
    monkeypatch.setenv("TEMPORAL_TLS_CLIENT_KEY_DATA", "sk-two")
    settings = Settings.read()
    assert settings.secrets == ("sk-one", "sk-two")
    assert "sk-" not in repr(settings)


def test_a_process_knows_the_keys_of_models_and_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key of either reaches a log: the texts of both are taken out of what it writes."""
    monkeypatch.setenv("TEMPORAL_API_KEY", "s3rvice-0123456789-key")
    models = ModelSettings.read({"OPENAI_API_KEY": "m0del-0123456789-key"})
    workshop = worker.Workshop(Settings.read(), models, allow_weak=True)
    try:
        log = workshop.store.open(AgentId("r/1"), role="planner")
        told = log.without_our_secrets("s3rvice-0123456789-key, m0del-0123456789-key")
        log.close()
    finally:
        workshop.resources.close()
    assert "0123456789" not in told
