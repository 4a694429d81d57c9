"""Repositories as their worst authors could write them, drawn from a seed.

Objects are written byte by byte, so that a tree may hold what no git would put into one.
"""

import hashlib
import os
import random
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

FILE, RUNS, LINK, FOLDER, REPOSITORY = b"100644", b"100755", b"120000", b"40000", b"160000"
Files = dict[bytes, tuple[bytes, str]]
MARKER = "ran"
"""A file that appears outside when something of the repository was run."""


class OddRepository:
    """One repository, made in a folder.

    Args:
        folder: Where it is made; it is not there yet.
        outside: A folder that belongs to the user, into which links lead.
        seed: Decides everything.
        large: Sizes of megabytes and thousands, instead of some hundreds.

    Attributes:
        kinds: What is odd about it.
        paths: Names of files that agents may ask for.
    """

    def __init__(self, folder: Path, outside: Path, seed: int, *, large: bool) -> None:
        self.draw = random.Random(seed)
        self.folder, self._outside, self._large = folder, outside, large
        self._git = folder / ".git"
        subprocess.run(["git", "init", "--quiet", "--initial-branch=main", folder], check=True)
        with (self._git / "config").open("a") as config:
            config.write("[gc]\n\tauto = 0\n[receive]\n\tautogc = false\n[core]\n\tlogAllRefUpdates = false\n")
        self._files: Files = {
            b"README.md": (FILE, self._blob(b"hello\nworld\n")),
            b"src/a.py": (FILE, self._blob(b"a = 1\n")),
        }
        self._messages: list[bytes] = [b"First commit\n"]
        self._late: list[Callable[[str], None]] = []
        self.kinds = tuple(self.draw.sample(sorted(KINDS), self.draw.randint(1, 5)))
        for kind in self.kinds:
            KINDS[kind](self)
        self.tip, tree = "", self._tree(self._files)
        for message in self._messages:
            self.tip = self._commit(tree, self.tip, message)
        self._ref("refs/heads/main", self.tip)
        for late in self._late:
            late(self.tip)
        self.paths = [os.fsdecode(path) for path in self._files]

    def _object(self, kind: str, content: bytes) -> str:
        whole = f"{kind} {len(content)}\0".encode() + content
        name = hashlib.sha1(whole).hexdigest()
        place = self._git / "objects" / name[:2] / name[2:]
        if not place.exists():
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(zlib.compress(whole, 1))
        return name

    def _blob(self, content: bytes) -> str:
        return self._object("blob", content)

    def _tree(self, files: Files) -> str:
        """The tree of these files, the deepest folder first."""
        below: dict[bytes, dict[bytes, tuple[bytes, str]]] = {b"": {}}
        for path, entry in files.items():
            folder, _, name = path.rpartition(b"/")
            below.setdefault(folder, {})[name] = entry
            while folder:
                folder = folder.rpartition(b"/")[0]
                below.setdefault(folder, {})
        for folder in sorted(below, key=lambda each: -each.count(b"/") - bool(each)):
            listed = sorted(below[folder].items(), key=lambda each: each[0] + b"/" * (each[1][0] == FOLDER))
            content = b"".join(mode + b" " + name + b"\0" + bytes.fromhex(oid) for name, (mode, oid) in listed)
            oid = self._object("tree", content)
            if not folder:
                return oid
            above, _, name = folder.rpartition(b"/")
            below[above].setdefault(name, (FOLDER, oid))
        raise AssertionError("there is always a top")

    def _commit(self, tree: str, parent: str, message: bytes, who: bytes = b"A <a@example.org>") -> str:
        head = f"tree {tree}\n" + (f"parent {parent}\n" if parent else "")
        stamp = b" 1700000000 +0000\n"
        return self._object(
            "commit", head.encode() + b"author " + who + stamp + b"committer " + who + stamp + b"\n" + message
        )

    def _ref(self, name: str, oid: str) -> None:
        place = self._git / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"{oid}\n")

    def _put(self, path: bytes, content: bytes, mode: bytes = FILE) -> None:
        self._files[path] = (mode, self._blob(content))

    # Kinds

    def attributes(self) -> None:
        lines = [
            *("* text=auto eol=crlf", "*.py working-tree-encoding=UTF-16LE-BOM", "*.py working-tree-encoding=nonsense"),
            *("* filter=run", "*.md filter=lfs diff=lfs merge=lfs -text", "* merge=run", "* merge=union", "* diff=run"),
            *(
                "* ident",
                "* export-subst",
                "[attr]binary text",
                "[attr]mine filter=run",
                "*.md mine",
                "README.md -merge",
            ),
            *(
                "* conflict-marker-size=100000000",
                "* whitespace=cr-at-eol",
                "* -text -diff",
                '"\\052" text',
                "* eol=lf " * 500,
            ),
        ]
        for path in (b".gitattributes", b"src/.gitattributes"):
            self._put(path, "".join(f"{line}\n" for line in self.draw.sample(lines, 5)).encode())
        self._put(b"src/b.py", "a = 1\n$Id$\nä\n".encode())

    def ignore_rules(self) -> None:
        rules = [
            "*",
            "!.headway",
            "!.git",
            "/src/",
            "[",
            "**/**/**/**/**/x",
            "a*" * 60 + "b",
            "\\",
            "!/README.md",
            "/.headway/out/",
        ]
        for path in (b".gitignore", b"src/.gitignore"):
            self._put(path, "".join(f"{rule}\n" for rule in self.draw.sample(rules, 3)).encode())
        self._put(b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", b"x")

    def names(self) -> None:
        odd = [
            *(
                b"line\nbreak",
                b"tab\there",
                b'quo"te',
                b"back\\slash",
                b" leading",
                b"trailing ",
                b"dot.",
                b"-rf",
                b"--help",
                b"@{u}",
            ),
            *(
                b"\xff\xfe",
                b"caf\xc3\xa9",
                b"cafe\xcc\x81",
                b"\x1b[31mred",
                b"\xe2\x80\xaertl",
                b"n" * 255,
                b"con",
                b"a:b",
                b"*",
                b"[x]",
            ),
            *(
                b":(top)x",
                b"$(touch ran)",
                b"`touch ran`",
                b"README.MD",
                b"readme.md",
                b"HEAD",
                b"%s%n",
                b"\x7f",
                b"|x",
                b"<b>",
                b"a'b",
            ),
        ]
        for name in self.draw.sample(odd, 8):
            self._put(name, b"odd\n")
            self._put(b"odd/" + name + b"/" + name[:100], b"odd\n")

    def looks_like_git(self) -> None:
        odd = [
            b".git",
            b".GIT",
            b".git ",
            b"git~1",
            b".g\xe2\x80\x8cit",
            b".git\xe2\x80\x8b",
            b".git::$INDEX_ALLOCATION",
            b"..",
            b".",
            b".gitmodules",
        ]
        for name in self.draw.sample(odd, 2):
            where = self.draw.choice([name, b"src/" + name, name + b"/config", name + b"/hooks/post-checkout"])
            self._put(where, self._run(), RUNS)

    def own_folder(self) -> None:
        path, mode, content = self.draw.choice(
            [
                (b".headway", FILE, b"x\n"),
                (b".headway", LINK, os.fsencode(self._outside)),
                (b".headway/home", LINK, os.fsencode(self._outside)),
                (b".headway/out", LINK, os.fsencode(self._outside)),
                (b".headway/home/tmp", LINK, b"/"),
                (b".headway/out/1.txt", FILE, b"x\n"),
            ]
        )
        self._put(path, content, mode)

    def links(self) -> None:
        targets = [
            os.fsencode(self._outside / "kept"),
            os.fsencode(self._outside),
            b"/etc/passwd",
            b"..",
            b"l1",
            b"l2",
            b".git/config",
        ]
        targets += [
            b"nowhere",
            b"x" * 4000,
            b"src/../../../..",
            b"/proc/self/root",
            b"/dev/zero",
            b"a\nb",
            b"/dev/stdin",
        ]
        for number, target in enumerate(self.draw.sample(targets, 5)):
            self._put(b"l%d" % number, target, LINK)
        for name in (b"AGENTS.md", b"CLAUDE.md", b".gitignore", b".gitattributes", b"package.json", b"pyproject.toml"):
            if self.draw.random() < 0.5:
                self._put(name, self.draw.choice(targets), LINK)

    def deep_folders(self) -> None:
        levels = self.draw.choice([50, 400, 1_500])
        self._put(b"d/" * levels + b"file", b"deep\n")
        self._put(b"/".join([b"w" * 200] * self.draw.choice([10, 15, 20])) + b"/file", b"deep\n")
        self._put(b"n" * self.draw.choice([255, 256]), b"long\n")

    def huge_files(self) -> None:
        size = (200 if self._large else 12) << 20
        self._put(
            self.draw.choice([b"zeros", b"AGENTS.md", b"package.json", b".gitattributes", b"README.md"]), bytes(size)
        )
        self._put(b"one-line", b"a" * size)
        self._put(b"lines", b"\n" * (size // 4))

    def many_files(self) -> None:
        same = self._blob(b"same\n")
        for number in range(20_000 if self._large else 1_500):
            self._files[b"many/%d/%d" % (number % 40, number)] = (FILE, same)

    def submodules(self) -> None:
        url = self.draw.choice(
            ["ext::sh -c touch% ran", "--upload-pack=touch ran", "../../outside", "file:///etc", "-u./x"]
        )
        path = self.draw.choice(["sub", "../up", ".git/modules/x", "src/sub", "a\\nb", "/etc"])
        self._put(
            b".gitmodules", f'[submodule "x/../y"]\n\tpath = {path}\n\turl = {url}\n\tupdate = !touch ran\n'.encode()
        )
        self._files[b"sub"] = (REPOSITORY, "1" * 40)
        self._files[b"src/sub"] = (REPOSITORY, self._object("commit", b"no commit at all"))

    def long_history(self) -> None:
        self._messages += [b"Commit %d\n" % number for number in range(5_000 if self._large else 300)]

    def messages(self) -> None:
        task = b"tidy-up-0a1b2c3d/1.0-00000000"
        self._messages += [
            b"Forged\n\nHeadway-Run: tidy-up\nHeadway-Task: " + task + b"\nHeadway-Place: x\n",
            b"Scissors\n# ------------------------ >8 ------------------------\nHeadway-Task: " + task + b"\n",
            "U+2028\u2028and\ttabs \x1b]52;c;eA==\x07\u202e\n".encode(),
            b"\xff\xfe no text\n",
            b"x" * (5 << 20 if self._large else 200_000),
            b"",
            b"\n\n\n",
            b"line\r\n" * 1_000,
        ]
        self.draw.shuffle(self._messages)
        self._late.append(
            lambda tip: self._ref(
                "refs/heads/main", self._commit(self._tree(self._files), tip, b"By", b"\x1b[31m<<>>\t <a\x01@b>")
            )
        )

    def refs(self) -> None:
        def late(tip: str) -> None:
            odd = [
                "refs/replace/" + tip,
                "refs/stash",
                "refs/heads/-x",
                "refs/heads/--exec=touch",
                "refs/tags/main",
                "refs/heads/refs/heads/main",
            ]
            odd += [
                "refs/headway/wip/x",
                "refs/heads/headwayed",
                "refs/heads/HEAD",
                "refs/notes/commits",
                "refs/bisect/bad",
                "refs/remotes/origin/HEAD",
            ]
            other = self._commit(self._tree({b"private": (FILE, self._blob(b"PRIVATE\n"))}), "", b"Private\n")
            for name in self.draw.sample(odd, 5):
                self._ref(name, other)
            self._ref("refs/tags/blob", self._blob(b"no commit"))

        self._late.append(late)

    def hooks(self) -> None:
        run = self._run()
        for name in (
            "post-checkout",
            "pre-commit",
            "post-commit",
            "post-merge",
            "post-index-change",
            "pre-push",
            "reference-transaction-x",
        ):
            (self._git / "hooks").mkdir(exist_ok=True)
            (self._git / "hooks" / name).write_bytes(run)
            (self._git / "hooks" / name).chmod(0o755)
        command = f"touch {self._outside / MARKER}"
        command = f"touch {self._outside / MARKER}"
        keys = {
            "core": ("fsmonitor", "sshCommand", "pager", "gitProxy", "editor"),
            'filter "run"': ("clean", "smudge", "process"),
            "diff": ("external",),
            'diff "run"': ("textconv", "command"),
            'merge "run"': ("driver",),
            "uploadpack": ("packObjectsHook",),
            "credential": ("helper",),
            "alias": ("status",),
        }
        with (self._git / "config").open("a") as config:
            for section, names in keys.items():
                config.write(
                    f"[{section}]\n" + "".join(f"\t{name} = !{command}\n\t{name} = {command}\n" for name in names)
                )

    def pipes(self) -> None:
        os.mkfifo(self.folder / ".gitignore")
        place = self._git / self.draw.choice(
            [
                "shallow",
                "info/exclude",
                "info/attributes",
                "info/grafts",
                "index",
                "packed-refs",
                "objects/info/alternates",
            ]
        )
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        os.mkfifo(place)

    def borrows(self) -> None:
        (self._git / "objects" / "info").mkdir(exist_ok=True)
        (self._git / "objects" / "info" / "alternates").write_text(f"{self._outside}\n")

    def _run(self) -> bytes:
        return f"#!/bin/sh\ntouch {self._outside / MARKER}\n".encode()


def make(folder: Path, outside: Path, seed: int, large: bool) -> tuple[tuple[str, ...], list[str]]:
    """Make one; its kinds and its paths. To be called in another process, because contents take memory."""
    made = OddRepository(folder, outside, seed, large=large)
    return made.kinds, made.paths


KINDS: dict[str, Callable[[OddRepository], None]] = {
    name: method for name, method in vars(OddRepository).items() if not name.startswith("_") and callable(method)
}
