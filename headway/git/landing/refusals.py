"""The checks that a change passes before it lands, in their order. The first that fails refuses it."""

import zlib

from headway.domain.ids import Oid
from headway.git.changes import Entry, entries, shown
from headway.git.hub import Hub
from headway.git.landing.growth import ALWAYS_FROM, added_bytes, growth
from headway.git.landing.landing_outcome import LandingRefused
from headway.git.landing.merging import marked
from headway.git.landing.submission import Submission, doubtful
from headway.git.landing.unlandable import refused_content, refused_rules, refused_rules_files, why_unreadable
from headway.git.repo import Repo
from headway.git.workspace.scan import Scan
from headway.git.workspace.workspace import Workspace

_MOST_NAMED = 500
_MB = 1024 * 1024
_ONE_IN = 16


def refused_files(repo: Repo, found: Scan, submission: Submission) -> LandingRefused | None:
    """Refuse files that git cannot take as files of this repository."""
    nested = tuple(path for path in found.nested if submission.touches(path))
    if nested:
        return LandingRefused(
            "these are repositories of their own: delete their .git, or name them in .gitignore", nested
        )
    unreadable = tuple(path for path in found.unreadable if submission.touches(path))
    if not unreadable:
        return None
    why = why_unreadable(repo, found.tree, unreadable)
    told = f"git cannot take these files{why and f' ({why})'}: "
    return LandingRefused(f"{told}rename or delete them, or name them in .gitignore", unreadable)


def refused_change(
    workspace: Workspace, found: Scan, tree: Oid, changed: list[Entry], submission: Submission
) -> LandingRefused | None:
    """Refuse the change from the workspace's base to `tree`; `changed` are the entries that differ."""
    hub, base = workspace.hub, workspace.base
    repo, rules = hub.repo, hub.rules()
    everything = changed if submission.paths is None else entries(repo, base, found.tree)
    return (
        refused_rules(repo, rules, repo.tree_of(base), found.tree, everything)
        or refused_rules_files(repo, changed)
        or _refused_markers(repo, workspace, tree)
        or refused_content(repo, rules, hub.facts().base, tree, changed)
        or _refused_size(hub, changed, submission)
        or _refused_doubts(repo, base, tree, changed, submission)
    )


def _refused_markers(repo: Repo, workspace: Workspace, tree: Oid) -> LandingRefused | None:
    still = marked(repo, tree, workspace.notes().conflicted)
    if not still:
        return None
    why = "conflict markers are left in these files: resolve them and land again"
    return LandingRefused(why, tuple(map(shown, still)))


def _refused_size(hub: Hub, changed: list[Entry], submission: Submission) -> LandingRefused | None:
    """Refuse a change that the trunk has no room for. Those that land at the same moment may pass together."""
    if submission.trunk_mb is None:
        return None
    added = added_bytes(hub.repo, changed)
    looked_at = added >= ALWAYS_FROM or zlib.crc32(submission.place.encode()) % _ONE_IN == 0
    if added <= 0 or not looked_at:
        return None
    grown, most = growth(hub), submission.trunk_mb * _MB
    if grown + added <= most:
        return None
    why = (
        f"the run's files may grow by {submission.trunk_mb:,} MB (limits.trunk_mb) and have grown by "
        f"{grown / _MB:,.1f} MB; this change adds {added / _MB:,.1f} MB"
    )
    return LandingRefused(why, tuple(shown(entry.path) for entry in changed if entry.status == "A")[:_MOST_NAMED])


def _refused_doubts(
    repo: Repo, base: Oid, tree: Oid, changed: list[Entry], submission: Submission
) -> LandingRefused | None:
    doubts = {} if submission.accept_doubtful else doubtful(repo, base, tree, changed)
    if not doubts:
        return None
    why = ", ".join(sorted(set(doubts.values())))
    return LandingRefused(f"these look as if they should not land ({why})", tuple(map(shown, doubts)), doubtful=True)
