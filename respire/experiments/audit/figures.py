"""Figures of a data set: cycles by device and class, their lengths, and blank rows."""

from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from respire.experiments.audit.census import Census
from respire.experiments.audit.summary import BlankRows
from respire.labels import CLASSES
from respire.report.numbers import count
from respire.report.style import COLOURS, beside, drawing

HATCHES = ("", "///", "...", "xx")
LINES: tuple[Any, ...] = ("-", "--", ":", "-.")
BIN_S = 0.25
MARKS_S = (3.0, 4.0, 6.0)
"""Lengths that the paper's Figure 4 speaks of."""


def cycles_by_device(census: Census) -> Figure:
    """Cycles of each class by device, as bars with their numbers on top."""
    names, devices = CLASSES["4-class"], census.devices
    with drawing(f"Cycles by device and class (n = {census.cycles:,})", (8.6, 3.8)) as figure:
        axis = figure.subplots()
        classes = {name: [part.classes[name] for part in devices.values()] for name in names}
        for (name, counts, offset, colour), hatch in zip(
            beside(classes, 0.21), HATCHES, strict=False
        ):
            x, edge = np.arange(len(devices)) + offset, "white"
            bars = axis.bar(x, counts, 0.2, color=colour, hatch=hatch, edgecolor=edge, label=name)
            axis.bar_label(bars, fmt="{:,.0f}", fontsize=7.5, padding=1)
        labels = [
            f"{device}\nn = {part.cycles:,} cycles\n{count(part.patients, 'patient')}"
            for device, part in devices.items()
        ]
        axis.set_xticks(range(len(devices)), labels)
        axis.tick_params(axis="x", length=0)
        axis.margins(y=0.08)
        axis.set_xlabel("Device")
        axis.set_ylabel("Cycles")
        axis.legend(title="Class", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def cycle_lengths(lengths_s: np.ndarray, window_s: float) -> Figure:
    """A histogram of cycle lengths with the window, and how many are shorter than each length.

    Args:
        lengths_s: length of every cycle in seconds, float64 [N].
        window_s: seconds that the network sees.
    """
    edges = np.arange(0, lengths_s.max() + BIN_S, BIN_S)
    with drawing(f"Length of the cycles (n = {len(lengths_s):,})", (8.6, 3.6)) as figure:
        left, right = figure.subplots(1, 2)
        left.hist(lengths_s, edges, color=COLOURS[0], edgecolor="white", lw=0.4)
        left.set_title("Histogram")
        left.set_xlabel(f"Length (s; bins of {BIN_S:g} s)")
        left.set_ylabel("Cycles")
        ordered = np.sort(lengths_s)
        right.step(ordered, 100 * np.arange(1, len(ordered) + 1) / len(ordered), color=COLOURS[0])
        shares = np.array([100 * (lengths_s < mark).mean() for mark in MARKS_S])
        for mark, below, height in zip(MARKS_S, shares, _apart(shares - 5, 7), strict=True):
            right.plot(mark, below, "o", color=COLOURS[1], ms=5)
            right.annotate(
                f"{below:.1f}% under {mark:g} s",
                (mark, below),
                (window_s + 0.6, height),
                va="center",
                fontsize=8,
                arrowprops={"arrowstyle": "-", "color": COLOURS[1], "lw": 0.7},
            )
        right.set_title("Share of no greater length")
        right.set_xlabel("Length (s)")
        right.set_ylabel("Share of cycles (%)")
        right.set_ylim(0, 102)
        for axis in (left, right):
            label = f"window, {window_s:g} s"
            axis.axvline(window_s, color="#333333", ls="--", lw=1.2, label=label)
            axis.set_xlim(0, max(edges[-1], window_s + 5))
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        left.legend()
    return figure


def _apart(heights: np.ndarray, least: float) -> np.ndarray:
    """Rising heights [n] of texts, moved down or off the ground until none is over another."""
    steps = least * np.arange(len(heights))
    below_the_next = np.minimum.accumulate((heights - steps)[::-1])[::-1] + steps
    return np.maximum(below_the_next, least / 2 + steps)


def blank_rows(blank: BlankRows) -> Figure:
    """Share of windows whose top row is blank by device, and the same of every row."""
    parts = {name: part for name, part in blank.devices.items() if part.windows}
    with drawing(f"Blank rows (n = {blank.all.windows:,} windows)", (8.6, 3.8)) as figure:
        left, right = figure.subplots(1, 2)
        looks = list(zip(parts.items(), cycle(COLOURS), cycle(HATCHES), cycle(LINES)))
        for place, ((_, part), colour, hatch, _) in enumerate(looks):
            bars = left.bar(
                place, 100 * (part.top_row or 0), 0.6, color=colour, hatch=hatch, edgecolor="white"
            )
            left.bar_label(bars, fmt="{:.1f}", fontsize=8, padding=1)
        left.set_title(f"Top row ({blank.row_hz[0]:,.0f} Hz)")
        left.set_xticks(
            range(len(parts)), [f"{name}\nn = {part.windows:,}" for name, part in parts.items()]
        )
        left.tick_params(axis="x", length=0)
        left.set_ylim(0, 108)
        left.set_xlabel("Device")
        left.set_ylabel("Windows whose top row is blank (%)")
        for (name, part), colour, _, line in looks:
            shares = 100 * np.array(part.rows)
            right.plot(blank.row_hz, shares, color=colour, ls=line, lw=1.6, label=name)
        right.set_title("Every row")
        right.set_ylim(0, 108)
        right.set_xlabel("Frequency at the middle of the row (Hz)")
        right.set_ylabel("Windows in which the row is blank (%)")
        right.legend()
    return figure
