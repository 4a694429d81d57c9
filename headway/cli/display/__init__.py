"""Screens, lines and reports of a run, as the commands print them."""
