"""Figures of rows beside what the paper prints."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from respire.experiments.paper_tables.summary import (
    Interval,
    TableRow,
    TableSummary,
    TestedDevice,
    TrainingSize,
    grouped,
    highest,
)
from respire.report.numbers import count
from respire.report.style import COLOURS, MARKERS, beside, drawing, percents
from respire.statistics.paired import ROPE

PAPER: dict[str, Any] = {
    "marker": "D",
    "color": "#333333",
    "mfc": "white",
    "ms": 6,
    "ls": "none",
    "zorder": 5,
}
OURS = COLOURS[0]
RINGS: dict[str, Any] = {"mfc": "white", "ms": 4.5, "ls": "none", "zorder": 4}


def scores(table: TableSummary, stamps: Sequence[str] = ()) -> Figure:
    """Score of every row, grouped by split and task, beside the paper's and the best baseline."""
    groups, baselines = grouped(table.rows), grouped(table.baselines)
    inches = (8.6, 1.1 * len(groups) + 0.36 * len(table.rows))
    heights = [len(ours) + 1 for ours in groups.values()]
    with drawing("Score by row", inches, stamps) as figure:
        axes = figure.subplots(len(groups), squeeze=False, sharex=True, height_ratios=heights)[:, 0]
        for axis, (group, ours) in zip(axes, groups.items(), strict=True):
            for y, row in enumerate(ours):
                _line(axis, y, _by_split(row), row.score, row.interval)
                if row.printed.score is not None:
                    axis.plot(row.printed.score, y, **PAPER)
            title = f"{group} ({_splits(len(ours[0].splits))}"
            if best := highest(baselines.get(group, ())):
                axis.axvline(100 * best.score, color="#888888", ls="--", lw=1.2, zorder=1)
                title += f"; dashed: {best.name}"
            axis.set_title(f"{title})")
            _name(axis, [row.name for row in ours])
        axes[-1].set_xlabel("Score (%)")
        _legend(figure, printed=any(row.printed.score is not None for row in table.rows))
    return figure


def differences(table: TableSummary, stamps: Sequence[str] = ()) -> Figure:
    """Difference of every row's Score from that of the row it is compared with."""
    apart = [(row, row.difference) for row in table.rows if row.difference is not None]
    with drawing("Difference of Score", (8.6, 1.2 + 0.46 * len(apart)), stamps) as figure:
        axis = figure.subplots()
        for y, (row, difference) in enumerate(apart):
            if difference.one_look is not None:
                axis.hlines(y, *percents(difference.one_look), color=OURS, lw=0.9)
            mean = difference.mean["score"]
            _line(axis, y, difference.splits, mean, difference.these_patients)
            if row.printed.gain is not None:
                axis.plot(row.printed.gain, y, **PAPER)
            if difference.verdict is not None:
                word = difference.verdict.word + "\n(primary)" * difference.verdict.primary
                axis.text(1.02, y, word, transform=axis.get_yaxis_transform(), va="center")
        axis.axvline(0, color="#888888", lw=1, zorder=0)
        axis.axvspan(-100 * ROPE, 100 * ROPE, color="#e6e6e6", lw=0, zorder=0)
        axis.set_title(_splits(*(len(difference.splits) for _, difference in apart)))
        # Names of rows may be long, and there are two to each difference.
        _name(axis, [f"{row.name}\nless {row.against}" for row, _ in apart])
        axis.set_xlabel("Difference of Score on the same splits (points)")
        _legend(
            figure,
            printed=any(row.printed.gain is not None for row, _ in apart),
            new=any(difference.one_look is not None for _, difference in apart),
        )
    return figure


