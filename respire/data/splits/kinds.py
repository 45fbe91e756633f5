"""Kinds of split, by what a user calls them; imports nothing, so that ``--help`` is quick."""

from typing import Literal

Kind = Literal["80-20", "60-40", "60-40-disjoint", "by-cycle"]
LISTED: tuple[Kind, ...] = ("60-40", "60-40-disjoint")
"""Those whose test side is the official one, the same for every split seed."""
OF_CYCLES: tuple[Kind, ...] = ("by-cycle",)
"""Those that cut cycles, and no patients apart."""
