"""Where the commands of a model run."""
