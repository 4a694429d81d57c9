"""The rules of a repository that a run cannot follow: filters, merge drivers, submodules. Read at the run's start."""

import os
from collections import Counter
from collections.abc import Iterable
from contextlib import closing

from pydantic import BaseModel, ConfigDict

from headway.domain.ids import Oid
from headway.git.attributes import LARGEST, attributes_of, driver_names, has_value, is_rules
from headway.git.changes import SUBMODULE, shown
from headway.git.objects import Reader
from headway.git.repo import Repo

FILTER, ENCODING = "filter", "working-tree-encoding"
CONVERTING = (FILTER, ENCODING)
"""Attributes for which git stores a file in another form than a work tree holds."""

_NAMED = 5


class Filter(BaseModel):
    """A filter that files of the repository go through.

    Attributes:
        files: Number of tracked files.
        example: One of them.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    files: int
    example: str


class RepositoryRules(BaseModel):
    """The rules of the commit that a run starts from.

    Attributes:
        converts: A rule names a filter or an encoding, also one that applies to no file yet.
        drivers: Merge drivers that are not git's own.
    """

    model_config = ConfigDict(frozen=True)

    converts: bool = False
    filters: tuple[Filter, ...] = ()
    drivers: tuple[str, ...] = ()
    submodules: tuple[str, ...] = ()

    def notes(self) -> list[str]:
        """The consequences for a run, one sentence each, for its user."""
        found = [
            f"{each.files} files of the repository go through the filter '{each.name}', such as {shown(each.example)}: "
            "no filter is run, agents see what git stores of them, and a change of their content is refused at landing"
            for each in self.filters
        ]
        if self.drivers:
            found.append(
                f"the repository's merge drivers are not run: files of {_some(self.drivers)} conflict where two agents "
                "change them"
            )
        if self.submodules:
            found.append(
                f"the repository has submodules ({_some(self.submodules)}): in workspaces and for 'check' they are "
                "empty folders unless 'setup' fills them, and files that agents write in them cannot land"
            )
        return found


def read_rules(repo: Repo, commit: Oid) -> RepositoryRules:
    """The rules of a commit."""
    listed = repo.run("ls-tree", "-r", "-z", commit).out.split(b"\0")
    files: dict[str, str] = {}
    for line in filter(None, listed):
        facts, _, path = line.partition(b"\t")
        files[os.fsdecode(path)] = facts.decode()
    submodules = tuple(shown(path) for path, facts in files.items() if facts.startswith(SUBMODULE))
    texts = list(_texts(repo, (facts.split()[2] for path, facts in files.items() if is_rules(path))))
    drivers = {shown(os.fsdecode(name)) for text in texts for name in driver_names(text)}
    if not any(name.encode() in text for text in texts for name in CONVERTING):
        return RepositoryRules(drivers=tuple(sorted(drivers)), submodules=submodules)
    ruled = attributes_of(
        repo, repo.tree_of(commit), [p for p, facts in files.items() if facts.startswith("100")], FILTER
    )
    named = {path: values[FILTER] for path, values in ruled.items() if has_value(values.get(FILTER))}
    examples = {name: path for path, name in named.items()}
    filters = (
        Filter(name=shown(name), files=n, example=shown(examples[name])) for name, n in Counter(named.values()).items()
    )
    return RepositoryRules(converts=True, filters=tuple(filters), drivers=tuple(sorted(drivers)), submodules=submodules)


def _texts(repo: Repo, oids: Iterable[str]) -> Iterable[bytes]:
    with closing(Reader(repo, {})) as reader:
        for oid in oids:
            text = reader.content(Oid(oid), LARGEST)
            if text is not None:
                yield text


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
