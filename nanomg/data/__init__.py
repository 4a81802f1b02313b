"""What was measured, and what the model predicts for it."""
