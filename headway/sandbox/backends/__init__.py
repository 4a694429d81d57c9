"""Backends of the sandbox: walls around one command."""
