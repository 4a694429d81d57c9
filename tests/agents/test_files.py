"""The files of a workspace: what can be reached, and what is said of what cannot."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headway.domain.errors import ToolError
from headway.editing.edit_process import EditProcess
from headway.editing.files import Files
from headway.editing.patch import parse_patch
from headway.editing.patching import Patching
from headway.system.bounded import unheld


@pytest.fixture
def files(tmp_path: Path) -> Files:
    root = tmp_path / "ws"
    for name, text in {
        "a.py": "one\ntwo\n",
        "src/b.py": "two\n",
        ".git/config": "two\n",
        ".headway/x": "two\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (tmp_path / "outside.txt").write_text("secret two\n")
    (root / "link").symlink_to(tmp_path / "outside.txt")
    (root / "up").symlink_to(tmp_path)
    (root / "inner").symlink_to("src/b.py")
    (root / "gitlink").symlink_to(".git")
    return Files(root)


@pytest.mark.parametrize(
    "path",
    [
        "../outside.txt",
        "/etc/passwd",
        "link",
        "up/outside.txt",
        ".git/config",
        "src/../.git/config",
        "gitlink/config",
        ".GIT/x",
        "\0",
    ],
)
def test_nothing_outside_and_nothing_of_git_is_reached(files: Files, path: str) -> None:
    for reach in (
        files.read,
        files.list_dir,
        files.raw,
        lambda p: files.grep("two", p),
        lambda p: files.write(p, b"x"),
    ):
        with pytest.raises(ToolError):
            reach(path)


def test_the_harness_folder_is_not_written_and_only_outputs_are_read(files: Files) -> None:
    with pytest.raises(ToolError, match="belongs to the harness"):
        files.write(".headway/out/1.txt", b"x")
    with pytest.raises(ToolError, match="belongs to the harness"):
        files.read(".headway/x")
    files.output_file(1).write_text("whole\n")
    assert files.read(".headway/out/1.txt") == "     1\twhole"
    assert files.grep("whole", ".headway/out") == ".headway/out/1.txt:1:whole"


def test_a_link_within_the_workspace_is_followed(files: Files) -> None:
    assert files.read("inner") == "     1\ttwo"
    files.write("inner", b"three\n")
    assert files.read("src/b.py") == "     1\tthree"


def test_output_is_not_written_through_a_link_that_a_command_left(files: Files, tmp_path: Path) -> None:
    (files.root / ".headway" / "out").symlink_to(tmp_path)
    files.output_file(3).write_text("mine")
    assert not (tmp_path / "3.txt").exists()


@pytest.mark.parametrize("search", ["rg", "grep"])
def test_grep_finds_lines_and_never_what_is_hidden(files: Files, search: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if search == "grep":
        monkeypatch.setattr("shutil.which", lambda _: None)
    assert sorted(files.grep("tw[o]").splitlines()) == ["a.py:2:two", "src/b.py:1:two"]
    assert files.grep("two", "src", "*.py") == "src/b.py:1:two"
    assert files.grep("nothing") == "[no match]"
    with pytest.raises(ToolError, match="grep"):
        files.grep("(")
    assert files.grep("two", "a.py") == "a.py:2:two"


def test_writing_keeps_the_mode_and_makes_folders(files: Files) -> None:
    script = files.root / "run.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    assert files.write("run.sh", b"#!/bin/bash\n")
    assert os.access(script, os.X_OK)
    assert not files.write("deep/er/file.txt", b"x")
    with pytest.raises(ToolError, match="is not a file"):
        files.write("src", b"x")
    with pytest.raises(ToolError, match="cannot be written"):
        files.write("a.py/b", b"x")


def _patched(files: Files, path: str) -> None:
    lines = ("*** Begin Patch", f"*** Update File: {path}", "@@", "-one", "+mine", "*** End Patch", "")
    patching = Patching(files, parse_patch("\n".join(lines)), "1", EditProcess(unheld))
    changes, _ = patching.drafted()
    patching.stage(changes)
    patching.carry_out(changes)


@pytest.mark.parametrize("bit", [0o4000, 0o2000, 0o1000])
def test_a_file_that_is_written_runs_as_nobody_else(files: Files, bit: int) -> None:
    """The harness owns the new file: a set-user-id bit would lend its rights to everybody."""
    script = files.root / "run.sh"
    for write in (lambda: files.write("run.sh", b"mine"), lambda: _patched(files, "run.sh")):
        script.write_text("one\n")
        script.chmod(0o755 | bit)
        write()
        assert script.read_text() != "one\n"
        assert stat.S_IMODE(script.stat().st_mode) == 0o755


def test_bytes_that_are_no_utf8_survive_an_edit(files: Files) -> None:
    (files.root / "latin").write_bytes(b"caf\xe9\nold\n")
    files.write("latin", files.raw("latin").replace(b"old", b"new"))
    assert (files.root / "latin").read_bytes() == b"caf\xe9\nnew\n"


def test_reading_says_what_it_does_not_show(files: Files) -> None:
    (files.root / "long").write_text("".join(f"{n}\n" for n in range(1, 1001)))
    (files.root / "bin").write_bytes(b"a\0b")
    assert (
        files.read("long", 10, 2) == "    10\t10\n    11\t11\n[lines 12 to 1000 are not shown: read on with start=12]"
    )
    assert files.read("long", 2000).startswith("[there is no line 2000")
    assert files.read("bin") == "[bin is binary: 3 bytes]"
    for path, said in {"nope": "does not exist", "src": "use list_dir"}.items():
        with pytest.raises(ToolError, match=said):
            files.read(path)
    os.mkfifo(files.root / "pipe")
    with pytest.raises(ToolError, match="not a file"):
        files.read("pipe")


def test_a_folder_is_listed_as_deep_as_asked(files: Files) -> None:
    assert files.list_dir() == "a.py\ngitlink\ninner\nlink\nsrc/\nup"
    assert "src/b.py" in files.list_dir(".", 2)
    with pytest.raises(ToolError, match="not a folder"):
        files.list_dir("a.py")


@pytest.fixture
def swapped(tmp_path: Path) -> Iterator[tuple[Files, Callable[[], None], Path]]:
    """Files with a folder `sub`, what puts a link to another folder in its place, and that other folder."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "sub").mkdir(parents=True)
    outside.mkdir()
    for folder in (root / "sub", outside):
        (folder / "notes").write_text(f"of {folder.name}\n")

    def swap() -> None:
        (root / "sub").rename(root / "was")
        (root / "sub").symlink_to(outside)

    yield Files(root), swap, outside
    assert (outside / "notes").read_text() == "of outside\n"
    assert [path.name for path in outside.iterdir()] == ["notes"]


