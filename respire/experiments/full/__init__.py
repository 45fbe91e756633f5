"""Both stages on one split."""
