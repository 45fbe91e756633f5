"""Where the attention lies, as in results.json (its fields: experiments/results/SCHEMA.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from respire.data.rows import NOBODY
from respire.evaluation.grad_cam import MEASURES, patient_mean
from respire.study.spread_summary import Spread

WITHOUT, WITH = "without BRC", "with BRC"
CHANGE = "change"
_WINDOW = ["split_seed", "seed", "patient", "recording", "cycle", "window"]


@dataclass(frozen=True)
class Mean:
    """A mean over windows and its interval over patients, which few patients do not have."""

    value: float
    low: float | None
    high: float | None

    @property
    def ends(self) -> tuple[float, float] | None:
        """Low and high end."""
        return None if self.low is None or self.high is None else (self.low, self.high)


@dataclass(frozen=True)
class Part:
    """Of a part of the image; None without windows.

    Attributes:
        attention: the share of it that lies there.
        rows: what attention spread evenly over the image would have.
        excess: the one less the other.
    """

    attention: Mean | None
    rows: Mean | None
    excess: Mean | None


@dataclass(frozen=True)
class Shares:
    """Means over windows: of the blank rows, and of the lower half of the mel bands."""

    windows: int
    patients: int
    without_attention: int
    blank: Part
    lower: Part


@dataclass(frozen=True)
class Groups:
    """Of all windows, and of those with blank rows on top before clipping."""

    all: Shares
    blank_top: Shares


@dataclass(frozen=True)
class VariantGroups(Groups):
    """Of all runs of a variant, and by split seed."""

    splits: Mapping[str, Groups]


@dataclass(frozen=True)
class Attention:
    """Of each variant, and the change: with less without, on the same windows."""

    variants: Mapping[str, VariantGroups]
    change: Groups

    @property
    def compared(self) -> dict[str, Groups]:
        """The variants and their change, by name."""
        return {**self.variants, CHANGE: self.change}


@dataclass(frozen=True)
class AttentionSpread(Spread):
    """What results.json has beside its header."""

    attention: Attention


def measured(windows: pd.DataFrame) -> Attention:
    """How much attention lies where, before and after, and what changes on the same windows.

    Args:
        windows: those of every run (evaluation/grad_cam.py), with columns variant, split_seed and
            seed.
    """
    sides = {name: windows[windows["variant"] == name] for name in (WITHOUT, WITH)}
    before, after = (side.set_index(_WINDOW).sort_index() for side in sides.values())
    change = before.assign(**{name: after[name] - before[name] for name in MEASURES})
    return Attention(
        variants={
            name: VariantGroups(
                *_groups(side),
                {str(seed): Groups(*_groups(split)) for seed, split in side.groupby("split_seed")},
            )
            for name, side in sides.items()
        },
        change=Groups(*_groups(change.reset_index())),
    )


def _groups(windows: pd.DataFrame) -> tuple[Shares, Shares]:
    return _shares(windows), _shares(windows[windows["top_rows"] > 0])


def _shares(windows: pd.DataFrame) -> Shares:
    known = windows.dropna(subset=["blank_attention", "lower_attention"])
    patients = known["patient"].to_numpy()

    def part(name: str) -> Part:
        there, rows = (known[f"{name}_{what}"].to_numpy() for what in ("attention", "rows"))
        kinds = (there, rows, there - rows)
        means: list[Any] = [patient_mean(values, patients) for values in kinds]
        return Part(*(None if mean is None else Mean(**mean) for mean in means))

    return Shares(
        windows=len(known),
        patients=len(set(patients) - {NOBODY}),
        without_attention=len(windows) - len(known),
        blank=part("blank"),
        lower=part("lower"),
    )
