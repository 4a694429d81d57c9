"""Agent logs: the truth about every agent's actions, and the source of every model's context."""
