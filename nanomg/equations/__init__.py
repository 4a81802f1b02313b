"""What a model is: mechanisms as fluxes between states, and the model that they make together."""
