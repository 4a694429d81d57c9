"""Processes of one command: started, watched, ended."""
