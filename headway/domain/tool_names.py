"""Names of the tools that agents are offered; `headway/agent/tools` holds their arguments."""

_READING = frozenset({"finish", "grep", "list_dir", "read_file", "rewrite_scratchpad"})
PLANNER = _READING | {"cancel", "git_log", "git_show", "read_handoff", "spawn_subplanner", "spawn_tasks", "wait"}
WORKER = _READING | {"apply_patch", "edit_file", "land", "shell", "write_file"}
"""Tools of both ways of editing: a model is offered `edit_file` or `apply_patch`, by its way."""
