"""Control groups: one for each agent."""
