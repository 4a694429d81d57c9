"""Carries a patch out over the files of a workspace: all of it, or nothing.

Everything is worked out and checked first. Then the new files are made next to their places, and only then is each put
in its place by one step of the file system. The files before and after are noted in between; so a patch that was cut
short by a kill is finished from there, or told as it stands.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from headway.domain.errors import ToolError
from headway.editing.edit_process import EditProcess
from headway.editing.files import Files, told
from headway.editing.patch import Section, Update
from headway.editing.patch_draft import Change, Done, Draft
from headway.editing.safe_open import move_at, remove_at, replace_at, stage_at
from headway.system.excerpt import cut
from headway.system.shortage import raise_if_short


class Patching:
    """One patch on its way into a workspace.

    Args:
        name: Of the call, for the files that are made next to their places.
        apart: Makes the changes.
    """

    def __init__(self, files: Files, sections: Sequence[Section], name: str, apart: EditProcess) -> None:
        self._files = files
        self._apart = apart
        self._sections = sections
        self._name = name

    def drafted(self) -> tuple[list[Change], list[Done]]:
        """The changes of all files that the patch names, and the words on each. Writes nothing.

        Raises:
            ToolError: A part of the patch cannot be carried out; it names the file, the reason, and a way on.
        """
        draft = Draft(self._files, self._apart)
        done = []
        for section in self._sections:
            try:
                done.append(draft.take(section))
            except ToolError as error:
                raise ToolError(f"nothing was changed. {cut(section.path, 300)}: {error}") from error
        changes = [
            Change(target, self._staged(number), *draft.change_of(target))
            for number, target in enumerate(self._targets())
        ]
        if all(change.before == change.after for change in changes):
            raise ToolError("the patch would change nothing: every file is as it says already")
        return changes, done

    def stage(self, changes: Sequence[Change]) -> None:
        """Make the new files, next to their places.

        Raises:
            ToolError: The system refuses one, mostly for want of room; nothing was changed.
        """
        for change in _real(changes):
            if change.after is not None:
                with told(f"nothing was changed. {self._shown(change.target)}"):
                    stage_at(self._files.root, change.staged, change.after, change.mode)

    def carry_out(self, changes: Sequence[Change]) -> None:
        """Put the new files in their places.

        Raises:
            ToolError: The system refuses a file; it says how the others stand.
        """
        made: list[Change] = []
        for change in _real(changes):
            try:
                self._put(change)
            except OSError as error:
                why = f"{self._shown(change.target)}: {error.strerror or error}"
                left = [self._shown(each.target) for each in reversed(made) if not self._put_back(each)]
                kept = f"; these could not be put back and are as asked: {', '.join(left)}" if left else ""
                raise_if_short(error, why)
                raise ToolError(f"{why}. The patch was taken back{kept}") from error
            made.append(change)

    def finish(self, noted: "FileHashes") -> None:
        """Bring a patch to its end that was noted as begun; see `notes_of`.

        Raises:
            ToolError: It cannot be; it says how each file stands.
        """
        targets = self._targets()
        before_each, after_each = noted.of_patch()
        if len(targets) != len(after_each):
            raise ToolError("the process was interrupted in the middle of this patch: read its files before you go on")
        stands, steps = [], []
        for number, (target, before, after) in enumerate(zip(targets, before_each, after_each, strict=True)):
            now, staged = _name(self._files.content(target)), self._staged(number)
            stands.append((target, "as asked" if now == after else "as before" if now == before else "neither"))
            if now != after:
                new = None if after is None else self._files.content(staged)
                steps.append(Change(target, staged, None, new))
                if _name(new) != after:
                    stands[-1] = (target, stands[-1][1] + ", and its new content is gone")
        if all(stand in {"as asked", "as before"} for _, stand in stands):
            with told("the patch"):
                for step in _in_order(steps):
                    self._put(step)
            return
        told_of = "; ".join(f"{self._shown(target)} is {stand}" for target, stand in stands)
        raise ToolError(
            "the process was interrupted in the middle of this patch, and it cannot be finished. "
            f"Against what it asked for, {told_of}. Read these files before you go on"
        )

    def _put(self, change: Change) -> None:
        if change.after is None:
            remove_at(self._files.root, change.target)
        else:
            move_at(self._files.root, change.staged, change.target)

    def _put_back(self, change: Change) -> bool:
        root = self._files.root
        try:
            if change.before is None:
                remove_at(root, change.target)
            else:
                replace_at(root, change.target, change.before, change.staged.parent, change.mode)
        except OSError:
            return False
        return True

    def _targets(self) -> list[Path]:
        """Every file that the patch names, once, in its order."""
        named = [path for section in self._sections for path in paths_of(section)]
        return list(dict.fromkeys(self._files.place(path) for path in named))

    def _staged(self, number: int) -> Path:
        return self._files.scratch(f"{self._name}-{number}")

    def _shown(self, target: Path) -> str:
        return cut(str(target.relative_to(self._files.root)), 300)


class FileHashes(NamedTuple):
    """Hashes of files before they are changed, and of their new content, as the log notes them; None for no file.

    Attributes:
        before: Of each file of a patch.
        after: The same; of an edit the hash of its one file.
    """

    before: tuple[str | None, ...] | None = None
    after: str | tuple[str | None, ...] | None = None

    def of_patch(self) -> tuple[tuple[str | None, ...], tuple[str | None, ...]]:
        """Those of a patch; none where it was no patch."""
        return self.before or (), self.after if isinstance(self.after, tuple) else ()


NO_FILES = FileHashes()


def notes_of(changes: Sequence[Change]) -> FileHashes:
    """Hashes that the log notes of a patch before it is carried out."""
    return FileHashes(
        tuple(_name(change.before) for change in changes), tuple(_name(change.after) for change in changes)
    )


def paths_of(section: Section) -> list[str]:
    """The files that a section names; a new place comes before the old one, which goes."""
    moved = [section.move_to] if isinstance(section, Update) and section.move_to else []
    return [*moved, section.path]


def _in_order(changes: Sequence[Change]) -> list[Change]:
    """New content first, then deletions: a file that moves is at every moment in one of its places."""
    return [*(c for c in changes if c.after is not None), *(c for c in changes if c.after is None)]


def _real(changes: Sequence[Change]) -> list[Change]:
    return _in_order([change for change in changes if change.before != change.after])


def _name(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()[:16]
