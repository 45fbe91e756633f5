"""A room a question."""
