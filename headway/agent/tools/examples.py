"""One valid call of each tool, shown to a model whose arguments did not fit, because small models need to see one."""

from typing import Any

EXAMPLES: dict[str, dict[str, Any]] = {
    "apply_patch": {
        "patch": "*** Begin Patch\n*** Update File: src/app.py\n@@\n-limit = 10\n+limit = 20\n*** End Patch"
    },
    "cancel": {"ids": ["3.0-1f2e3d4c"], "reason": "The parser is rewritten anyway."},
    "edit_file": {"path": "src/app.py", "old": "limit = 10", "new": "limit = 20"},
    "finish": {"status": "done", "summary": "The limit is 20; tests/test_app.py shows it."},
    "git_log": {"path": "src/app.py", "limit": 10},
    "git_show": {"rev": "1f2e3d4c5b6a"},
    "grep": {"pattern": "def parse", "path": "src", "glob": "*.py"},
    "land": {"message": "Raise the limit to 20"},
    "list_dir": {"path": "src", "depth": 2},
    "read_file": {"path": "src/app.py", "start": 1, "limit": 200},
    "read_handoff": {"id": "3.0-1f2e3d4c"},
    "rewrite_scratchpad": {"content": "Goal: the limit is 20. Open: the documentation."},
    "shell": {"command": "python -m pytest -q tests/test_app.py"},
    "spawn_subplanner": {"scope": "The parser", "intent": "It is to take the grammar of version 3."},
    "spawn_tasks": {
        "tasks": [{"title": "Raise the limit", "intent": "Users need 20 entries.", "paths": ["src/app.py"]}]
    },
    "wait": {},
    "write_file": {"path": "docs/limits.md", "content": "# Limits\n"},
}
"""By the tool's name; a tool that has none here is told by its fields alone."""
