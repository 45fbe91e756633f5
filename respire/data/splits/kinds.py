"""Kinds of split, by what a user calls them; imports nothing, so that ``--help`` is quick."""

from typing import Literal

Kind = Literal["80-20", "60-40", "60-40-disjoint", "by-cycle"]
