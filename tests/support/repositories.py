"""Repositories to run on, made fast: one process, whatever their size."""

import os
import subprocess
from pathlib import Path

ENV = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "A User",
    "GIT_AUTHOR_EMAIL": "user@example.org",
    "GIT_COMMITTER_NAME": "A User",
    "GIT_COMMITTER_EMAIL": "user@example.org",
}


def make_repository(folder: Path, files: int) -> Path:
    """A repository of `files` small files in folders of fifty, with one commit and a checkout."""
    git("init", "--quiet", "--initial-branch=main", str(folder))
    git("-C", str(folder), "config", "user.name", "A User")
    git("-C", str(folder), "config", "user.email", "user@example.org")
    stream = ["commit refs/heads/main", "committer A User <user@example.org> 1700000000 +0000", "data 5", "start"]
    for index in range(files):
        text = f"value = {index}\n"
        stream += [f"M 100644 inline src/part{index // 50:03}/mod{index:05}.py", f"data {len(text)}", text]
    git("-C", str(folder), "fast-import", "--quiet", said="\n".join(stream) + "\n")
    git("-C", str(folder), "reset", "--quiet", "--hard")
    return folder


def git(*arguments: str, said: str | None = None) -> str:
    """What git answers."""
    done = subprocess.run(["git", *arguments], input=said, capture_output=True, text=True, check=True, env=ENV)
    return done.stdout
