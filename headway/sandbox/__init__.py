"""The sandbox in which the commands of a model run."""
