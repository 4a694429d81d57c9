"""The orders by which a run's user steers it: one module each."""
