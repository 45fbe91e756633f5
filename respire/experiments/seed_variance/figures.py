"""Figures of many runs: how far Scores spread over splits and seeds, and with what."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from respire.evaluation.assess import LABELS
from respire.experiments.seed_variance.tables import COMPONENTS, SHARES
from respire.report.style import (
    BASELINE_LINES,
    COLOURS,
    MARKERS,
    beside,
    drawing,
    legend_below,
    percents,
)
from respire.statistics.variance import Decomposition
from respire.study.spread_summary import Contrast, Spread

GREY = "#666666"


def score_by_split(spread: Spread, stamps: Sequence[str] = ()) -> Figure:
    """Every run's Score by split, the split's interval over patients, and the mean over splits.

    Args:
        spread: of it the last stage, as in all figures here.
        stamps: banners.
    """
    variants, stage = spread.variants, spread.stages[-1]
    with drawing("Score by split", (8.6, 3.7 * len(variants)), stamps) as figure:
        rows = figure.subplots(len(variants), 1, squeeze=False, sharey=True)[:, 0]
        for axis, (name, variant, _, colour) in zip(rows, beside(variants), strict=True):
            splits = variant.worst_first(stage)
            for x, split in enumerate(splits):
                scores = split.scores[stage]
                if scores.interval is not None:
                    ends = percents(scores.interval.score)
                    axis.vlines(x, *ends, color=colour, lw=6, alpha=0.2)
                axis.plot(x, 100 * scores.score, "_", color=colour, ms=16)
            position = {split.split_seed: x for x, split in enumerate(splits)}
            ours = [run for run in spread.runs if run.variant == name and run.stage == stage]
            axis.plot(
                [position[run.split_seed] for run in ours],
                percents([run.score for run in ours]),
                *"o",
                color=colour,
                mfc="white",
                ms=5,
                label="one run",
            )
            _mean_band(axis, variant.variance[stage]["score"])
            for (baseline, means), line in zip(
                variant.baselines.items(), BASELINE_LINES, strict=True
            ):
                axis.axhline(100 * means.score, **line, zorder=1, label=f"{baseline}, mean")
            labels = [f"{s.split_seed}\n{s.cycles:,}\n{s.patients}" for s in splits]
            axis.set_xticks(range(len(splits)), labels)
            axis.set_xlabel("Split seed, its test cycles and its test patients")
            axis.set_ylabel("Score (%)")
            axis.set_title(f"{name} (n = {len(ours)} runs on {len(splits)} splits)")
            axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def variance_components(spread: Spread, stamps: Sequence[str] = ()) -> Figure:
    """Standard deviations of each statistic between splits, between seeds and of one run."""
    variants, stage = spread.variants, spread.stages[-1]
    with drawing("Where the spread comes from", (8.6, 3.6), stamps) as figure:
        for axis, (metric, title) in zip(
            figure.subplots(1, len(LABELS), sharey=True), LABELS.items(), strict=True
        ):
            for name, variant, offset, colour in beside(variants, 0.2):
                known = variant.variance[stage][metric]
                if known is None:
                    continue
                parts = [getattr(known, part).root() for part in COMPONENTS]
                value, low, high = percents([(p.value, p.low, p.high) for p in parts]).T
                axis.errorbar(
                    np.arange(len(COMPONENTS)) + offset,
                    value,
                    [value - low, high - value],
                    fmt="o",
                    color=colour,
                    capsize=3,
                    label=f"{name} ({known.splits} splits × {known.seeds} seeds)",
                )
            labels = [label.replace(" ", "\n", 1) for label in COMPONENTS.values()]
            axis.set_xticks(range(len(COMPONENTS)), labels)
            axis.set_xlim(-0.5, len(COMPONENTS) - 0.5)
            axis.set_title(title)
        figure.axes[0].set_ylim(bottom=0)
        figure.axes[0].set_ylabel("Standard deviation (points)")
        legend_below(figure, 2)
    return figure


def score_composition(spread: Spread, stamps: Sequence[str] = ()) -> Figure:
    """The splits' mean Scores against what their test sides are made of."""
    variants, stage = spread.variants, spread.stages[-1]
    names = list(next(iter(variants.values())).composition)
    rows = -(-len(names) // 4)
    inches, both = (8.6, 2.6 * rows + 0.3), {"axes.grid.axis": "both"}
    with drawing("Score against what is tested", inches, stamps, both) as figure:
        grid = figure.subplots(rows, 4, sharey=True, squeeze=False)
        for axis in grid.flat[len(names) :]:
            axis.set_axis_off()
        for axis, share in zip(grid.flat, names, strict=False):
            told = zip(beside(variants), MARKERS, strict=False)
            for line, ((name, variant, _, colour), marker) in enumerate(told):
                scale = 1 if share == "cycles" else 100
                axis.plot(
                    [scale * split.amount(share) for split in variant.splits],
                    percents(variant.by_split(stage)),
                    marker,
                    color=colour,
                    ms=5,
                    alpha=0.8,
                    label=f"{name} (n = {len(variant.splits)} splits)",
                )
                known = variant.composition[share]
                if known is not None:
                    axis.annotate(
                        f"r = {known.r:.2f} ({known.low:.2f} to {known.high:.2f})",
                        (0, 1.03 + 0.09 * (len(variants) - 1 - line)),
                        xycoords="axes fraction",
                        color=colour,
                        fontsize=8,
                    )
            axis.set_xlabel(SHARES.get(share, f"{share} (% of cycles)"))
        for axis in grid[:, 0]:
            axis.set_ylabel("Score (%)")
        legend_below(figure, 2)
    return figure


def paired_differences(contrast: Contrast, stamps: Sequence[str] = ()) -> Figure:
    """A less B on each split, their mean with both intervals, and the region of equivalence."""
    of_stage, seeds = list(contrast.stages.values())[-1], contrast.split_seeds
    with drawing(f"{contrast.a} less {contrast.b}", (8.6, 3.9), stamps) as figure:
        for axis, (metric, title) in zip(
            figure.subplots(1, len(LABELS), sharey=True), LABELS.items(), strict=True
        ):
            values = percents(of_stage.differences[metric])
            order = np.argsort(values)
            axis.axhline(0, color="#333333", lw=1)
            for x, index in enumerate(order):
                patients = of_stage.patients[str(seeds[index])]
                if patients is not None:
                    apart = getattr(patients, metric)
                    axis.vlines(
                        x, *percents([apart.low, apart.high]), color=COLOURS[0], lw=5, alpha=0.25
                    )
            axis.plot(values[order], "o", color=COLOURS[0], ms=5, label="a split")
            compared = getattr(of_stage, metric)
            if compared is not None:
                rope = 100 * compared.posterior.rope
                axis.axhspan(-rope, rope, color="#dddddd", zorder=0)
                test = compared.new_patients
                for x, (whose, ends, marker) in enumerate(
                    (
                        ("these patients", compared.this_data_set, "s"),
                        ("new patients", (test.low, test.high), "D"),
                    ),
                    start=len(values),
                ):
                    axis.vlines(x + 0.3, *percents(ends), color=COLOURS[1], lw=2)
                    axis.plot(
                        x + 0.3,
                        100 * compared.mean,
                        marker,
                        color=COLOURS[1],
                        ms=6,
                        label=f"mean, interval for {whose}",
                    )
            axis.set_xticks(range(len(values)), [str(seeds[index]) for index in order])
            axis.set_title(f"{title} (n = {len(values)} splits)")
            axis.set_xlabel("Split seed")
        figure.axes[0].set_ylabel("Difference (points)")
        legend_below(figure, 3)
    return figure


def _mean_band(axis: Axes, known: Decomposition | None) -> None:
    if known is not None:
        value, *ends = percents([known.mean.value, known.mean.low, known.mean.high])
        axis.axhline(value, color=GREY, lw=1.2)
        axis.axhspan(*ends, color="#d9d9d9", zorder=0, label="mean, interval")
