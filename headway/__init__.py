"""Headway's engine: planners and workers on one git repository, kept alive by Temporal."""

__version__ = "0.1.0"
