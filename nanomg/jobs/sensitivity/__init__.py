"""What an output depends on: elasticities and Sobol indices."""
