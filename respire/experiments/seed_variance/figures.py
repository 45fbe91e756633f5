"""Figures of many runs: how far Scores spread over splits and seeds, and with what."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from respire.experiments.seed_variance.tables import COMPONENTS, METRICS, SHARES
from respire.report.style import BASELINE_LINES, COLOURS, STYLE, colours, spread, titled

GREY = "#666666"


def score_by_split(
    variants: Mapping[str, Mapping[str, Any]],
    runs: Sequence[Mapping[str, Any]],
    stage: str,
    stamps: Sequence[str] = (),
) -> Figure:
    """Every run's Score by split, the split's interval over patients, and the mean over splits.

    Args:
        variants: as in results.json.
        runs: likewise.
        stage: "stage1" or "stage2".
        stamps: banners.
    """
    with matplotlib.rc_context(STYLE):
        figure = titled("Score by split", (8.6, 3.7 * len(variants)), stamps)
        rows = figure.subplots(len(variants), 1, squeeze=False, sharey=True)[:, 0]
        for axis, (name, variant), colour in zip(
            rows, variants.items(), colours(len(variants)), strict=True
        ):
            splits = sorted(variant["splits"], key=lambda split: split["scores"][stage]["score"])
            for x, split in enumerate(splits):
                interval = split["scores"][stage]["interval"]
                if interval is not None:
                    axis.vlines(x, *_percent(interval["score"]), color=colour, lw=6, alpha=0.2)
                axis.plot(x, *_percent([split["scores"][stage]["score"]]), "_", color=colour, ms=16)
            position = {split["split_seed"]: x for x, split in enumerate(splits)}
            ours = [run for run in runs if run["variant"] == name and run["stage"] == stage]
            axis.plot(
                [position[run["split_seed"]] for run in ours],
                _percent([run["score"] for run in ours]),
                *"o",
                color=colour,
                mfc="white",
                ms=5,
                label="one run",
            )
            _mean_band(axis, variant["variance"][stage]["score"])
            for (baseline, of), line in zip(
                variant["baselines"].items(), BASELINE_LINES, strict=True
            ):
                axis.axhline(100 * of["score"], **line, zorder=0, label=f"{baseline}, mean")
            axis.set_xticks(
                range(len(splits)),
                [
                    f"{split['split_seed']}\n{split['cycles']:,}\n{split['patients']}"
                    for split in splits
                ],
            )
            axis.set_xlabel("Split seed, its test cycles and its test patients")
            axis.set_ylabel("Score (%)")
            axis.set_title(f"{name} (n = {len(ours)} runs on {len(splits)} splits)")
            axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def variance_components(
    variants: Mapping[str, Mapping[str, Any]], stage: str, stamps: Sequence[str] = ()
) -> Figure:
    """Standard deviations of Score, Se and Sp between splits, between seeds and of one run."""
    with matplotlib.rc_context(STYLE):
        figure = titled("Where the spread comes from", (8.6, 3.6), stamps)
        for axis, (metric, title) in zip(
            figure.subplots(1, len(METRICS), sharey=True), METRICS.items(), strict=True
        ):
            for offset, (name, variant), colour in zip(
                spread(len(variants), 0.2), variants.items(), colours(len(variants)), strict=True
            ):
                found = variant["variance"][stage][metric]
                parts = [found["standard_deviations"][part] for part in COMPONENTS]
                value, low, high = (
                    np.array([100 * part[end] for part in parts])
                    for end in ("value", "low", "high")
                )
                axis.errorbar(
                    np.arange(len(COMPONENTS)) + offset,
                    value,
                    [value - low, high - value],
                    fmt="o",
                    color=colour,
                    capsize=3,
                    label=f"{name} ({found['splits']} splits × {found['seeds']} seeds)",
                )
            labels = [label.replace(" ", "\n", 1) for label in COMPONENTS.values()]
            axis.set_xticks(range(len(COMPONENTS)), labels)
            axis.set_xlim(-0.5, len(COMPONENTS) - 0.5)
            axis.set_title(title)
        figure.axes[0].set_ylim(bottom=0)
        figure.axes[0].set_ylabel("Standard deviation (points)")
        figure.legend(
            *figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2
        )
    return figure


def score_composition(
    variants: Mapping[str, Mapping[str, Any]], stage: str, stamps: Sequence[str] = ()
) -> Figure:
    """The splits' mean Scores against what their test sides are made of."""
    names = list(next(iter(variants.values()))["composition"])
    with matplotlib.rc_context(STYLE | {"axes.grid.axis": "both"}):
        rows = -(-len(names) // 4)
        figure = titled("Score against what is tested", (8.6, 2.6 * rows + 0.3), stamps)
        grid = figure.subplots(rows, 4, sharey=True, squeeze=False)
        for axis in grid.flat[len(names) :]:
            axis.set_axis_off()
        for axis, share in zip(grid.flat, names, strict=False):
            for line, ((name, variant), colour) in enumerate(
                zip(variants.items(), colours(len(variants)), strict=True)
            ):
                scale = 1 if share == "cycles" else 100
                axis.plot(
                    [scale * split[share] for split in variant["splits"]],
                    _percent([split["scores"][stage]["score"] for split in variant["splits"]]),
                    "o",
                    color=colour,
                    ms=5,
                    alpha=0.8,
                    label=f"{name} (n = {len(variant['splits'])} splits)",
                )
                found = variant["composition"][share]
                if found is not None:
                    axis.annotate(
                        f"r = {found['r']:.2f} ({found['low']:.2f} to {found['high']:.2f})",
                        (0, 1.03 + 0.09 * (len(variants) - 1 - line)),
                        xycoords="axes fraction",
                        color=colour,
                        fontsize=8,
                    )
            axis.set_xlabel(SHARES.get(share, f"{share} (% of cycles)"))
        for axis in grid[:, 0]:
            axis.set_ylabel("Score (%)")
        figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def paired_differences(
    comparison: Mapping[str, Any], stage: str, stamps: Sequence[str] = ()
) -> Figure:
    """A less B on each split, their mean with both intervals, and the region of equivalence."""
    of_stage = comparison["stages"][stage]
    seeds = comparison["split_seeds"]
    with matplotlib.rc_context(STYLE):
        figure = titled(f"{comparison['a']} less {comparison['b']}", (8.6, 3.9), stamps)
        for axis, (metric, title) in zip(
            figure.subplots(1, len(METRICS), sharey=True), METRICS.items(), strict=True
        ):
            values = np.array(of_stage["differences"][metric])
            order = np.argsort(values)
            axis.axhline(0, color="#333333", lw=1)
            for x, index in enumerate(order):
                patients = of_stage["patients"][str(seeds[index])]
                if patients is not None:
                    ends = _percent([patients[metric][end] for end in ("low", "high")])
                    axis.vlines(x, *ends, color=COLOURS[0], lw=5, alpha=0.25)
            axis.plot(100 * values[order], "o", color=COLOURS[0], ms=5, label="a split")
            found = of_stage[metric]
            if found is not None:
                rope = 100 * found["posterior"]["rope"]
                axis.axhspan(-rope, rope, color="#dddddd", zorder=0)
                test = found["new_patients"]
                for x, (whose, ends, marker) in enumerate(
                    (
                        ("these patients", found["this_data_set"], "s"),
                        ("new patients", [test["low"], test["high"]], "D"),
                    ),
                    start=len(values),
                ):
                    axis.vlines(x + 0.3, *_percent(ends), color=COLOURS[1], lw=2)
                    axis.plot(
                        x + 0.3,
                        100 * found["mean"],
                        marker,
                        color=COLOURS[1],
                        ms=6,
                        label=f"mean, interval for {whose}",
                    )
            axis.set_xticks(range(len(values)), [str(seeds[index]) for index in order])
            axis.set_title(f"{title} (n = {len(values)} splits)")
            axis.set_xlabel("Split seed")
        figure.axes[0].set_ylabel("Difference (points)")
        figure.legend(
            *figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3
        )
    return figure


def _mean_band(axis: Axes, found: Mapping[str, Any] | None) -> None:
    if found is None:
        return
    mean = found["mean"]
    axis.axhline(100 * mean["value"], color=GREY, lw=1.2)
    axis.axhspan(
        100 * mean["low"], 100 * mean["high"], color="#d9d9d9", zorder=0, label="mean, interval"
    )


def _percent(fractions: Sequence[float]) -> np.ndarray:
    return 100 * np.asarray(fractions, dtype=np.float64)
