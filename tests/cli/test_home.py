import sys
from pathlib import Path

import pytest

from headway.cli.home import home_from
from headway.domain.errors import UserError

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
