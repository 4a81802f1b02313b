"""Many trajectories over axes and virtual subjects."""
