"""Figures of rows beside what the paper prints."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from respire.experiments.paper_tables.tables import group
from respire.report.confusion import confusion
from respire.report.style import COLOURS, STYLE, colours, count, spread, titled

Rows = Sequence[Mapping[str, Any]]
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
MARKERS = "osv^DPX"


def scores(rows: Rows, baselines: Rows, stamps: Sequence[str] = ()) -> Figure:
    """Score of every row, grouped by split and task, beside the paper's and the best baseline."""
    groups = {of: [r for r in rows if group(r) == of] for of in dict.fromkeys(map(group, rows))}
    with matplotlib.rc_context(STYLE):
        figure = titled("Score by row", (8.6, 1.1 * len(groups) + 0.36 * len(rows)), stamps)
        axes = figure.subplots(
            len(groups),
            1,
            squeeze=False,
            sharex=True,
            height_ratios=[len(ours) + 1 for ours in groups.values()],
        )[:, 0]
        for axis, (of, ours) in zip(axes, groups.items(), strict=True):
            for y, row in enumerate(ours):
                values = [100 * split["score"] for split in row["splits"]]
                _line(axis, y, values, row["score"], row["interval"])
                if row["printed"]["score"] is not None:
                    axis.plot(row["printed"]["score"], y, **PAPER)
            best = max((b for b in baselines if group(b) == of), key=lambda b: b["score"])
            axis.axvline(
                100 * best["score"], color="#888888", ls="--", lw=1.2, label=best["name"], zorder=0
            )
            axis.set_title(f"{of} (n = {len(ours[0]['splits'])} splits; dashed: {best['name']})")
            _name(axis, [row["name"] for row in ours])
        axes[-1].set_xlabel("Score (%)")
        _legend(figure, any(row["printed"]["score"] is not None for row in rows))
    return figure


def differences(rows: Rows, stamps: Sequence[str] = ()) -> Figure:
    """Difference of every row's Score from that of the row it is compared with."""
    ours = [row for row in rows if row["difference"] is not None]
    with matplotlib.rc_context(STYLE):
        figure = titled("Difference of Score", (8.6, 1.2 + 0.46 * len(ours)), stamps)
        axis = figure.subplots()
        for y, row in enumerate(ours):
            found = row["difference"]
            new = found["new_patients"]
            if new is not None:
                axis.hlines(y, 100 * new["low"], 100 * new["high"], color=OURS, lw=0.9)
            values = [100 * value for value in found["splits"]]
            _line(axis, y, values, found["mean"]["score"], found["these_patients"])
            if row["printed"]["gain"] is not None:
                axis.plot(row["printed"]["gain"], y, **PAPER)
        axis.axvline(0, color="#888888", lw=1, zorder=0)
        axis.set_title(f"n = {len(ours[0]['splits'])} splits")
        # Names of rows may be long, and there are two to each difference.
        _name(axis, [f"{row['name']}\nless {row['against']}" for row in ours])
        axis.set_xlabel("Difference of Score on the same splits (points)")
        _legend(figure, any(row["printed"]["gain"] is not None for row in ours))
    return figure


