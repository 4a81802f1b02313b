"""What a user asks for: one folder for each job."""
