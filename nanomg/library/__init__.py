"""Folders of science: cards, scenarios, references, and how they are read."""
