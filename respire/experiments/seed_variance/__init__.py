"""How robust a result is over splits and training seeds."""
