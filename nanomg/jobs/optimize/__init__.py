"""Optimise the free doses of a scenario."""
