"""Rules of a run for its agents: sandbox, forbidden dependencies, guidance of the repository."""
