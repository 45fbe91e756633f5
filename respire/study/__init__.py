"""All that a run's numbers follow from, one run, and many."""
