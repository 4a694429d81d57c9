"""The command `headway`: one file per command."""
