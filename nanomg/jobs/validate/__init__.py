"""The model next to published data."""
