"""Virtual subjects: random streams, covariates, variability and plausibility."""
