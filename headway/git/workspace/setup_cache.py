"""Setup of a checkout: `setup` ran in it, over the inputs that it depends on."""

import re
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from headway.domain.ids import Oid, short_hash
from headway.git.repo import Repo
from headway.system.files import write_whole

_WITHHELD = "setup-withheld"
_INPUTS = re.compile(
    r"""(?ix) (?: ^ | / ) (?:
        [^/]*\.lock | [^/]*[-.]lock\.(?:json|ya?ml|hcl) | [^/]*\.lockb | [^/]*lockfile | npm-shrinkwrap\.json
      | package\.json | \.npmrc | deno\.jsonc? | pyproject\.toml | setup\.(?:py|cfg)
      | [^/]*requirements[^/]*\.(?:txt|in)
      | Pipfile | environment\.ya?ml | Cargo\.toml | rust-toolchain(?:\.toml)? | go\.(?:mod|sum|work) | go\.work\.sum
      | Gemfile | [^/]*\.gemspec | composer\.json | pom\.xml | (?:build|settings)\.gradle(?:\.kts)?
      | gradle(?:-wrapper)?\.properties | CMakeLists\.txt | configure(?:\.ac)? | conanfile\.(?:txt|py) | vcpkg\.json
      | meson\.build | mix\.exs | Package\.(?:swift|resolved) | [^/]*\.csproj | packages\.config | flake\.nix
      | \.tool-versions | \.[a-z]+-version | \.nvmrc | Dockerfile
    ) $"""
)
"""Manifests, lock files and versions of tools. A change of one has `setup` run again."""


class SetupDone(BaseModel):
    """Result of a run of `setup`.

    Attributes:
        key: Its inputs; see `setup_key`.
        ended: Its end, in words.
        withheld: Secrets or network that it lacked where it failed: agents may have written the files that it ran.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    exit_code: int | None
    ended: str
    output: str
    seconds: float
    withheld: tuple[str, ...] = ()

    @property
    def final(self) -> bool:
        """True if a new run on the same inputs would give the same result."""
        return self.exit_code == 0 or bool(self.withheld)


def note_withheld(hub: Path, done: SetupDone) -> None:
    """Note for the run, in the hub, that `setup` failed and lacked withheld rights, or that this is over."""
    note = hub / _WITHHELD
    if done.withheld:
        write_whole(note, " and ".join(done.withheld).encode(), synced=False)
    else:
        note.unlink(missing_ok=True)


def withheld_note(hub: Path) -> str:
    """The note to the user about withheld rights, with the choice; empty where `setup` lacks none."""
    try:
        withheld = (hub / _WITHHELD).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    return withheld and (
        f"setup fails on the trunk without {withheld}, which it has on the base's files only, because agents may have "
        "written what it runs now: what it made on the base is kept, and the check cannot be run; "
        "policy.setup_trust of a run's input (network, full) lets it have them"
    )


@lru_cache(maxsize=512)
def setup_key(repo: Repo, tree: Oid, command: str) -> str:
    """Stands for the command and for a tree's manifests and lock files: with the same key it need not run again."""
    listed = repo.run("ls-tree", "-r", "-z", tree).text.split("\0")
    return short_hash(command, *(line for line in listed if _INPUTS.search(line.partition("\t")[2])))
