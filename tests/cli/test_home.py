import stat
import sys
from pathlib import Path

import pytest

from headway.domain.errors import UserError
from headway.host.home import home_from

linux_only = pytest.mark.skipif(sys.platform == "darwin", reason="macOS has its own place")


def test_the_given_folder_is_used_and_made(tmp_path: Path) -> None:
    home = home_from({"HEADWAY_HOME": str(tmp_path / "deep" / "state")})

    assert home == tmp_path / "deep" / "state"
    assert home.is_dir()


@linux_only
def test_else_the_platforms_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    assert home_from({"XDG_STATE_HOME": str(tmp_path / "xdg")}) == tmp_path / "xdg" / "headway"
    assert home_from({"XDG_STATE_HOME": "relative"}) == tmp_path / ".local" / "state" / "headway"
    assert home_from({}) == tmp_path / ".local" / "state" / "headway"


def test_a_place_where_no_folder_can_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(UserError, match="HEADWAY_HOME: cannot make the state folder"):
        home_from({"HEADWAY_HOME": str(tmp_path / "file")})


def test_a_folder_that_others_can_enter_is_closed(tmp_path: Path) -> None:
    home = tmp_path / "state"
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    home_from({"HEADWAY_HOME": str(home)})
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


@pytest.mark.parametrize("held", ["ada", "etc", ".profile"])
def test_a_folder_of_something_else_is_refused_and_stays_as_it_is(tmp_path: Path, held: str) -> None:
    """HEADWAY_HOME=/home as root closed the homes of all users."""
    shared = tmp_path / "home"
    (shared / held).mkdir(parents=True)
    shared.chmod(0o755)
    with pytest.raises(UserError, match="holds files that are not Headway's"):
        home_from({"HEADWAY_HOME": str(shared)})
    assert stat.S_IMODE(shared.stat().st_mode) == 0o755


@pytest.mark.parametrize("held", ["runs", "supervisor.lock", "lost+found"])
def test_a_state_folder_that_was_opened_to_others_is_closed_again(tmp_path: Path, held: str) -> None:
    home = tmp_path / "state"
    (home / held).mkdir(parents=True)
    home.chmod(0o755)
    home_from({"HEADWAY_HOME": str(home)})
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_closed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "state"
    home.mkdir()
    home.chmod(0o755)
    monkeypatch.setattr(Path, "chmod", lambda *_: None)  # as a disk without modes does
    with pytest.raises(UserError, match="other users can enter the state folder") as refused:
        home_from({"HEADWAY_HOME": str(home)})
    assert f"chmod 700 {home}" in refused.value.remedy
