"""How numbers are written in tables and sentences."""

import math
from collections.abc import Sequence

from respire.metrics import percent

NONE = "–"
"""What stands where there is no number."""


def epochs_of(selection: str) -> str:
    """Which epochs were kept, of results.json's ``selection``: "none", or what chose them."""
    return " or ".join(
        "the last epoch" if side == "none" else f"the best epoch on {side}"
        for side in selection.split(" or ")
    )


def ends(interval: Sequence[float] | None) -> str:
    """Both ends of an interval in percent."""
    return NONE if interval is None else "–".join(map(percent, interval))


def signed(difference: float) -> str:
    """A difference of fractions in points; NONE where it is NaN."""
    return NONE if math.isnan(difference) else f"{100 * difference:+.1f}"


def between(interval: Sequence[float] | None) -> str:
    """Both ends of an interval of differences, in points."""
    return NONE if interval is None else " to ".join(map(signed, interval))


def count(n: int, noun: str) -> str:
    """So many of them, in words."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
