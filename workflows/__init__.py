"""Deterministic workflows: decisions and waiting; every effect is an activity."""
