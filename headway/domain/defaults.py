"""Defaults that the settings of worker processes share with the rooms that use them."""

HEARTBEAT_S = 60
"""Heartbeat timeout of an activity, in seconds."""

AUDIT_S = 600
"""Silence, in seconds, after which a planner looks for children that closed without a handoff."""

SNAPSHOT_STEPS = 10
"""Steps of a worker after which its unlanded changes are kept on a ref: a crash of the machine costs no more."""
