"""The benchmark's figures, from results.json."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from respire.benchmark.input_path import PER_SAMPLE
from respire.report.style import COLOURS, drawing

Part = Mapping[str, Any]
INCHES = (9.6, 3.8)
DOTTED: dict[str, Any] = {"color": "#666666", "lw": 1, "ls": ":", "zorder": 1}


def input_path(part: Part, device: str) -> Figure:
    """Microseconds a window by stage, and windows a second of the whole beside the others."""
    height, width = part["image"]
    title = f"Input path to {height}×{width} images on {device}"
    with drawing(title, INCHES, otherwise={"axes.grid.axis": "x"}) as figure:
        left, right = figure.subplots(1, 2)
        stages, paths = part["stages"], part["paths"]
        micro = {name: 1e6 / rate["per_s"] for name, rate in stages.items()}
        _bars(left, micro, "Microseconds a window", f"By stage, n = {_count(stages)}")
        rates = {name: rate["per_s"] for name, rate in paths.items()}
        _bars(right, rates, "Windows a second", f"As a whole, n = {_count(paths)}")
    return figure


def scaling(part: Part, device: str) -> Figure:
    """Seconds and peak memory by the number of cycles."""
    rows = part["sizes"]
    cycles = _column(rows, "cycles")
    with drawing(f"Scaling on {device}", INCHES, otherwise={"axes.grid.axis": "both"}) as figure:
        left, right = figure.subplots(1, 2)
        curves = {"preparing": "prepare_s", "an epoch's input path": "epoch_s"}
        for (name, column), colour in zip(curves.items(), COLOURS, strict=False):
            seconds = _column(rows, column)
            left.loglog(cycles, seconds, "o-", color=colour, label=name)
            left.loglog(cycles, seconds[-1] * cycles / cycles[-1], **DOTTED)
        left.plot([], [], **DOTTED, label="slope 1: in proportion")
        memory = {"preparing": "prepare_peak_memory_mib", "an epoch": "epoch_peak_memory_mib"}
        for (name, column), colour in zip(memory.items(), COLOURS, strict=False):
            right.semilogx(cycles, _column(rows, column), "o-", color=colour, label=name)
        right.semilogx(cycles, _column(rows, "at_rest_mib"), **DOTTED, label="before preparing")
        right.set_ylim(0, 1.1 * right.get_ylim()[1])
        for axis, title, unit in (
            (left, "Time", "Seconds"),
            (right, "Memory of all processes", "Peak (MiB)"),
        ):
            axis.set_title(f"{title} (n = {len(rows)} corpora)")
            axis.set_xticks(cycles, [f"{n:,}" for n in cycles])
            axis.xaxis.set_minor_locator(NullLocator())
            axis.set_xlabel("Cycles")
            axis.set_ylabel(unit)
            axis.legend()
        left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        left.yaxis.set_major_formatter("{x:g}")
        left.yaxis.set_minor_locator(NullLocator())
    return figure


def _bars(axis: Axes, values: Mapping[str, float], unit: str, title: str) -> None:
    colours = [COLOURS[name.startswith(PER_SAMPLE)] for name in values]
    bars = axis.barh(list(values), list(values.values()), color=colours)
    axis.bar_label(bars, fmt="{:,.0f}", padding=3, size=8)
    axis.margins(x=0.15)
    axis.invert_yaxis()
    axis.set_title(title)
    axis.set_xlabel(unit)


def _count(rates: Mapping[str, Part]) -> str:
    rate = next(iter(rates.values()))
    return f"{rate['units']:,} windows × {rate['repeats']}"


def _column(rows: Sequence[Part], column: str) -> np.ndarray:
    return np.array([row[column] for row in rows])
