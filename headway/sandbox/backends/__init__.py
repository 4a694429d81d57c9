"""Backends of the sandbox: isolation of one command."""
