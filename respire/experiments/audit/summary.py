"""What an audit finds, as in results.json (its fields: experiments/results/SCHEMA.md)."""

from collections.abc import Mapping
from dataclasses import dataclass

from respire.experiments.audit.census import Census
from respire.experiments.audit.check import Checked, Erratum
from respire.recipe.recipe import Recipe


@dataclass(frozen=True)
class BlankPart:
    """Of some windows: how much of them is blank; None without windows."""

    windows: int
    top_row: float | None
    cut: float | None
    rows: tuple[float, ...] | None


@dataclass(frozen=True)
class BlankRows:
    """How much of the images is blank, by device."""

    row_hz: tuple[float, ...]
    all: BlankPart
    devices: Mapping[str, BlankPart]


@dataclass(frozen=True)
class Paper:
    """The paper's numbers beside those of its data set."""

    checked: int
    agree: int
    numbers: tuple[Checked, ...]
    errata: tuple[Erratum, ...]


@dataclass(frozen=True)
class AuditSummary:
    """A data set, and what the paper says about it."""

    recipe: Recipe
    census: Census
    blank_rows: BlankRows
    paper: Paper | None
    not_compared: str | None
