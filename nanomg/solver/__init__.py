"""The adaptive solve of many lanes at once, and its gradient."""
