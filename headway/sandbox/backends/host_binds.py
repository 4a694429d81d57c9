"""The part of the machine that commands see: its programs, and no private files."""

import os
import pwd
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from headway.system.places import is_folder, is_there
from headway.system.user import user_home

SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix", "/gnu", "/snap"),
    *("/var/lib/dpkg", "/var/lib/texmf", "/var/cache/fontconfig", "/sys/devices/system"),
)

TOOLCHAINS = (
    *(".cargo/bin", ".rustup", ".pyenv", ".nvm", "go/bin", "sdk", ".local/bin", ".local/lib", ".local/opt"),
    *(".local/pipx", ".local/share/pipx", ".local/share/uv", ".local/share/mise", ".local/share/fnm"),
    *(".asdf", ".sdkman", ".jenv", ".rbenv", ".nodenv", ".goenv", ".volta", ".bun/bin", ".deno/bin", ".dotnet"),
    *(".ghcup", ".juliaup", ".julia/juliaup", ".elan", ".opam", ".nix-profile", "miniconda3", "miniforge3"),
)
"""Below a home: install roots, each as narrow as its tools allow."""

CREDENTIALS = (
    *(".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".config", ".password-store", ".local/share/keyrings"),
    *(".netrc", ".npmrc", ".pypirc", ".gitconfig", ".git-credentials", ".pgpass", ".my.cnf", ".vault-token"),
    *(".cargo/credentials", ".cargo/credentials.toml", ".cargo/config", ".cargo/config.toml", ".gem/credentials"),
    *(".m2/settings.xml", ".m2/settings-security.xml", ".gradle/gradle.properties", ".terraform.d", ".sbt"),
    *(".bash_history", ".zsh_history", ".python_history", ".mozilla", ".thunderbird", ".subversion", ".s3cfg"),
)
"""Below a home: never shown, also not by `policy.read_only`."""

_TOOLS_CREDENTIALS = (".nvm/versions/node/*/etc/npmrc", ".pyenv/versions/*/pip.conf", "miniconda3/.condarc")
_OF_THE_SYSTEM = {Path(place) for place in SYSTEM} - {Path("/etc"), Path("/opt")}
"""Packages fill these; they keep nothing private there. /usr has too many files to be looked at."""

_SEARCHED = 50_000
"""Files and folders: two seconds on a slow disk, at the start of a worker process."""

_HOMES = {("/", "home"), ("/", "Users")}
_KEYS = (*CREDENTIALS, ".env")
"""Not shown of any home, nor of the folder around a `bin` on PATH."""

_KERNEL = ("/proc", "/sys", "/dev", "/run", "/boot")


@dataclass(frozen=True)
class HostBinds:
    """The visible part of the machine.

    Attributes:
        shown: Files and folders at their own paths, those of links being the links themselves.
        hidden: Files and folders below `shown` that are not shown.
    """

    shown: tuple[Path, ...]
    hidden: tuple[Path, ...]


def host_binds(private: Iterable[Path], env: Mapping[str, str] = os.environ, home: Path | None = None) -> HostBinds:
    """The part of this machine that every command may read.

    Args:
        private: Folders that are never shown: the state folder.
        env: Its PATH names more tools.
        home: The user's.
    """
    home = home or user_home()
    shown = [Path(place) for place in SYSTEM if os.path.lexists(place)]
    shown += [home / place for place in TOOLCHAINS if is_there(home / place)]
    secret = [place.resolve() for place in private]
    homes = _homes(env, home)
    roots = list(_on_path(env, home, homes))
    for entry in roots:
        covered = any(entry.resolve().is_relative_to(place.resolve()) for place in shown)
        if not covered and not any(_overlap(entry.resolve(), place) for place in secret):
            shown.append(entry)
    searched = [place for place in shown if place not in _OF_THE_SYSTEM and place.is_dir() and not place.is_symlink()]
    hidden = [
        *secret,
        *_not_for_all([*searched, Path("/usr/local")]),
        *(top / place for top in (*homes, *roots) for place in _KEYS),
    ]
    hidden += Path("/var/lib/dpkg").glob("lock*")  # a lock taken on it would stop the package manager of the machine
    hidden += [found for pattern in _TOOLS_CREDENTIALS for found in home.glob(pattern)]
    return HostBinds(tuple(shown), tuple(place for place in hidden if is_there(place) and _lies_in(place, shown)))


def refused(path: Path, private: Iterable[Path], home: Path | None = None) -> str:
    """Reason why a path of `policy.read_only` is not shown; empty when it is."""
    home = home or user_home()
    if not path.is_absolute():
        return "it is not an absolute path"
    real = path.resolve()
    if not real.exists():
        return "it does not exist on the machine that runs the commands"
    if any(_overlap(real, place.resolve()) for place in private):
        return "it would show Headway's own state: logs, keys, other workspaces"
    for name in CREDENTIALS:
        if _overlap(real, (home / name).resolve()):
            return f"it would show {home / name}, where credentials are"
    if real == Path("/") or any(_overlap(real, Path(place)) for place in _KERNEL):
        return "it would show what belongs to the system or to other users"
    return ""


def _on_path(env: Mapping[str, str], home: Path, homes: Iterable[Path]) -> Iterator[Path]:
    """The install roots of tools on PATH: the folder above a `bin`, but the `bin` itself where the one above is a home,
    lies above a home, or is shared by many tools.
    """
    for text in dict.fromkeys(env.get("PATH", "").split(os.pathsep)):
        entry = Path(text)
        if not entry.is_absolute() or not is_folder(entry):
            continue
        root = entry.parent if entry.name in {"bin", "sbin", "shims", "Scripts"} else entry
        common = root in {Path("/"), home / ".local", home / ".cargo", home / "go"}
        yield entry if common or any(each.is_relative_to(root) for each in homes) else root


def _homes(env: Mapping[str, str], home: Path) -> list[Path]:
    """The homes of people on this machine; `/` and the like are homes of services.

    A directory service may not list its people, so that a folder in the usual place counts as a home as well.
    """
    listed = [place for each in pwd.getpwall() if len((place := Path(each.pw_dir)).parts) > 2]  # noqa: PLR2004  # /home/x
    named = [Path(text).parts[:3] for text in env.get("PATH", "").split(os.pathsep)]
    usual = [Path(*parts) for parts in named if len(parts) > 2 and parts[:2] in _HOMES]  # noqa: PLR2004
    return list(dict.fromkeys((home, *listed, *usual)))


def _not_for_all(folders: Iterable[Path]) -> Iterator[Path]:
    """Files and folders that this user may read and others may not: as root, for one, the hashes of passwords.

    It looks at the first `_SEARCHED` entries, those near the top first.
    """
    groups = {os.getegid(), *os.getgroups()}
    todo, seen = deque(dict.fromkeys(folders)), 0
    while todo and seen < _SEARCHED:
        try:
            entries = list(os.scandir(todo.popleft()))
        except OSError:
            continue
        seen += len(entries)
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISLNK(status.st_mode):
                continue
            ours = status.st_uid == os.geteuid() or (status.st_gid in groups and status.st_mode & stat.S_IRGRP)
            if not status.st_mode & stat.S_IROTH:
                if ours:
                    yield Path(entry.path)
            elif stat.S_ISDIR(status.st_mode):
                todo.append(Path(entry.path))


def _lies_in(place: Path, shown: Iterable[Path]) -> bool:
    return any(place.is_relative_to(root) or place.resolve().is_relative_to(root.resolve()) for root in shown)


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)