ACTS: dict[str, Callable[[Files], object]] = {
    "read_file": lambda files: files.read("sub/notes"),
    "edit_file": lambda files: files.raw("sub/notes"),
    "write_file": lambda files: files.write("sub/notes", b"mine"),
    "write_file, new": lambda files: files.write("sub/more/new", b"mine"),
    "list_dir": lambda files: files.list_dir("sub"),
}


@pytest.mark.parametrize("act", sorted(ACTS))
def test_a_folder_that_becomes_a_link_after_it_was_checked_leads_nowhere(
    swapped: tuple[Files, Callable[[], None], Path], monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    """As a process that a command left behind could do it, at the levels that leave any."""
    files, swap, _ = swapped
    checked = Files._inside

    def then_swapped(self: Files, path: str) -> Path:
        found = checked(self, path)
        swap()
        return found

    monkeypatch.setattr(Files, "_inside", then_swapped)
    with pytest.raises(ToolError):
        ACTS[act](files)


@pytest.mark.parametrize("path", ["/workspace/a.txt", "/workspace//a.txt", "/workspace/./a.txt"])
def test_a_path_as_commands_see_it_is_meant_from_the_top(tmp_path: Path, path: str) -> None:
    (tmp_path / "a.txt").write_text("here\n")
    assert "here" in Files(tmp_path).read(path)
    assert "a.txt" in Files(tmp_path).list_dir("/workspace")


@pytest.mark.parametrize("path", ["/workspace/../a.txt", "/workspaces/a.txt", "/etc/passwd", "/workspace/link"])
def test_other_absolute_paths_stay_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(ToolError, match="outside of the workspace"):
        Files(tmp_path).read(path)


ODD = {
    "a line break": "src/new.py\n",
    "two paths": "a.py\nb.py",
    "a tab": "a\tb.py",
    "a home": "~/new.py",
    "another's home": "~bob/new.py",
    "quotes": '"src/new.py"',
    "single quotes": "'new.py'",
    "backticks": "`new.py`",
    "quotes around a name": 'src/"new.py"',
    "quotes of a text": "\u201cnew.py\u201d",
    "a backslash": "src\\new.py",
    "an escaped blank": "my\\ file.py",
    "blanks around it": " new.py",
    "an address": "file:///workspace/new.py",
    "a drive": "C:/new.py",
}


@pytest.mark.parametrize("path", ODD.values(), ids=ODD)
def test_a_path_that_a_shell_would_read_otherwise_is_told_and_makes_nothing(files: Files, path: str) -> None:
    before = sorted(files.root.rglob("*"))
    for use in (lambda: files.write(path, b"x"), lambda: files.place(path), lambda: files.read(path)):
        with pytest.raises(ToolError, match=r"does not exist\. It "):
            use()
    assert sorted(files.root.rglob("*")) == before


@pytest.mark.parametrize("path", ODD.values(), ids=ODD)
def test_a_name_that_is_there_is_what_it_is(files: Files, path: str) -> None:
    place = files.root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("one\n")
    assert files.write(path, b"two\n")
    assert place.read_text() == "two\n"
    assert "two" in files.read(path)


@pytest.mark.parametrize(
    "path", ["src/$id.tsx", "a b.py", "[slug].ts", "it's.md", "a~", "-x", "c:d.py", "\u00e9.py", 'a/b"c']
)
def test_an_unusual_name_is_written_as_it_stands(files: Files, path: str) -> None:
    assert not files.write(path, b"x")
    assert (files.root / path).read_bytes() == b"x"
