"""Agent logs: the truth about what every agent did, and what its context is built from."""
