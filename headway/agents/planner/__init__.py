"""The planner: one turn from its facts to its decisions."""
