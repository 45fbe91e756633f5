"""The README's two pictures."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from respire.experiments.readme.window import Window
from respire.report.style import COLOURS, drawing, percents


def score_by_split(results: Mapping[str, Any]) -> Figure:
    """Every run of seed_variance's first variant, beside what calling everything normal has."""
    name, variant = next(iter(results["variants"].items()))
    runs = [run for run in results["runs"] if (run["variant"], run["stage"]) == (name, "stage1")]
    splits = sorted(variant["splits"], key=lambda split: split["scores"]["stage1"]["score"])
    intervals = [split["scores"]["stage1"]["interval"]["score"] for split in splits]
    place = {split["split_seed"]: index for index, split in enumerate(splits)}
    title = f"The same recipe on {len(splits)} splits of the same patients"
    with drawing(title, (8.6, 3.3), results["stamps"]) as figure:
        axis = figure.subplots()
        low, high = percents(intervals).T
        wide: Any = {"color": COLOURS[0], "lw": 9, "alpha": 0.2}
        axis.vlines(
            range(len(splits)), low, high, **wide, label="95% interval over the test patients"
        )
        x, y = zip(*((place[run["split_seed"]], 100 * run["score"]) for run in runs), strict=True)
        axis.plot(x, y, "o", color=COLOURS[0], mfc="white", label="one training")
        majority = 100 * variant["baselines"]["majority"]["score"]
        axis.axhline(majority, color=COLOURS[1], ls="--", label="calling everything normal")
        ticks = [f"{s['split_seed']}\n{s['cycles']:,}\n{s['patients']}" for s in splits]
        axis.set_xticks(range(len(splits)), ticks)
        axis.set_xlabel("Split seed, its test cycles and its test patients")
        axis.set_ylabel("ICBHI Score (%)")
        axis.set_title(f"Recipe {name}, n = {len(runs)} trainings")
        axis.legend(loc="lower right")
    return figure


def strip(window: Window) -> Figure:
    """One window on its way from the recording to the logits."""
    title = "One cycle of the synthetic corpus (n = 1)"
    without_grid = {"axes.grid": False, "image.cmap": "magma"}
    with drawing(title, (11.5, 2.3), otherwise=without_grid) as figure:
        axes = figure.subplots(1, 5, width_ratios=[0.8, 1.3, 1.2, 1.2, 0.8])
        cycle, splice, mel, clipped, logits = axes
        for axis, pieces in ((cycle, window.pieces[:1]), (splice, window.pieces)):
            for time_s, samples, own in pieces:
                axis.plot(time_s, samples, lw=0.4, color=COLOURS[not own])
            axis.set(ylabel="amplitude (no unit)", yticks=[])
        of_rows = {mel: (window.mel, "mel band"), clipped: (window.clipped, "image row")}
        for axis, (shade, row) in of_rows.items():
            extent = (0, window.pieces[-1].time_s[-1], len(shade), 0)
            axis.imshow(shade, aspect="auto", extent=extent)
            axis.set_ylabel(f"{row}, from the top")
        shown = [COLOURS[0 if name == window.label else 5] for name in window.logits]
        logits.barh(list(window.logits), list(window.logits.values()), color=shown)
        logits.invert_yaxis()
        logits.axvline(0, color="#333333", lw=0.8)
        steps = ("splice: neighbours orange", "log-mel", "blank rows clipped", "logits")
        for axis, title in zip(axes, (window.label, *steps), strict=True):
            axis.set(title=title, xlabel="logit (no unit)" if axis is logits else "time (s)")
    return figure
