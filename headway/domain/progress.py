"""The callback by which long work tells its present step."""

from collections.abc import Callable

Progress = Callable[[str], None]
"""Called at each step with the present action in a few words, shown in the Web UI as the last heartbeat. Cheap. Raises
where the caller must stop: at a hold, a cancellation, a lost lease."""
