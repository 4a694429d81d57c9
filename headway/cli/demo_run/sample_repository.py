"""The sample repository of the demo: copied out of the package and committed once."""

import shutil
from pathlib import Path

from headway.git.git_environment import hermetic_environment
from headway.git.git_process import run_git

SAMPLE = Path(__file__).parent / "sample"
PLAYBOOK = SAMPLE / "playbook.yaml"

INSTRUCTIONS = """\
Make textstats a useful little library: sentences, word frequencies, longest words and readability, each in a module of
its own with tests, and words and lines on its command line. No dependencies. The existing functions keep their names.
"""
CHECK = "python3 -m unittest"

_AUTHOR = {
    "GIT_AUTHOR_NAME": "Sample",
    "GIT_AUTHOR_EMAIL": "sample@example.org",
    "GIT_COMMITTER_NAME": "Sample",
    "GIT_COMMITTER_EMAIL": "sample@example.org",
}


def make_sample(folder: Path) -> Path:
    """A new git repository in `folder`, on branch main, with one commit."""
    shutil.copytree(SAMPLE / "repository", folder, ignore=shutil.ignore_patterns("__pycache__"))
    # Under another name in the package, because build tools leave dot files out.
    (folder / "gitignore.txt").rename(folder / ".gitignore")
    env = hermetic_environment() | _AUTHOR
    for args in (
        ("init", "--quiet", "--initial-branch=main"),
        # In the repository's own configuration, as a user would have it: landed commits are authored so.
        ("config", "user.name", _AUTHOR["GIT_AUTHOR_NAME"]),
        ("config", "user.email", _AUTHOR["GIT_AUTHOR_EMAIL"]),
        ("add", "--all"),
        ("commit", "--quiet", "--message=The sample as it comes"),
    ):
        run_git(args, env=env, cwd=folder)
    return folder
