"""Predictions to scores, baselines and intervals."""
