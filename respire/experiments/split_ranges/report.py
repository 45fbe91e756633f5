"""The report of what random splits are made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from respire.metrics import percent
from respire.report.page import Page, Picture, Section, printed
from respire.report.style import beside, drawing, legend_below
from respire.report.table import Table
from respire.report.typed import read

COUNTS = ("cycles", "patients", "both_cycles")
LABELS = {"largest": "largest five patients", "both_cycles": "cycles of both"}
COLUMNS = 4
BINS = 30
DASHES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (8, 3)), (0, (4, 2, 1, 2, 1, 2)))
"""Of the official test side and five folds."""


@dataclass(frozen=True)
class Placed:
    """A number of a published test side, and the share of random ones below it."""

    value: float
    below: float


@dataclass(frozen=True)
class RangesSummary:
    """What random test sides are made of.

    Attributes:
        draws: splits of each kind.
        split_seeds: the first and the last.
        patients: of the data set.
        cycles: of the data set.
        device: the one with the most of them.
        ranges: of each kind of split and number of its test side, the ends of the 95% range about
            the median.
        placed: published test sides among the plain ones, each number.
    """

    draws: int
    split_seeds: tuple[int, int]
    patients: int
    cycles: int
    device: str
    ranges: Mapping[str, Mapping[str, tuple[float, ...]]]
    placed: Mapping[str, Mapping[str, Placed]]


def page(results: Mapping[str, Any], drawn: Mapping[str, pd.DataFrame]) -> Page:
    """The report.

    Args:
        results: content of results.json.
        drawn: of each kind of split, a row a split and a column a number of its test side.
    """
    sides = read(RangesSummary, results)
    first, last = sides.split_seeds
    caption = f"Test sides of {sides.draws:,} random 80-20 splits by what they are made of" + (
        "; lines: published test sides." if sides.placed else "."
    )
    return Page(
        results,
        facts=f"{sides.patients} patients, {sides.cycles:,} cycles · split seeds {first}–{last} · "
        f"nothing was trained · respire {results['respire_version']}",
        lead=lead(sides),
        verdict="What is tested differs that much from one seed to the next; a Score follows it.",
        sections=[
            Section("Ranges", _tables(sides)),
            Section("Distributions", [], [Picture("splits", caption, draw(sides, drawn))]),
        ],
    )


def summary(results: Mapping[str, Any]) -> str:
    """What the command prints last."""
    sides = read(RangesSummary, results)
    return printed(results, lead(sides), *_tables(sides))


def lead(sides: RangesSummary) -> str:
    """The ranges in a sentence."""

    def between(number: str) -> str:
        low, _, high = sides.ranges["plain"][number]
        return (
            f"{low:,.0f}–{high:,.0f}" if number in COUNTS else f"{100 * low:.0f}–{100 * high:.0f}%"
        )

    return (
        f"95% of {sides.draws:,} random splits by patient have {between('cycles')} test "
        f"cycles, {between('normal')} of them normal, {between('both_cycles')} both, and "
        f"{between(sides.device)} from the {sides.device}; their five largest patients make "
        f"{between('largest')}."
    )


def _tables(sides: RangesSummary) -> list[Table]:
    return [ranges(sides), *([placed(sides)] * bool(sides.placed))]


def ranges(sides: RangesSummary) -> Table:
    """The 95% range and the median of every number."""
    return Table(
        "Test sides of random 80-20 splits",
        ("Splits", "Of the test side", "2.5%", "Median", "97.5%", "n"),
        tuple(
            (kind, _label(number), *(_shown(number, end) for end in ends), f"{sides.draws:,}")
            for kind, numbers in sides.ranges.items()
            for number, ends in numbers.items()
        ),
        text_columns=2,
        note="n: splits. Shares in % of the test cycles; largest: of the five patients with the "
        "most.",
    )


def placed(sides: RangesSummary) -> Table:
    """Published test sides among the random ones."""
    return Table(
        "Published test sides among them",
        ("Test side", "Of it", "Value", "Random splits below (%)", "n"),
        tuple(
            (
                *(label, _label(number), _shown(number, side.value), percent(side.below)),
                f"{sides.draws:,}",
            )
            for label, numbers in sides.placed.items()
            for number, side in numbers.items()
        ),
        text_columns=2,
        note="n: random splits. Those that are equal count half. The official test side has about "
        "twice the patients of an 80-20 one.",
    )


def draw(sides: RangesSummary, drawn: Mapping[str, pd.DataFrame]) -> Figure:
    """A histogram of every number, with the published test sides."""
    numbers = [
        number for number in sides.ranges["plain"] if number not in ("patients", "both_cycles")
    ]
    rows = -(-len(numbers) // COLUMNS)
    with drawing("What random test sides are made of", (8.6, 2.4 * rows + 0.4)) as figure:
        grid = figure.subplots(rows, COLUMNS, squeeze=False)
        for axis in grid.flat[len(numbers) :]:
            axis.set_axis_off()
        for axis, number in zip(grid.flat, numbers, strict=False):
            scale = 1 if number in COUNTS else 100
            values = np.concatenate([scale * table[number] for table in drawn.values()])
            edges = np.histogram_bin_edges(values, BINS)
            for kind, table, _, colour in beside(drawn):
                label = f"{kind} (n = {len(table):,} splits)"
                axis.hist(scale * table[number], edges, color=colour, alpha=0.55, label=label)
            for index, (label, side) in enumerate(sides.placed.items()):
                dashes, at = DASHES[index % len(DASHES)], scale * side[number].value
                axis.axvline(at, color="#333333", lw=1.3, ls=dashes, label=label)
            axis.set_xlabel(_label(number) + ("" if number in COUNTS else "\n(% of cycles)"))
        for axis in grid[:, 0]:
            axis.set_ylabel("Splits")
        legend_below(figure, 4)
    return figure


def _label(number: str) -> str:
    return LABELS.get(number, number)


def _shown(number: str, value: float) -> str:
    return f"{value:,.0f}" if number in COUNTS else percent(value)
