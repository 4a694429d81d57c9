"""The states of workflows: what happened is applied to them, and commands are decided from them."""
