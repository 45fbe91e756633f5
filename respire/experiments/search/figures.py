"""Figures of a search, by Optuna in our style: history, what matters, where good recipes lie."""

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import optuna
from matplotlib.category import StrCategoryFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, PercentFormatter
from optuna.exceptions import ExperimentalWarning
from optuna.visualization import matplotlib as draw

from respire.experiments.search.objective import study_of
from respire.experiments.search.space import Space
from respire.experiments.search.summary import FINISHED, STOPPED, OuterSplit
from respire.report.style import COLOURS, STYLE, colours

GAIN = "Gain on validation (points)"
COLUMNS = 4
AXES = 6
"""Fields that a line can be followed through."""


def history(outer: Sequence[OuterSplit], space: Space) -> Figure:
    """Every trial's gain in the order they began, and the best so far that came to all splits."""
    with _our_style():
        axis: Any = draw.plot_optimization_history(
            [_study([split], space) for split in outer], target_name=GAIN
        )
        for number, (split, colour) in enumerate(zip(outer, colours(len(outer)), strict=True)):
            label = f"outer split {split.split_seed} ({_n([split])})"
            _paint(axis.collections[2 * number : 2 * number + 2], colour, label)
            best = axis.lines[number]
            best.set(color=colour, alpha=1, drawstyle="steps-post", label="best so far")
        axis.axhline(0, color="#333333", lw=1, label="default recipe")
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_xlabel("Trial (filled: all inner splits; open: stopped early)")
        return _finished(axis.figure, "Gain over the default recipe, trial by trial", 3.8)


def parallel_coordinates(outer: Sequence[OuterSplit], space: Space) -> Figure:
    """A line a trial through its gain and the values of the fields that matter most."""
    share: Counter[str] = Counter()
    for split in outer:
        share.update(split.importance)
    fields = sorted(fields_that_differ(outer), key=lambda field: -share[field])[:AXES]
    with _our_style(**{"axes.grid": False}):
        axis: Any = draw.plot_parallel_coordinate(_study(outer, space), fields, target_name=GAIN)
        axis.collections[0].set_cmap("viridis_r")
        names = ["gain", *(field.replace(".", "\n") for field in sorted(fields))]  # Optuna's order
        axis.set_xticks(range(len(names)), names, rotation=0, size=8)
        if legend := axis.get_legend():  # from Optuna 5 on
            for text, meant in zip(legend.get_texts(), (FINISHED, STOPPED), strict=True):
                text.set_text(meant)
        return _finished(axis.figure, f"Recipes that were tried ({_n(outer)})", 4.2)


def slices(outer: Sequence[OuterSplit], space: Space) -> Figure:
    """Gain against each field by itself."""
    fields = fields_that_differ(outer)
    rows = -(-len(fields) // COLUMNS)
    with _our_style():
        drawn: Any = draw.plot_slice(_study(outer, space), fields, target_name=GAIN)
        figure = np.ravel(drawn)[0].figure
        *axes, numbers = figure.axes
        numbers.remove()
        grid = figure.add_gridspec(rows, min(COLUMNS, len(fields)))
        for number, axis in enumerate(axes):
            row, column = divmod(number, COLUMNS)
            axis.set_subplotspec(grid[row, column])
            axis.set_xlabel(axis.get_xlabel().replace(".", "\n"))
            axis.set_ylabel("" if column else "Gain (points)")
            axis.tick_params(labelleft=not column)
            _label(axis)
            axis.axhline(0, color="#333333", lw=0.8)
            _paint(axis.collections, COLOURS[0])
        return _finished(figure, f"Gain by field ({_n(outer)})", 0.6 + 2.2 * rows)


def importance(split: OuterSplit) -> Figure:
    """Share of the gain's variance that each field explains."""
    shares = dict(reversed([*split.importance.items()]))
    with _our_style(**{"axes.grid.axis": "x"}):
        figure, axis = plt.subplots()
        bars = axis.barh([*shares], [*shares.values()], color=COLOURS[0])
        axis.bar_label(bars, fmt=" {:.1%}")
        axis.xaxis.set_major_formatter(PercentFormatter(1, 0))
        axis.set_xlabel("Share of the gain's variance explained")
        title = f"What matters, outer split {split.split_seed} ({_n([split])})"
        return _finished(figure, title, 1.3 + 0.28 * len(shares))


def fields_that_differ(outer: Sequence[OuterSplit]) -> list[str]:
    """Fields that differ between trials, in the order of the space."""
    tried = [trial.values for split in outer for trial in split.scored]
    fields = dict.fromkeys(field for values in tried for field in values)
    return [f for f in fields if len({str(values[f]) for values in tried if f in values}) > 1]


def _paint(dots: Sequence[Any], colour: str, label: str | None = None) -> None:
    """Filled those of trials that came to all splits, open those of the others."""
    whole, stopped = dots
    whole.set(array=None, color=colour, label=label)
    stopped.set(facecolor="white", edgecolor=colour)


def _label(axis: Any) -> None:
    """Values below an axis, so that there is room for each."""
    if axis.get_xscale() == "log":
        tried = np.concatenate([dots.get_offsets()[:, 0] for dots in axis.collections])
        axis.set_xticks(ends := [tried.min(), tried.max()], [f"{end:.2g}" for end in ends])
        axis.xaxis.set_minor_formatter(NullFormatter())
    elif isinstance(axis.xaxis.get_major_formatter(), StrCategoryFormatter):
        names = [label.get_text().strip("'") for label in axis.get_xticklabels()]
        axis.set_xticks(range(len(names)), names)
        axis.set_xlim(-0.5, len(names) - 0.5)


@contextmanager
def _our_style(**changes: Any) -> Iterator[None]:
    """Where Optuna asks for the style that it draws in, it gets ours."""
    ours = STYLE | {"figure.constrained_layout.use": True} | changes
    theirs = patch.dict(plt.style.library, ggplot=matplotlib.RcParams(ours))
    with matplotlib.rc_context(ours), theirs, warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def _study(outer: Sequence[OuterSplit], space: Space) -> optuna.Study:
    """The trials of outer splits as one study of their gains in points."""
    trials = [trial for split in outer for trial in split.trials]
    points = (replace(t, gain=None if t.gain is None else 100 * t.gain) for t in trials)
    return study_of(points, space)


def _n(outer: Sequence[OuterSplit]) -> str:
    return f"n = {sum(len(split.scored) for split in outer)} trials"


def _finished(figure: Figure, title: str, height: float) -> Figure:
    """The figure under our title, of our size, and out of pyplot's hands."""
    for axis in figure.axes:
        axis.set_title("")
        axis.set_title("", loc="left")
    figure.set_layout_engine("constrained")
    figure.set_size_inches(8.6, height)
    figure.suptitle(title, size=12, weight="bold")
    plt.close(figure)
    return figure
