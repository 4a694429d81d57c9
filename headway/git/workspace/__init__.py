"""Workspaces: one agent's own copy of the repository, on overlays or clones."""
