"""Headway from a wheel, as an application in an environment of its own: what the package leaves out breaks here."""

import os
import re
import sys
import sysconfig
import time
import venv
import zipfile
from pathlib import Path

import psutil
import pytest

from headway.host.service_settings import find_settings, load_settings
from headway.host.temporal_cli import find_cli
from tests.end_to_end.wheel import INTO_THE_WHEEL, ROOT, WITHIN_S, say


@pytest.fixture(scope="module")
def place(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, and everybody else's packages as they are here. The checkout is not among them."""
    folder = tmp_path_factory.mktemp("environment")
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    python = folder / "bin" / "python"
    say(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", wheel, cwd=folder)
    libraries = Path(say(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    # A folder that is named by a .pth file is searched, but its own .pth files, such as an editable install's, are not.
    others = dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    (libraries / "others.pth").write_text("".join(f"{other}\n" for other in others))
    # `pip install` with dependencies puts it there.
    (folder / "bin" / "temporal").symlink_to(find_cli(load_settings(find_settings()).cli).path)
    return folder


def environment(place: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    return {**kept, "COLUMNS": "120", "PATH": os.pathsep.join((str(place / "bin"), os.defpath)), **more}


def test_what_is_imported_and_read_comes_from_the_wheel(place: Path, tmp_path: Path) -> None:
    program = (
        "import activities, headway, prompts, worker, workflows\n"
        "from prompts.prompts import Prompts\n"
        "from headway.host.service_settings import find_settings\n"
        "Prompts.load()\n"
        "for module in (activities, headway, prompts, worker, workflows): print(module.__file__)\n"
        "print(find_settings())"
    )
    found = say(place / "bin" / "python", "-c", program, cwd=tmp_path, env=environment(place)).split()
    assert len(found) == len(INTO_THE_WHEEL)
    assert [path for path in found if not Path(path).is_relative_to(place)] == []


def test_the_wheel_names_its_licence_and_holds_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as held:
        (metadata,) = (name for name in held.namelist() if name.endswith(".dist-info/METADATA"))
        assert "\nLicense-Expression: Apache-2.0\n" in held.read(metadata).decode()
        licence = held.read(metadata.replace("METADATA", "licenses/LICENSE"))
    assert licence == (ROOT / "LICENSE").read_bytes()
    assert b"Apache License" in licence


@pytest.mark.long
def test_the_demo_of_the_wheel_survives_the_kill_in_any_folder(place: Path, tmp_path: Path) -> None:
    elsewhere, temporary = tmp_path / "elsewhere", tmp_path / "temporary"
    elsewhere.mkdir()
    temporary.mkdir()
    begun = time.monotonic()
    out = say(place / "bin" / "headway", "demo", cwd=elsewhere, env=environment(place, TMPDIR=str(temporary)))
    assert time.monotonic() - begun < WITHIN_S
    killed = re.search(r"kill -9 (\d+)", out)
    assert killed, out
    assert f"process agents (pid {killed[1]}) died" in out
    assert "demo: done, and the check passes on the trunk" in out
    assert "all tests pass" in out
    started = [int(pid) for pid in re.findall(r"started (?:again )?\(pid (\d+)\)", out)]
    assert len(started) == len(("temporal", "workflows", "planning", "agents", "agents again"))
    assert [pid for pid in started if psutil.pid_exists(pid)] == []
    assert [*elsewhere.iterdir(), *temporary.iterdir()] == []
