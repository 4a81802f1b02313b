"""Simulate a regimen with its control arms."""
