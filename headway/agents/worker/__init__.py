"""The worker: one attempt at one task, its tools and its messages."""
