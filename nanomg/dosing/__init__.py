"""Doses as people write them, and the sequence of actions that they define."""
