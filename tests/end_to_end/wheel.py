"""The package as `pip install` gets it."""

import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INTO_THE_WHEEL = ("headway", "workflows", "activities", "prompts", "worker.py", "temporal-dev.yaml")
INTO_THE_BUILD = (*INTO_THE_WHEEL, "pyproject.toml", "README.md", "LICENSE")
WITHIN_S = 120.0


def say(*argv: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=WITHIN_S, check=False, cwd=cwd, env=env)
    assert done.returncode == 0, f"{argv}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build_wheel(source: Path) -> Path:
    """Built from a copy, because building leaves its traces in the folder it builds."""
    for name in INTO_THE_BUILD:
        here = ROOT / name
        if here.is_dir():
            shutil.copytree(here, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(here, source / name)
    out = source / "out"
    say(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *_isolation(), "-w", out, ".", cwd=source)
    (built,) = out.glob("headway-*.whl")
    return built


def _isolation() -> tuple[str, ...]:
    """With a setuptools at hand that builds wheels by itself, nothing is fetched."""
    try:
        major, minor = (int(part) for part in importlib.metadata.version("setuptools").split(".")[:2])
    except importlib.metadata.PackageNotFoundError:
        return ()
    return ("--no-build-isolation",) if (major, minor) >= (77, 0) else ()
