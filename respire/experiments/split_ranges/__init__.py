"""What random splits are made of, without training."""
