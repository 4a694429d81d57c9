"""The run's forbidden dependencies, held to at landing: what a change adds of them to a manifest or a lock file."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from headway.agent.manifests.kinds import Kind, kind_of, names_in
from headway.agent.manifests.names import normal
from headway.domain.ids import Oid
from headway.git.changes import NO_MODE, entries, shown
from headway.git.hub import Hub

MANIFEST_BYTES = 20_000_000
"""A lock file beyond this is read only so far."""


@dataclass(frozen=True)
class Breach:
    """A forbidden dependency that a change adds: by which of the policy's names, and where."""

    name: str
    rule: str
    path: str


def forbids(rule: str, name: str) -> bool:
    """Whether a name of the policy means a dependency, both in any spelling.

    It means the dependency of that name, what lies below it (`@scope`, a vendor, a Go module's path), the artifact or
    the group of `group:artifact`, and with `*` whatever fits.
    """
    wanted, found = normal(rule), normal(name)
    parts = {found, *found.split(":")} if ":" in found else {found}
    return any(fnmatchcase(part, wanted) for part in parts) or found.startswith(f"{wanted}/")


def breaches(hub: Hub, base: Oid, tree: Oid, rules: Sequence[str]) -> list[Breach]:
    """What `tree`, which is to land, adds of the forbidden dependencies against the commit `base`.

    A dependency that the base names in any manifest of the same world was there before, and is nobody's fault.
    """
    changed = [
        (entry, kind)
        for entry in (entries(hub.repo, base, tree) if rules else [])
        if entry.mode != NO_MODE and (kind := kind_of(entry.path)) is not None
    ]
    found: list[tuple[Breach, Kind]] = []
    for entry, kind in changed:
        old = _names(hub, entry.path, entry.old_oid) if entry.old_mode != NO_MODE else frozenset()
        for name in sorted(_names(hub, entry.path, entry.oid) - old):
            rule = next((rule for rule in rules if forbids(rule, name)), None)
            found += [(Breach(name, rule, shown(entry.path)), kind)] if rule is not None else []
    if not found:
        return []
    before = _before(hub, base, {kind.world for _, kind in found})
    return [breach for breach, kind in found if breach.name not in before[kind.world]]


def _before(hub: Hub, base: Oid, worlds: Iterable[str]) -> dict[str, frozenset[str]]:
    """All that the base's manifests name, by world."""
    names: dict[str, frozenset[str]] = dict.fromkeys(worlds, frozenset())
    empty = hub.repo.run("mktree", stdin=b"").oid
    for entry in entries(hub.repo, empty, base):
        kind = kind_of(entry.path)
        if kind is not None and kind.world in names:
            names[kind.world] |= _names(hub, entry.path, entry.oid)
    return names


def _names(hub: Hub, path: str, blob: Oid) -> frozenset[str]:
    said = hub.repo.run("cat-file", "blob", blob, ok=None)
    if said.code:
        # A submodule in a manifest's place; it names nothing.
        return frozenset()
    return names_in(path, said.out[:MANIFEST_BYTES].decode("utf-8", "replace"))