def along(rows: Rows, axis_label: str, stamps: Sequence[str] = ()) -> Figure:
    """Score against the number that rows differ in, beside the paper's."""
    ours = sorted((r for r in rows if r["along"] is not None), key=lambda r: r["along"])
    x = [row["along"] for row in ours]
    with matplotlib.rc_context(STYLE):
        figure = titled(f"Score by {axis_label.lower()}", (7.2, 3.8), stamps)
        axis = figure.subplots()
        for row in ours:
            values = [100 * split["score"] for split in row["splits"]]
            axis.plot([row["along"]] * len(values), values, "o", color=OURS, **RINGS)
        mean = np.array([100 * row["score"] for row in ours])
        axis.plot(x, mean, "o-", color=OURS, ms=8, label="ours: mean of splits and its interval")
        for row in ours:
            if row["interval"] is not None:
                low, high = (100 * end for end in row["interval"])
                axis.vlines(row["along"], low, high, color=OURS, lw=3)
        printed = [row["printed"]["score"] for row in ours]
        if any(value is not None for value in printed):
            axis.plot(x, printed, **PAPER | {"ls": "--", "label": "the paper"})
        axis.set_title(f"n = {len(ours[0]['splits'])} splits, rings")
        axis.set_xlabel(axis_label)
        axis.set_xticks(x)
        axis.set_ylabel("Score (%)")
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def devices(rows: Rows, stamps: Sequence[str] = ()) -> Figure:
    """Score of every row on each device's test cycles; open where the device was not heard."""
    shown = list(dict.fromkeys(device for row in rows for device in row["by_device"]))
    with matplotlib.rc_context(STYLE):
        figure = titled("Score by device", (8.6, 4.2), stamps)
        axis = figure.subplots()
        for row, offset, colour, marker in zip(
            rows, spread(len(rows), 0.11), colours(len(rows)), MARKERS * len(rows), strict=False
        ):
            for x, device in enumerate(shown):
                found = row["by_device"].get(device, {"score": None})
                if found["score"] is None:
                    continue
                heard = row["heard"] is None or device in row["heard"]
                axis.plot(
                    x + offset,
                    100 * found["score"],
                    marker,
                    color=colour,
                    mfc=colour if heard else "white",
                    ms=7,
                )
            axis.plot([], [], marker, color=colour, label=row["name"], ms=7)
        axis.axhline(50, color="#888888", ls="--", lw=1.2, zorder=0, label="normal for everything")
        sizes = [
            next(row["by_device"][device] for row in rows if device in row["by_device"])
            for device in shown
        ]
        axis.set_xticks(
            range(len(shown)),
            [
                f"{device}\nn = {of['n']:,} cycles\n{of['patients']} patients"
                for device, of in zip(shown, sizes, strict=True)
            ],
        )
        axis.set_xlim(-0.6, len(shown) - 0.4)
        axis.set_xlabel("Device")
        axis.set_ylabel("Score on test cycles (%)")
        if any(row["heard"] is not None for row in rows):
            axis.set_title("Open: the device was not heard in training")
        figure.legend(loc="outside lower center", ncols=3)
    return figure


def training_size(found: Mapping[str, Any], stamps: Sequence[str] = ()) -> Figure:
    """Abnormal cycles recognised against training cycles, a point a device and split."""
    with matplotlib.rc_context(STYLE):
        figure = titled("Training size and abnormal cycles recognised", (7.2, 3.8), stamps)
        axis = figure.subplots()
        named = list(dict.fromkeys(point["device"] for point in found["points"]))
        for device, colour, marker in zip(named, colours(len(named)), MARKERS, strict=False):
            ours = [point for point in found["points"] if point["device"] == device]
            axis.plot(
                [point["training_cycles"] for point in ours],
                [100 * point["se"] for point in ours],
                marker,
                color=colour,
                label=f"{device} (n = {count(len(ours), 'split')})",
            )
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_xlabel("Training cycles of the device")
        axis.set_ylabel("Se on its test cycles (%)")
        axis.set_title(found["row"])
        axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def confusions(rows: Rows, classes: Sequence[str], stamps: Sequence[str] = ()) -> Figure:
    """Confusion matrices of some rows side by side."""
    return confusion({row["name"]: np.array(row["confusion"]) for row in rows}, classes, stamps)


def _line(
    axis: Axes, y: float, values: list[float], mean: float, interval: list[float] | None
) -> None:
    """A row of a forest plot."""
    axis.plot(values, [y] * len(values), "o", color=OURS, **RINGS)
    if interval is not None:
        axis.hlines(y, 100 * interval[0], 100 * interval[1], color=OURS, lw=3)
    axis.plot(100 * mean, y, "o", color=OURS, ms=8, zorder=3)


def _name(axis: Axes, names: Sequence[str]) -> None:
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.grid(axis="y", visible=False)
    axis.grid(axis="x", visible=True)
    axis.tick_params(axis="y", length=0)


def _legend(figure: Figure, printed: bool) -> None:
    axis = figure.axes[0]
    handles = [
        *axis.plot([], [], "o", color=OURS, ms=7, label="mean, and its interval over splits"),
        *axis.plot([], [], "o", color=OURS, **RINGS, label="one split"),
        *(axis.plot([], [], **PAPER, label="the paper") if printed else []),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
