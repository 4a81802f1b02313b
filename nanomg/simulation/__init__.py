"""A scenario through the solver: lanes, control arms, event tables, and why a lane failed."""
