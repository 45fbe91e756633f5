"""Figures of a search: its history, what matters, and where good recipes lie."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from respire.report.style import COLOURS, STYLE, colours, titled

COLUMNS = 4
STATES = {"finished": "o", "stopped early": "v"}
"""Markers of trials that have a gain; the others have none to draw."""
OutOf = Mapping[str, Any]
"""An entry of ``outer`` in results.json."""


def history(outer: Sequence[OutOf]) -> Figure:
    """Every trial's gain in the order they began, and the best so far that came to all splits."""
    with matplotlib.rc_context(STYLE):
        figure = titled("Gain over the default recipe, trial by trial", (8.6, 3.4), [])
        axis = figure.subplots()
        axis.axhline(0, color="#333333", lw=1, label="default recipe")
        for of, colour in zip(outer, colours(len(outer)), strict=True):
            best = -np.inf
            x: list[int] = []
            y: list[float] = []
            for number, trial in enumerate(of["trials"], 1):
                if trial["gain"] is None:
                    continue
                whole = trial["state"] == "finished"
                axis.plot(
                    number,
                    100 * trial["gain"],
                    STATES.get(trial["state"], "x"),
                    color=colour,
                    mfc=colour if whole else "white",
                    ms=5,
                )
                if whole:
                    best = max(best, trial["gain"])
                    x.append(number)
                    y.append(100 * best)
            axis.step(x, y, where="post", color=colour, lw=1.3, label=_outer(of))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_xlabel("Trial (filled: all inner splits; open: stopped early)")
        axis.set_ylabel("Gain on validation (points)")
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def importance(outer: Sequence[OutOf]) -> Figure:
    """Share of the gain's variance that each field explains, by outer split."""
    fields = sorted({field for of in outer for field in of["importance"]})
    fields.sort(key=lambda f: float(np.mean([of["importance"].get(f, 0.0) for of in outer])))
    with matplotlib.rc_context(STYLE | {"axes.grid.axis": "x"}):
        figure = titled("What matters", (8.6, 0.8 + 0.28 * max(len(fields), 2)), [])
        axis = figure.subplots()
        height = 0.8 / len(outer)
        for index, (of, colour) in enumerate(zip(outer, colours(len(outer)), strict=True)):
            axis.barh(
                np.arange(len(fields)) + height * (index - (len(outer) - 1) / 2),
                [100 * of["importance"].get(field, 0.0) for field in fields],
                height,
                color=colour,
                label=_outer(of),
            )
        axis.set_yticks(range(len(fields)), fields)
        axis.set_xlabel("Share of the gain's variance explained (%)")
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def parallel_coordinates(outer: Sequence[OutOf]) -> Figure:
    """A line a trial, from the top down through the values it varies; the colour is its gain."""
    trials = [t for of in outer for t in of["trials"] if t["gain"] is not None]
    trials.sort(key=lambda trial: float(trial["gain"]))
    fields = fields_that_differ(trials)
    gains = [100 * trial["gain"] for trial in trials]
    with matplotlib.rc_context(STYLE | {"axes.grid": False, "axes.spines.bottom": False}):
        height = 1.0 + 0.36 * len(fields)
        figure = titled(f"Recipes that were tried (n = {len(trials)})", (8.6, height), [])
        axis = figure.subplots()
        colour = matplotlib.cm.ScalarMappable(
            matplotlib.colors.Normalize(gains[0], gains[-1] + 1e-9), "viridis_r"
        )
        places = {}
        for row, field in enumerate(fields):
            places[field], labels = _scale([t["values"].get(field) for t in trials])
            axis.axhline(row, color="#cccccc", lw=0.8, zorder=0)
            for x, label in labels:
                axis.annotate(
                    label,
                    (x, row),
                    (0, -2),
                    textcoords="offset points",
                    ha="center",
                    va="top",
                    fontsize=7,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.8},
                )
        for trial, gain in zip(trials, gains, strict=True):
            there = [(row, field) for row, field in enumerate(fields) if field in trial["values"]]
            axis.plot(
                [places[field][trial["values"][field]] for _, field in there],
                [row for row, _ in there],
                color=colour.to_rgba(gain),
                lw=1.1,
                marker=".",
            )
        axis.set_yticks(range(len(fields)), fields)
        axis.set_ylim(len(fields) - 0.3, -0.5)
        axis.set_xticks([])
        axis.set_xlabel("From the least to the greatest value that was tried")
        bar = figure.colorbar(colour, ax=axis, pad=0.02, aspect=40)
        bar.set_label("Gain on validation (points)")
    return figure


