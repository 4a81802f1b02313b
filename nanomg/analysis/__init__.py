"""Numbers read off curves; no model is needed."""
