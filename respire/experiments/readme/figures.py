"""The README's two pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from respire.experiments.readme.window import Window
from respire.report.style import COLOURS, STYLE, titled

Results = Mapping[str, Any]


def score_by_split(results: Results) -> Figure:
    """Every run of the first variant by its split, beside what calling everything normal has.

    Args:
        results: of seed_variance.
    """
    name, variant = next(iter(results["variants"].items()))
    runs = [run for run in results["runs"] if (run["variant"], run["stage"]) == (name, "stage1")]
    splits = sorted(variant["splits"], key=lambda split: split["scores"]["stage1"]["score"])
    with matplotlib.rc_context(STYLE):
        title = f"The same recipe on {len(splits)} splits of the same patients"
        figure = titled(title, (8.6, 3.3), results["stamps"])
        axis = figure.subplots()
        for x, split in enumerate(splits):
            interval = split["scores"]["stage1"]["interval"]
            if interval is not None:
                label = "95% interval over the test patients" if x == 0 else None
                axis.vlines(
                    x, *_percent(interval["score"]), COLOURS[0], lw=9, alpha=0.2, label=label
                )
        position = {split["split_seed"]: x for x, split in enumerate(splits)}
        places = [position[run["split_seed"]] for run in runs]
        scores = _percent([run["score"] for run in runs])
        axis.plot(places, scores, "o", color=COLOURS[0], mfc="white", label="one training")
        majority = 100 * variant["baselines"]["majority"]["score"]
        axis.axhline(majority, color=COLOURS[1], ls="--", label="calling everything normal")
        axis.set_xticks(
            range(len(splits)),
            [f"{s['split_seed']}\n{s['cycles']:,}\n{s['patients']}" for s in splits],
        )
        axis.set_xlabel("Split seed, its test cycles and its test patients")
        axis.set_ylabel("ICBHI Score (%)")
        axis.set_title(f"Recipe {name}, n = {len(runs)} trainings")
        axis.legend(loc="lower right")
    return figure


def strip(window: Window) -> Figure:
    """One window on its way from the recording to the logits."""
    with matplotlib.rc_context(STYLE | {"axes.grid": False, "image.cmap": "magma"}):
        figure = titled("One cycle of the synthetic corpus (n = 1)", (11.5, 2.3), ())
        cycle, splice, mel, clipped, logits = figure.subplots(
            1, 5, width_ratios=[0.6, 1.3, 1.3, 1.3, 0.9]
        )
        rate = window.sample_rate_hz
        cycle.plot(np.arange(window.ends[0]) / rate, window.waveform[: window.ends[0]], lw=0.4)
        cycle.set_title(f"a cycle ({window.label})")
        begins = [0, *window.ends[:-1]]
        for begin, end, which in zip(begins, window.ends, window.cycles, strict=True):
            colour = COLOURS[0 if which == window.cycles[0] else 1]
            place = np.arange(begin, end) / rate
            splice.plot(place, window.waveform[begin:end], lw=0.4, color=colour)
        splice.set_title("spliced with neighbours (orange)")
        for axis in (cycle, splice):
            axis.set_ylim(-1.05 * abs(window.waveform).max(), 1.05 * abs(window.waveform).max())
            axis.set_yticks([])
        cycle.set_ylabel("amplitude (no unit)")
        seconds = len(window.waveform) / rate
        for axis, shade, title in (
            (mel, window.mel, "log-mel"),
            (clipped, window.clipped, "blank rows clipped"),
        ):
            axis.imshow(shade, aspect="auto", extent=(0, seconds, len(shade), 0))
            axis.set_ylabel("mel band, from the top")
            axis.set_title(title)
        for axis in (cycle, splice, mel, clipped):
            axis.set_xlabel("time (s)")
        names, values = zip(*window.logits.items(), strict=True)
        colours = [COLOURS[0 if name == window.label else 5] for name in names]
        logits.barh(range(len(names)), values, color=colours)
        logits.set_yticks(range(len(names)), names)
        logits.invert_yaxis()
        logits.axvline(0, color="#333333", lw=0.8)
        logits.set_xlabel("logit (no unit)")
        logits.set_title(f"logits (dark: {window.label})")
    return figure


def _percent(fractions: Sequence[float]) -> np.ndarray:
    return 100 * np.asarray(fractions, dtype=np.float64)
