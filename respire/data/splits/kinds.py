"""Kinds of split, by what a user calls them; imports nothing, so that ``--help`` is quick."""

from typing import Literal

Kind = Literal["80-20", "60-40", "60-40-disjoint", "60-40-train", "by-recording", "by-cycle"]
RANDOM: tuple[Kind, ...] = ("80-20", "60-40-train")
"""Those whose test patients are drawn at random, anew for each split seed."""
LISTED: tuple[Kind, ...] = ("60-40", "60-40-disjoint")
"""Those whose test side is the official one, the same for every split seed."""
SHARING: tuple[Kind, ...] = ("by-recording", "by-cycle")
"""Those that cut recordings or cycles, whoever their patients are."""
