"""Finds which of many things share a place of the repository. Pure, and each path costs one walk over its parts.

Planners name the paths, thousands of them, so that to compare each with each takes minutes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

PATHS = 200
"""Paths of one thing that are taken in."""

DEEP = 40
"""Parts of a path that are compared."""


@dataclass
class _Folder:
    """A place of the tree.

    Attributes:
        here: Items that name this path.
        below: Items that name this path or one below it.
    """

    folders: "dict[str, _Folder]" = field(default_factory=dict)
    here: dict[int, None] = field(default_factory=dict)
    below: dict[int, None] = field(default_factory=dict)


class PathIndex:
    """Numbered things by the paths that they name."""

    def __init__(self) -> None:
        self._top = _Folder()

    def add(self, number: int, paths: Iterable[str]) -> None:
        """Take in a thing with its paths."""
        for parts in _parts_of(paths):
            place = self._top
            for part in parts:
                place = place.folders.setdefault(part, _Folder())
                place.below[number] = None
            place.here[number] = None

    def on(self, paths: Iterable[str]) -> list[int]:
        """The numbers of paths that lie in, or hold, one of these paths, in order."""
        found: set[int] = set()
        seen: set[int] = set()
        for parts in _parts_of(paths):
            place = self._top
            for part in parts:
                below = place.folders.get(part)
                if below is None:
                    break
                place = below
                if id(place) not in seen:
                    seen.add(id(place))
                    found.update(place.here)
            else:
                found.update(place.below)
        return sorted(found)


def overlap(paths: Iterable[str], others: Iterable[str]) -> list[str]:
    """Those of `paths` that lie in, or hold, one of `others`."""
    index = PathIndex()
    for other in others:
        index.add(0, [other])
    return [path for path in paths if index.on([path])]


def _parts_of(paths: Iterable[str]) -> Iterable[tuple[str, ...]]:
    found: dict[tuple[str, ...], None] = {}
    for _, path in zip(range(PATHS), paths, strict=False):
        parts = tuple(part for part in path.strip().split("/", DEEP)[:DEEP] if part not in {"", "."})
        if parts:
            found[parts] = None
    return found
