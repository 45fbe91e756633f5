"""Intervals, variance, paired tests, coverage: numbers in, numbers out."""
