"""Measurements, and the model's predictions of them."""
