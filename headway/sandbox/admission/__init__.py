"""Admission of commands: how many run at once on this machine."""
