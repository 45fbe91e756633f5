"""Levels and smallest numbers that every statistic here shares."""

LEVEL = 0.95


def tails(level: float) -> tuple[float, float]:
    """The two probabilities that a central interval of this level lies between."""
    return (1 - level) / 2, (1 + level) / 2