def slices(outer: Sequence[OutOf]) -> Figure:
    """Gain against each field by itself."""
    trials = [t for of in outer for t in of["trials"] if t["gain"] is not None]
    fields = fields_that_differ(trials)
    columns = min(COLUMNS, len(fields))
    rows = -(-len(fields) // columns)
    with matplotlib.rc_context(STYLE):
        figure = titled(f"Gain by field (n = {len(trials)} trials)", (8.6, 2.2 * rows), [])
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        for axis in grid.flat[len(fields) :]:
            axis.set_axis_off()
        for axis, field in zip(grid.flat, fields, strict=False):
            _slice(axis, field, trials)
        for axis in grid[:, 0]:
            axis.set_ylabel("Gain (points)")
    return figure


def _slice(axis: Axes, field: str, trials: Sequence[Mapping[str, Any]]) -> None:
    ours = [trial for trial in trials if field in trial["values"]]
    values = [trial["values"][field] for trial in ours]
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    names = sorted({str(value) for value in values})
    x = values if numbers else [names.index(str(value)) for value in values]
    axis.axhline(0, color="#333333", lw=0.8)
    for state, filled in (("finished", True), ("stopped early", False)):
        chosen = [i for i, trial in enumerate(ours) if (trial["state"] == "finished") == filled]
        axis.plot(
            [x[i] for i in chosen],
            [100 * ours[i]["gain"] for i in chosen],
            STATES[state],
            color=COLOURS[0],
            mfc=COLOURS[0] if filled else "white",
            ms=4,
        )
    if not numbers:
        axis.set_xticks(range(len(names)), names)
        axis.set_xlim(-0.5, len(names) - 0.5)
    elif min(values) > 0 and max(values) / min(values) > 20:
        axis.set_xscale("log")
        ends = [min(values), max(values)]
        axis.set_xticks(ends, [f"{value:.2g}" for value in ends])
        axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel(field.replace(".", "\n"))


def _scale(values: Sequence[Any]) -> tuple[dict[Any, float], list[tuple[float, str]]]:
    """Where on an axis of 0 to 1 each value lies, and the labels to write there."""
    there = [value for value in values if value is not None]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in there):
        low, high = min(there), max(there)
        log = low > 0 and high / low > 20
        place = np.log if log else np.asarray
        ends = place(low), place(high)
        span = float(ends[1] - ends[0]) or 1.0
        where = {value: float(place(value) - ends[0]) / span for value in there}
        return where, [(where[low], f"{low:.3g}"), (where[high], f"{high:.3g}")]
    names = sorted(set(there), key=str)
    where = {name: index / max(len(names) - 1, 1) for index, name in enumerate(names)}
    return where, [(where[name], str(name)) for name in names]


def fields_that_differ(trials: Sequence[Mapping[str, Any]]) -> list[str]:
    """Fields that differ between trials, in the order of the space."""
    seen: dict[str, set[str]] = {}
    for trial in trials:
        for field, value in trial["values"].items():
            seen.setdefault(field, set()).add(str(value))
    return [field for field, values in seen.items() if len(values) > 1]


def _outer(of: OutOf) -> str:
    return f"outer split {of['split_seed']} (n = {len(of['trials'])} trials)"
