"""Recordings to cycles: catalogue, splits, preprocessing, synthetic corpus."""
