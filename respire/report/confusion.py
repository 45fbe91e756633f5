"""Confusion matrices, as the paper's Fig. 6."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from respire.report.style import drawing


def confusion(
    panels: Mapping[str, np.ndarray], classes: Sequence[str], stamps: Sequence[str] = ()
) -> Figure:
    """Confusion matrices side by side on one colour scale, as the paper's Fig. 6.

    Args:
        panels: title to int [C, C] cycles, rows true, columns predicted.
        classes: the C class names.
        stamps: banners.
    """
    ticks = range(len(classes))
    inches, bare = (4.3 * len(panels) + 0.6, 4.0), {"axes.grid": False, "axes.spines.left": False}
    with drawing("Test confusion", inches, stamps, bare) as figure:
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axis, (title, counts) in zip(axes, panels.items(), strict=True):
            totals = counts.sum(axis=1)
            shares = counts / np.maximum(totals, 1)[:, None]
            image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
            for row, column in np.ndindex(*counts.shape):
                share = f"{shares[row, column]:.0%}" if totals[row] else "–"
                axis.text(
                    column,
                    row,
                    f"{counts[row, column]:,}\n{share}",
                    ha="center",
                    va="center",
                    color="white" if shares[row, column] > 0.55 else "#222222",
                )
            axis.set_title(f"{title} (n = {counts.sum():,} cycles)")
            axis.set_xticks(ticks, classes)
            axis.set_yticks(
                ticks, [f"{name}\nn = {n:,}" for name, n in zip(classes, totals, strict=True)]
            )
            axis.tick_params(length=0)
            axis.spines[:].set_visible(False)
            axis.set_xlabel("Predicted class")
            axis.set_ylabel("True class")
        bar = figure.colorbar(
            image, ax=axes, format=PercentFormatter(1, symbol=""), shrink=0.85, pad=0.02
        )
        bar.set_label("Share of the true class (%)")
        bar.outline.set_visible(False)
    return figure