def along(table: TableSummary, stamps: Sequence[str] = ()) -> Figure:
    """Score against the number that rows differ in, beside the paper's."""
    placed = {row.along: row for row in table.rows if row.along is not None}
    x = sorted(placed)
    ours = [placed[at] for at in x]
    with drawing(f"Score by {table.axis.lower()}", (7.2, 3.8), stamps) as figure:
        axis = figure.subplots()
        for at, row in zip(x, ours, strict=True):
            axis.plot([at] * len(row.splits), percents(_by_split(row)), "o", color=OURS, **RINGS)
        mean = percents([row.score for row in ours])
        axis.plot(x, mean, "o-", color=OURS, ms=8, label="ours: mean of splits and its interval")
        for at, row in zip(x, ours, strict=True):
            if row.interval is not None:
                axis.vlines(at, *percents(row.interval), color=OURS, lw=3)
        printed = np.array([row.printed.score for row in ours], dtype=float)  # None is NaN
        if not np.isnan(printed).all():
            axis.plot(x, printed, **PAPER | {"ls": "--", "label": "the paper"})
        axis.set_title(f"{_splits(len(table.split_seeds))}, rings")
        axis.set_xlabel(table.axis)
        axis.set_xticks(x)
        axis.set_ylabel("Score (%)")
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def devices(table: TableSummary, stamps: Sequence[str] = ()) -> Figure:
    """Score of every row on each device's test cycles; open where the device was not heard."""
    rows = {row.name: (row, row.by_device or {}) for row in table.rows}
    sizes: dict[str, TestedDevice] = {}
    for _, parts in rows.values():
        sizes |= {device: part for device, part in parts.items() if device not in sizes}
    with drawing("Score by device", (8.6, 4.2), stamps) as figure:
        axis = figure.subplots()
        for (name, (row, parts), offset, colour), marker in zip(
            beside(rows, 0.11), MARKERS * len(rows), strict=False
        ):
            for x, device in enumerate(sizes):
                if device in parts:
                    fill = colour if row.hears(device) else "white"
                    score = 100 * parts[device].score
                    axis.plot(x + offset, score, marker, color=colour, mfc=fill, ms=7)
            axis.plot([], [], marker, color=colour, label=name, ms=7)
        axis.axhline(50, color="#888888", ls="--", lw=1.2, zorder=1, label="normal for everything")
        labels = [f"{d}\nn = {p.n:,} cycles\n{p.patients} patients" for d, p in sizes.items()]
        axis.set_xticks(range(len(sizes)), labels)
        axis.set_xlim(-0.6, len(sizes) - 0.4)
        axis.set_xlabel("Device (n: test cycles of all splits and training seeds together)")
        axis.set_ylabel("Score on test cycles (%)")
        if any(row.heard is not None for row in table.rows):
            axis.set_title("Open: the device was not heard in training")
        figure.legend(loc="outside lower center", ncols=3)
    return figure


def training_size(size: TrainingSize, stamps: Sequence[str] = ()) -> Figure:
    """Abnormal cycles recognised against training cycles, a point a device and split."""
    with drawing("Training size and abnormal cycles recognised", (7.2, 3.8), stamps) as figure:
        axis = figure.subplots()
        devices = size.by_device
        for (device, points, _, colour), marker in zip(
            beside(devices), MARKERS * len(devices), strict=False
        ):
            axis.plot(
                [point.training_cycles for point in points],
                percents([point.se for point in points]),
                marker,
                color=colour,
                label=f"{device} (n = {count(len(points), 'split')})",
            )
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_xlabel("Training cycles of the device")
        axis.set_ylabel("Se on its test cycles (%)")
        axis.set_title(size.row)
        if devices:
            axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _splits(*counts: int) -> str:
    """How many splits, as a title says it: "n = 1 or 3 splits" where rows differ in it."""
    return f"n = {' or '.join(map(str, sorted({*counts})))} split{'s' * (max(counts) > 1)}"


def _by_split(row: TableRow) -> list[float]:
    return [split.score for split in row.splits]


def _line(axis: Axes, y: float, values: Sequence[float], mean: float, interval: Interval) -> None:
    """A row of a forest plot."""
    axis.plot(percents(values), [y] * len(values), "o", color=OURS, **RINGS)
    if interval is not None:
        axis.hlines(y, *percents(interval), color=OURS, lw=3)
    axis.plot(100 * mean, y, "o", color=OURS, ms=8, zorder=3)


def _name(axis: Axes, names: Sequence[str]) -> None:
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.grid(axis="y", visible=False)
    axis.grid(axis="x", visible=True)
    axis.tick_params(axis="y", length=0)


def _legend(figure: Figure, *, printed: bool, new: bool = False) -> None:
    axis = figure.axes[0]
    handles = [
        *axis.plot([], [], "o-", color=OURS, ms=7, lw=3, label="mean, its interval over splits"),
        *(axis.plot([], [], color=OURS, lw=0.9, label="for new patients") if new else []),
        *axis.plot([], [], "o", color=OURS, **RINGS, label="one split"),
        *(axis.plot([], [], **PAPER, label="the paper") if printed else []),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
