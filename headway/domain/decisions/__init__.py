"""The rules of workflows: `decide(state, now)` says which commands are due, and changes nothing."""
