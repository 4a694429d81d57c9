"""The hub, landing, workspaces and snapshots: everything that touches a repository."""
