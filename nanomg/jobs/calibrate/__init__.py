"""Fit a card to data of a study."""
