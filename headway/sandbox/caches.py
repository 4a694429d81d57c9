"""Caches of build tools that the agents of a run share: only those that their tools make safe for many at once."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from headway.sandbox.disk_usage import Quota, measure
from headway.sandbox.spec import Cache
from headway.system.files import delete
from headway.system.steady import steady

INSIDE = Path("/caches")
CAP_MB = 20_000
"""The most that one cache may take."""

LOOK_EVERY_S = 600.0
_OLD = ".old-"
_LOOKED = ".looked"


@dataclass(frozen=True)
class _Part:
    folder: str
    variable: str
    file: tuple[str, str] | None = None


_PARTS = {
    "ccache": (_Part("ccache", "CCACHE_DIR", ("ccache.conf", f"max_size = {CAP_MB // 2}M\n")),),
    "sccache": (_Part("sccache", "SCCACHE_DIR"),),
    "pip": (_Part("pip", "PIP_CACHE_DIR"),),
    "uv": (_Part("uv", "UV_CACHE_DIR"),),
    "npm": (_Part("npm", "npm_config_cache"),),
    "cargo": (_Part("cargo", "CARGO_HOME"),),
    "go": (_Part("go-build", "GOCACHE"), _Part("go-mod", "GOMODCACHE")),
}
"""Each of these tools locks its cache, or writes its entries whole and renames them, and checks what it reads by hash
(https://doc.rust-lang.org/cargo/guide/cargo-home.html, https://docs.astral.sh/uv/concepts/cache/,
https://pkg.go.dev/cmd/go#hdr-Build_and_test_caching). Cargo shares only its registry; its build outputs stay apart."""


def shared_caches(folder: Path, names: Iterable[str]) -> tuple[Cache, ...]:
    """The caches of a run, made where they are missing. No other folder is ever writable through them.

    Args:
        folder: All caches of the run.
        names: As `policy.caches` has them.
    """
    caches = []
    for part in (part for name in dict.fromkeys(names) for part in _PARTS[name]):
        place = folder / part.folder
        place.mkdir(parents=True, exist_ok=True)
        if part.file is not None and not (place / part.file[0]).exists():
            with contextlib.suppress(FileExistsError), (place / part.file[0]).open("x", encoding="ascii") as file:
                file.write(part.file[1])
        caches.append(Cache(place, INSIDE / part.folder, part.variable))
    return tuple(caches)


def keep_small(folder: Path, longest_command_s: float, cap_mb: int = CAP_MB) -> list[str]:
    """Set aside caches that have become too large, and remove those that were set aside before.

    A cache is given up as a whole, because most tools cannot bear one with holes. Commands that run with it keep it:
    it is removed only when every command that can know it is over. Walks the caches, at most every ten minutes by any
    process: not for an event loop.

    Returns:
        The folders that were set aside.
    """
    if not folder.is_dir():
        return []
    with (folder / _LOOKED).open("a", encoding="ascii") as looked:
        try:
            fcntl.flock(looked, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return []
        last = os.fstat(looked.fileno())
        # An age below nothing: the clock was ahead when it was looked at, so that it is time.
        if last.st_size and 0 <= time.time() - last.st_mtime < LOOK_EVERY_S:
            return []
        looked.truncate(0)
        looked.write("looked\n")
        looked.flush()
        return _look(folder, longest_command_s, Quota(cap_mb))


def _look(folder: Path, longest_command_s: float, cap: Quota) -> list[str]:
    aside = []
    for place in sorted(entry for entry in folder.iterdir() if entry.is_dir()):
        name, old, when = place.name.partition(_OLD)
        if old:
            # By seconds since boot: one of another boot has no command left that uses it.
            if not 0 <= steady() - int(when) <= longest_command_s + LOOK_EVERY_S:
                delete(place)  # which follows no link, also where it lets itself into a folder
        elif measure(place, Quota(cap.mb * 1000)).mb > cap.mb:
            place.rename(folder / f"{name}{_OLD}{int(steady())}")
            aside.append(name)
    return aside
