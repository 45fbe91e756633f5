"""Figures of one split's results, from plain numbers."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from respire.experiments.full.summary import StoredScores
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
        histories: columns run ("stage1" or a device), epoch (from 1), train_loss and
            validation_score, or test_score where test selects (fraction, NaN where undefined).
        chosen: the epoch whose weights each run kept, which is ringed; None where it kept none.
        cycles: training and selecting cycles of each run.
        selection: the side whose Score chose the epochs.
        stamps: banners.
    """
    devices = sorted(set(histories["run"]) - {"stage1"})
    columns = {"Stage 1": ["stage1"], "Stage 2, fine-tuning by device": devices}
    with drawing("Learning curves", (8.6, 5.8), stamps) as figure:
        axes = figure.subplots(2, 2, sharex="col", sharey="row")
        for (title, runs), (upper, lower) in zip(columns.items(), axes.T, strict=True):
            upper.set_title(title)
            for run, colour in zip(runs, colours(len(runs)), strict=True):
                history = histories[histories["run"] == run].sort_values("epoch")
                trained, selecting = cycles[run]
                name = "all devices" if run == "stage1" else run
                label = f"{name} (n = {trained:,} training, {selecting:,} {selection} cycles)"
                score = 100 * history[f"{selection}_score"]
                for axis, values in ((upper, history["train_loss"]), (lower, score)):
                    _curve(axis, history["epoch"], values, chosen.get(run), colour, label)
            if not runs:
                _leave_empty(upper, lower, "no device was fine-tuned")
                continue
            lower.legend(loc="upper left", bbox_to_anchor=(0, -0.26), borderaxespad=0)
            lower.set_xlabel("Epoch")
            ticks = MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])
            lower.xaxis.set_major_locator(ticks)
        axes[0, 0].set_ylabel("Training loss\n(cross-entropy, nats)")
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


def _curve(
    axis: Axes, x: pd.Series, y: pd.Series, chosen: int | None, colour: str, label: str
) -> None:
    marker = "." if len(x) <= 30 else None
    axis.plot(x, y, color=colour, lw=1.5, marker=marker, label=label)
    ringed = x == chosen
    axis.plot(x[ringed], y[ringed], "o", color=colour, mfc="white", mew=1.6, ms=8)


def _leave_empty(upper: Axes, lower: Axes, why: str) -> None:
    upper.text(0.5, 0.5, why, transform=upper.transAxes, ha="center", color="#666666")
    upper.set_axis_off()
    lower.set_axis_off()


def _column(
    of_group: Mapping[str, StoredScores], groups: Mapping[str, int], name: str
) -> np.ndarray:
    """One fraction or count of every group, float64, NaN where undefined."""
    return np.array([of_group[group][name] for group in groups], dtype=np.float64)
