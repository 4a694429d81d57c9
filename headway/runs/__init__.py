"""A run's life: prepare, publish, check, report, continue."""
