"""Refuses files that cannot land, because the repository stores them in another form."""

from collections.abc import Sequence
from contextlib import closing

from headway.domain.ids import Oid
from headway.git.attributes import LARGEST, RULES_FILE, attributes_of, has_value, is_rules, words_of
from headway.git.changes import NO_MODE, Entry, shown
from headway.git.landing.growth import sizes_of
from headway.git.landing.landing_outcome import LandingRefused
from headway.git.objects import Reader
from headway.git.repo import Repo
from headway.git.repository_rules import CONVERTING, ENCODING, FILTER, RepositoryRules
from headway.git.workspace.rules_files import NAMES, was_set_aside

_MACRO = b"[attr]"


def refused_rules_files(repo: Repo, changed: Sequence[Entry]) -> LandingRefused | None:
    """Refuse rules files of absurd length, also under the other name that they got: every git here would read them."""
    aside = [each for each in changed if each.mode != NO_MODE and was_set_aside(each.path)]
    if aside:
        why = "git cannot read rules of this length, so the harness gave these files another name: delete them"
        return LandingRefused(why, tuple(shown(each.path) for each in aside))
    new = [each for each in changed if each.mode != NO_MODE and each.path.rpartition("/")[2] in NAMES]
    sizes = sizes_of(repo, [each.oid for each in new])
    large = tuple(shown(each.path) for each, size in zip(new, sizes, strict=True) if size > LARGEST)
    return (
        LandingRefused(f"rules files of over {LARGEST // 1_000_000} MB do not land: write fewer rules", large)
        if large
        else None
    )


def refused_rules(
    repo: Repo, rules: RepositoryRules, base: Oid, tree: Oid, changed: Sequence[Entry]
) -> LandingRefused | None:
    """Refuse `.gitattributes` that bring a filter or an encoding, by the change from `base` to `tree`.

    They would decide in which form the files of every agent land, and no agent would see it. A `.gitattributes` that is
    not part of the landing is refused, too: its rules are in force in the workspace and convert the files that land.
    """
    found = [each for each in changed if is_rules(each.path)]
    if not found:
        return None
    with closing(Reader(repo, {})) as reader:
        # Only the file at the top may define macros; every folder may use them.
        top = reader.entry(tree, RULES_FILE)
        names = _converting_names(reader.content(top[1], LARGEST) or b"") if top else _converting_names(b"")
        files = [each for each in found if each.mode.startswith("100")]
        bad = [each for each in files if _converts_more(reader, each, names)]
    if not bad and rules.converts and _uncovers(repo, base, tree):
        bad = found
    if not bad:
        return None
    reason = (
        f"these bring a '{FILTER}' or a '{ENCODING}', with which files land in another form than you see; "
        "take that out and land again, and say in your handoff that the user has to change it"
    )
    return LandingRefused(reason, tuple(shown(each.path) for each in bad))


def _uncovers(repo: Repo, base: Oid, tree: Oid) -> bool:
    """True if a filter or an encoding applies to a file in `tree` that did not in `base`, such as by a deleted rule."""
    listed = repo.run("ls-tree", "-r", "-z", "--name-only", tree).out.decode(errors="surrogateescape")
    paths = [path for path in listed.split("\0") if path]
    before, after = (attributes_of(repo, of, paths, *CONVERTING) for of in (base, tree))
    return any(
        has_value(value) and before.get(path, {}).get(name) != value
        for path, values in after.items()
        for name, value in values.items()
    )


def _converts_more(reader: Reader, each: Entry, names: set[bytes]) -> bool:
    new = reader.content(each.oid, LARGEST)
    if new is None:
        return True
    old = None if each.old_mode == NO_MODE else reader.content(each.old_oid, LARGEST)
    known = list(words_of(old or b""))
    return any(_given(words) & names for words in words_of(new) if words not in known)


def _converting_names(text: bytes) -> set[bytes]:
    """The converting attributes, and the macros in `text` that set one of them."""
    names = {name.encode() for name in CONVERTING}
    macros = [words for words in words_of(text) if words[0].lstrip(b'"').startswith(_MACRO)]
    for _ in macros:
        more = {words[0].strip(b'"').removeprefix(_MACRO) for words in macros if _given(words) & names} - names
        if not more:
            break
        names |= more
    return names


def _given(words: Sequence[bytes]) -> set[bytes]:
    """The attributes that a line sets or gives a value; `-x` and `!x` take one away.

    A quoted pattern may hold blanks. A word of it that looks like an attribute then counts as one, so a harmless file
    may be refused and no harmful one lands.
    """
    return {word.partition(b"=")[0] for word in words[1:] if not word.startswith((b"-", b"!"))}


def refused_content(
    repo: Repo, rules: RepositoryRules, start: Oid, tree: Oid, changed: Sequence[Entry]
) -> LandingRefused | None:
    """Refuse files with a filter, which is never run, by the rules of the run's first commit and those of `tree`.

    Content that git already stores for a file of the same filter is in the filter's form. So files may be renamed and
    copied.
    """
    if not rules.converts:
        return None
    new = [each for each in changed if each.mode.startswith("100") and each.oid != each.old_oid]
    paths = [each.path for each in new]
    first = repo.tree_of(start)
    ruled = [attributes_of(repo, of, paths, FILTER) for of in dict.fromkeys((first, tree))]
    filtered: dict[str, set[str]] = {}
    for values in ruled:
        for path, found in values.items():
            if has_value(found.get(FILTER)):
                filtered.setdefault(path, set()).add(found[FILTER])
    raw = [each for each in new if each.path in filtered and not _is_stored(repo, first, each, filtered[each.path])]
    if not raw:
        return None
    named = ", ".join(sorted({name for each in raw for name in filtered[each.path]}))
    reason = (
        f"the repository keeps these files through a filter ({named}), which is not run here: they would land as they "
        "are; leave them out with 'paths', and say in your handoff what they should hold"
    )
    return LandingRefused(reason, tuple(shown(each.path) for each in raw))


def _is_stored(repo: Repo, first: Oid, new: Entry, filters: set[str]) -> bool:
    """True if the run's first commit holds a file of the same content with the same filters."""
    lines = repo.run("ls-tree", "-r", "-z", first).out.decode(errors="surrogateescape").split("\0")
    same = [line.partition("\t")[2] for line in lines if f" {new.oid}\t" in line]
    given = attributes_of(repo, first, same, FILTER)
    return any({values.get(FILTER)} == filters for values in given.values())


def why_unreadable(repo: Repo, tree: Oid, paths: Sequence[str]) -> str:
    """The reason why git refuses these files when it is an encoding of the repository's rules; else an empty text."""
    ruled = attributes_of(repo, tree, paths, ENCODING)
    named = sorted({values[ENCODING] for values in ruled.values()})
    return f"their {ENCODING} is {', '.join(named)}, and what was written is not" if named else ""
