"""Figures of one split's results, from plain numbers."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from respire.experiments.full.summary import AlongPrior, StoredScores
from respire.report.style import BASELINE_LINES, beside, colours, count, drawing


def learning_curves(
    histories: pd.DataFrame,
    chosen: Mapping[str, int | None],
    cycles: Mapping[str, tuple[int, ...]],
    selection: str,
    stamps: Sequence[str] = (),
) -> Figure:
    """Training loss and the selecting side's Score by epoch: stage 1 left, the fine-tunings right.

    Args:
        histories: columns run ("stage1" or a device), epoch (from 1), train_loss and, where a side
            selects, validation_score or test_score (fraction, NaN where undefined).
        chosen: the epoch whose weights each run kept, which is ringed; None where it kept none.
        cycles: training cycles of each run and, where a side selects, the selecting ones.
        selection: the side whose Score chose the epochs, or "none".
        stamps: banners.
    """
    devices = sorted(set(histories["run"]) - {"stage1"})
    columns = {"Stage 1": ["stage1"], "Stage 2, fine-tuning by device": devices}
    shown = {"train_loss": 1, f"{selection}_score": 100}
    if selection == "none":
        del shown["none_score"]
    with drawing("Learning curves", (8.6, 1.2 + 2.3 * len(shown)), stamps) as figure:
        axes = figure.subplots(len(shown), 2, sharex="col", sharey="row", squeeze=False)
        for (title, runs), column in zip(columns.items(), axes.T, strict=True):
            lower = column[-1]
            column[0].set_title(title)
            for run, colour in zip(runs, colours(len(runs)), strict=True):
                history = histories[histories["run"] == run].sort_values("epoch")
                name = "all devices" if run == "stage1" else run
                sides = zip(cycles[run], ("training", selection), strict=False)
                label = f"{name} (n = {', '.join(f'{n:,} {side}' for n, side in sides)} cycles)"
                for axis, (values, scale) in zip(column, shown.items(), strict=True):
                    y = scale * history[values]
                    _curve(axis, history["epoch"], y, chosen.get(run), colour, label)
            if not runs:
                _leave_empty(column, "no device was fine-tuned")
                continue
            lower.legend(loc="upper left", bbox_to_anchor=(0, -0.26), borderaxespad=0)
            lower.set_xlabel("Epoch")
            ticks = MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])
            lower.xaxis.set_major_locator(ticks)
        axes[0, 0].set_ylabel("Training loss\n(cross-entropy, nats)")
        if len(shown) > 1:
            axes[1, 0].set_ylabel(f"{selection.capitalize()} Score\n(%)")
    return figure


def score_by_device(
    groups: Mapping[str, int],
    stages: Mapping[str, Mapping[str, StoredScores]],
    baselines: Mapping[str, Mapping[str, StoredScores]],
    stamps: Sequence[str] = (),
) -> Figure:
    """Score, Se and Sp of each stage by device, the baselines' Scores beside them.

    The Score is the middle between Se and Sp, and is drawn so.

    Args:
        groups: each group of test cycles ("all devices", or a device) and its patients.
        stages: stage to group to Scores as in results.json ("se", "sp", "score", "n").
        baselines: the same of each baseline.
        stamps: banners.
    """
    with drawing("Test Score by device", (8.6, 4.4), stamps) as figure:
        axis = figure.subplots()
        for stage, of_group, offset, colour in beside(stages, 0.24):
            x = np.arange(len(groups)) + offset
            se, sp, score = (_column(of_group, groups, name) for name in ("se", "sp", "score"))
            axis.vlines(x, np.fmin(se, sp), np.fmax(se, sp), color=colour, lw=1.5, alpha=0.5)
            axis.plot(x, score, "o", color=colour, ms=8, label=f"{stage}: Score", zorder=3)
            axis.plot(x, se, "^", color=colour, mfc="white", ms=6, label="Se", zorder=3)
            axis.plot(x, sp, "s", color=colour, mfc="white", ms=5, label="Sp", zorder=3)
        for (name, of_group), line in zip(baselines.items(), BASELINE_LINES, strict=True):
            score, middle = _column(of_group, groups, "score"), np.arange(len(groups))
            axis.hlines(score, middle - 0.38, middle + 0.38, **line, label=f"{name}: Score")
        sizes = _column(next(iter(stages.values())), groups, "n")
        labels = [
            f"{group}\nn = {int(n):,} cycles\n{count(patients, 'patient')}"
            for (group, patients), n in zip(groups.items(), sizes, strict=True)
        ]
        axis.set_xticks(range(len(groups)), labels)
        axis.tick_params(axis="x", length=0)
        axis.set_xlim(-0.6, len(groups) - 0.4)
        axis.set_ylim(-0.03, 1.03)
        axis.yaxis.set_major_formatter(PercentFormatter(1, symbol=""))
        axis.set_xlabel("Device")
        axis.set_ylabel("Se, Sp and Score on test cycles (%)")
        figure.legend(loc="outside lower center", ncols=3)
    return figure


def score_by_prior(
    along: AlongPrior,
    priors: Mapping[str, float],
    cycles: Mapping[str, int],
    stamps: Sequence[str] = (),
) -> Figure:
    """The Score under each prior, on validation and, marked, on test.

    Args:
        along: both.
        priors: those "trained" and "decided" under.
        cycles: on "validation" and "test".
        stamps: banners.
    """
    lines = {"validation": along.validation, "test, not a choice": along.test}
    with drawing("Score by prior", (6.4, 4.2), stamps) as figure:
        axis = figure.subplots()
        for (side, scores), colour, line in zip(lines.items(), colours(2), "-:", strict=True):
            if scores is not None:
                label = f"{side} (n = {cycles[side.split(',')[0]]:,} cycles)"
                axis.plot(along.priors, 100 * np.array(scores), line, color=colour, label=label)
        for (name, prior), line in zip(priors.items(), ("--", "-"), strict=True):
            axis.axvline(prior, color="#888888", ls=line, lw=1, label=f"{name} under {prior:g}")
        axis.set_xlabel("Prior of the classes (0: equal; 1: as in the Score)")
        axis.set_ylabel("Score (%)")
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def _curve(
    axis: Axes, x: pd.Series, y: pd.Series, chosen: int | None, colour: str, label: str
) -> None:
    marker = "." if len(x) <= 30 else None
    axis.plot(x, y, color=colour, lw=1.5, marker=marker, label=label)
    ringed = x == chosen
    axis.plot(x[ringed], y[ringed], "o", color=colour, mfc="white", mew=1.6, ms=8)


def _leave_empty(column: Sequence[Axes], why: str) -> None:
    column[0].text(0.5, 0.5, why, transform=column[0].transAxes, ha="center", color="#666666")
    for axis in column:
        axis.set_axis_off()


def _column(
    of_group: Mapping[str, StoredScores], groups: Mapping[str, int], name: str
) -> np.ndarray:
    """One fraction or count of every group, float64, NaN where undefined."""
    return np.array([of_group[group][name] for group in groups], dtype=np.float64)
