"""Figures of one split's results, from plain numbers."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from respire.evaluation.beyond import GRID, Beyond
from respire.evaluation.subgroups import Subgroups
from respire.experiments.full.summary import AlongPrior, StoredScores
from respire.report.numbers import count
from respire.report.style import BASELINE_LINES, COLOURS, LINES, beside, colours, drawing, percents


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
            kinds = itertools.cycle(LINES)
            for run, colour, line in zip(runs, colours(len(runs)), kinds, strict=False):
                history = histories[histories["run"] == run].sort_values("epoch")
                name = "all devices" if run == "stage1" else run
                sides = zip(cycles[run], ("training", selection), strict=False)
                label = f"{name} (n = {', '.join(f'{n:,} {side}' for n, side in sides)} cycles)"
                for axis, (values, scale) in zip(column, shown.items(), strict=True):
                    y = scale * history[values]
                    drawn = {"color": colour, "linestyle": line, "label": label}
                    _curve(axis, history["epoch"], y, chosen.get(run), drawn)
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
            axis.plot(x, se, "^", color=colour, mfc="white", ms=6, label=f"{stage}: Se", zorder=3)
            axis.plot(x, sp, "s", color=colour, mfc="white", ms=5, label=f"{stage}: Sp", zorder=3)
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
                axis.plot(along.priors, percents(scores), line, color=colour, label=label)
        if len(set(priors.values())) == 1:
            priors = {" and ".join(priors): next(iter(priors.values()))}
        for (name, prior), line in zip(priors.items(), ("--", "-"), strict=False):
            axis.axvline(prior, color="#888888", ls=line, lw=1, label=f"{name} under {prior:g}")
        axis.set_xlabel("Prior of the classes (0: equal; 1: as in the Score)")
        axis.set_ylabel("Score (%)")
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def operating_curve(
    beyond: Beyond,
    chosen: StoredScores,
    baselines: Mapping[str, StoredScores],
    stamps: Sequence[str] = (),
) -> Figure:
    """Se against Sp as the threshold moves, what was decided, and the baselines.

    Args:
        beyond: what is told of the predictions.
        chosen: their Scores as in results.json.
        baselines: those of the baselines.
        stamps: banners.
    """
    both = {"axes.grid.axis": "both"}
    with drawing("Operating curve", (6.2, 5.2), stamps, both) as figure:
        axis = figure.subplots()
        se = percents(beyond.operating_curve)
        axis.plot(percents(GRID), se, color=COLOURS[0], lw=2, label="any threshold")
        score = 200 * np.float64(chosen["score"])
        axis.plot([score - 100, 100], [100, score - 100], ls="--", color="#888888", lw=1)
        points = {
            "as decided": chosen,
            **{f"baseline: {name}": of for name, of in baselines.items()},
        }
        for (name, of), colour, marker in zip(
            points.items(), (COLOURS[1], *["#333333"] * len(baselines)), "oXsD^", strict=False
        ):
            x, y = (percents(of[what]) for what in ("sp", "se"))
            axis.plot(
                x, y, marker, color=colour, mfc=colour if of is chosen else "white", label=name
            )
        axis.set_xlim(-2, 102)
        axis.set_ylim(-2, 102)
        axis.set_aspect("equal")
        axis.set_xlabel("Sp: normal cycles called normal (%)")
        axis.set_ylabel("Se: abnormal cycles given their class (%)")
        axis.set_title(f"n = {chosen['n']:,} cycles")
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def reliability(beyond: Beyond, stamps: Sequence[str] = ()) -> Figure:
    """Share of abnormal cycles against their probability, of all devices and of each."""
    panels = {name or "all devices": bins for name, bins in beyond.reliability.items()}
    width = 2.1 * len(panels) + 0.4
    with drawing(
        "Reliability", (max(width, 4.2), 2.9), stamps, {"axes.grid.axis": "both"}
    ) as figure:
        axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
        for axis, (name, bins) in zip(axes, panels.items(), strict=True):
            n = sum(b.n for b in bins)
            said, happened = (percents([b[place] for b in bins]) for place in (1, 2))
            axis.plot([0, 100], [0, 100], color="#888888", lw=1, ls="--")
            axis.plot(said, happened, color=COLOURS[0], lw=1.5)
            axis.scatter(said, happened, [4 + 300 * b.n / n for b in bins], color=COLOURS[0])
            axis.set_title(f"{name}\nn = {n:,} cycles")
            axis.set_aspect("equal")
        axes[0].set_ylabel("Annotated as abnormal (%)")
        figure.supxlabel("Probability of abnormal (%)", size="medium")
    return figure


def answers(beyond: Beyond, scores: StoredScores, stamps: Sequence[str] = ()) -> Figure:
    """Share of abnormal cycles predicted against annotated, by recording and by patient."""
    panels = {
        "recording": (beyond.recordings, scores["recording_r"]),
        "patient": (beyond.patients, scores["patient_r"]),
    }
    with drawing("Abnormal share", (8.6, 4.1), stamps, {"axes.grid.axis": "both"}) as figure:
        for axis, (kind, (told, r)) in zip(
            figure.subplots(1, 2, sharey=True), panels.items(), strict=True
        ):
            axis.plot([0, 100], [0, 100], color="#888888", lw=1, ls="--")
            axis.scatter(
                [100 * answer.annotated for answer in told],
                [100 * answer.predicted for answer in told],
                [3 * answer.cycles ** (1 if kind == "recording" else 0.7) for answer in told],
                color=COLOURS[0],
                alpha=0.35,
                lw=0,
            )
            known = "" if r is None or np.isnan(r) else f", r = {r:+.2f}"
            axis.set_title(f"{count(len(told), kind)}{known}")
            axis.set_xlabel(f"Cycles of the {kind} annotated as abnormal (%)")
            axis.set_aspect("equal")
        figure.axes[0].set_ylabel("Predicted as abnormal (%)")
    return figure


def subgroups(told: Subgroups, overall: StoredScores, stamps: Sequence[str] = ()) -> Figure:
    """Score and interval of each subgroup, beside that of all test patients."""
    with drawing("Score by subgroup", (7.2, 1.2 + 0.3 * len(told.shown)), stamps) as figure:
        axis = figure.subplots()
        axis.axvline(100 * np.float64(overall["score"]), color="#888888", ls="--", lw=1.2)
        whats = list(dict.fromkeys(of.what for of in told.shown))
        for y, of in enumerate(told.shown):
            colour = COLOURS[whats.index(of.what) % len(COLOURS)]
            low, high = of.interval
            axis.hlines(y, 100 * low, 100 * high, color=colour, lw=2.5)
            axis.plot(100 * of.score, y, "o", color=colour, ms=7)
        axis.set_yticks(
            range(len(told.shown)),
            [
                f"{of.what}: {of.group} ({count(of.patients, 'patient')}, {of.cycles:,} cycles)"
                for of in told.shown
            ],
        )
        axis.set_ylim(len(told.shown) - 0.4, -0.6)
        axis.grid(axis="y", visible=False)
        axis.grid(axis="x", visible=True)
        axis.tick_params(axis="y", length=0)
        axis.set_xlabel("Score (%)")
    return figure


def _curve(
    axis: Axes, x: pd.Series, y: pd.Series, chosen: int | None, drawn: dict[str, Any]
) -> None:
    marker = "." if len(x) <= 30 else None
    axis.plot(x, y, lw=1.5, marker=marker, **drawn)
    ringed = x == chosen
    axis.plot(x[ringed], y[ringed], "o", color=drawn["color"], mfc="white", mew=1.6, ms=8)


def _leave_empty(column: Sequence[Axes], why: str) -> None:
    column[0].text(0.5, 0.5, why, transform=column[0].transAxes, ha="center", color="#666666")
    for axis in column:
        axis.set_axis_off()


def _column(
    of_group: Mapping[str, StoredScores], groups: Mapping[str, int], name: str
) -> np.ndarray:
    """One fraction or count of every group, float64, NaN where undefined."""
    return np.array([of_group[group][name] for group in groups], dtype=np.float64)
