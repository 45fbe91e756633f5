"""Which recipe holds across patient splits."""
