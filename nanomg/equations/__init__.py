"""Mechanisms as fluxes between states, and the model composed of them."""
