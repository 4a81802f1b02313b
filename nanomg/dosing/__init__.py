"""Doses as people write them, and the actions in time that they come to."""
