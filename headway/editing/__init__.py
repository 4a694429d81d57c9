"""Editing of files as models do it: matching, patches, syntax checks, paths that no link leads out of."""
