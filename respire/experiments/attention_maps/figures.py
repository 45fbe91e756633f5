"""Figures of attention maps: single windows, averages over the test side, and shares.

Maps are in cividis, which grows lighter evenly and reads the same to colour-blind readers and in
grey. 1 is what attention spread evenly would have.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from respire.data.mel import mel_frequencies
from respire.experiments.attention_maps.summary import Attention, Part
from respire.experiments.attention_maps.tables import GROUPS, PARTS
from respire.metrics import percent
from respire.recipe.recipe import Recipe
from respire.report.numbers import count
from respire.report.style import COLOURS, beside, drawing

Maps = Mapping[str, np.ndarray]
"""What ``respire.experiments.attention_maps.run`` keeps in maps.npz."""
TICKS_HZ = (100, 250, 500, 1000, 1500, 2000, 4000, 8000)
ATTENTION, SPECTROGRAM = "cividis", "gray"
DASHES = ("-", (0, (4, 1.5)))
UNIT = "Attention (1: spread evenly)"


def single_windows(
    maps: Maps, recipe: Recipe, names: Sequence[str], stamps: Sequence[str] = ()
) -> Figure:
    """Single windows as each network is given them, and its attention (the paper's Fig. 3).

    Args:
        maps: the examples, a row of panels each.
        recipe: what the windows are made by.
        names: of the variants.
        stamps: banners.
    """
    classes = recipe.classes
    shown = len(maps["label"])
    own = [_in_even(maps[f"maps/{name}"]) for name in names]
    brightest = max(float(part.max()) for part in own) or 1.0
    inches = (10.4, 1.75 * shown + 0.3)
    with drawing("Attention on single test windows", inches, stamps) as figure:
        panels = figure.subplots(shown, 2 * len(names), squeeze=False)
        for row, axes in enumerate(panels):
            for index, name in enumerate(names):
                cut = int(maps[f"cut/{name}"][row])
                pair = axes[2 * index : 2 * index + 2]
                bands = maps[f"shade/{name}"].shape[1] - cut
                _image(pair[0], maps[f"shade/{name}"][row], recipe, bands, SPECTROGRAM, 255)
                drawn = _image(pair[1], own[index][row], recipe, bands, ATTENTION, brightest)
                predicted = classes[int(maps[f"predicted/{name}"][row])]
                _small_title(pair[1], f"{name}: called {predicted}")
                clipped = cut / maps[f"shade/{name}"].shape[1]
                title = f"clipped: {clipped:.0%} of rows" if cut else "not clipped"
                if index == 0:
                    title = f"patient {maps['patient'][row]}: {classes[int(maps['label'][row])]}"
                _small_title(pair[0], title)
            axes[0].set_ylabel("Frequency (Hz)", fontsize=8)
        for axis in panels[-1]:
            axis.set_xlabel("Time (s)", fontsize=8)
        for axis in panels[:-1].flat:
            axis.tick_params(labelbottom=False)
        bar = figure.colorbar(drawn, ax=panels, aspect=40, pad=0.01)
        bar.set_label(UNIT)
        bar.outline.set_visible(False)
    return figure


def mean_maps(
    maps: Maps, attention: Attention, recipe: Recipe, stamps: Sequence[str] = ()
) -> Figure:
    """Mean maps over the test side on the unclipped frequency axis (the paper's Fig. 5).

    Args:
        maps: with "mean/VARIANT".
        attention: how many windows they are of.
        recipe: what the windows are made by.
        stamps: banners.
    """
    names = list(attention.variants)
    groups = [
        (index, group)
        for index, group in enumerate(GROUPS)
        if all(getattr(groups, group).windows for groups in attention.variants.values())
    ]
    brightest = max(
        (float(maps[f"mean/{n}"][i].max()) for n in names for i, _ in groups), default=1
    )
    with drawing("Mean attention over the test side", (9.4, 2.9 * len(groups)), stamps) as figure:
        panels = figure.subplots(
            len(groups), len(names) + 1, squeeze=False, width_ratios=[1.0] * len(names) + [0.75]
        )
        for (index, group), axes in zip(groups, panels, strict=True):
            for axis, name in zip(axes, names, strict=False):
                mean = maps[f"mean/{name}"][index]
                drawn = _image(axis, mean, recipe, len(mean), ATTENTION, brightest)
                n = getattr(attention.variants[name], group).windows
                axis.set_title(f"{name}, {GROUPS[group]} (n = {n:,})", fontsize=8.5)
                axis.set_xlabel("Time (s)")
            axes[0].set_ylabel("Frequency (Hz)")
            _profile(axes[-1], [maps[f"mean/{name}"][index] for name in names], names, recipe)
        bar = figure.colorbar(drawn, ax=panels[:, : len(names)], aspect=30, pad=0.01)
        bar.set_label(UNIT)
        bar.outline.set_visible(False)
    return figure


def shares(attention: Attention, stamps: Sequence[str] = ()) -> Figure:
    """Shares of attention on blank rows and in the lower half, beside what even attention has."""
    first = next(iter(attention.variants.values()))
    with drawing("Where the attention lies", (8.6, 2.9), stamps) as figure:
        panels = figure.subplots(1, len(PARTS), sharey=True)
        for axis, (part, title) in zip(panels, PARTS.items(), strict=True):
            for name, groups, offset, colour in beside(attention.variants, 0.3):
                for x, group in enumerate(GROUPS):
                    means = getattr(getattr(groups, group), part)
                    _share(axis, x + offset, means, colour, name if x == 0 else None)
            axis.plot([], [], "_", color="#333333", ms=16, label="spread evenly")
            labels = [
                f"{label}\nn = {getattr(first, group).windows:,}" for group, label in GROUPS.items()
            ]
            axis.set_xticks(range(len(GROUPS)), labels)
            axis.set_xlim(-0.5, len(GROUPS) - 0.5)
            axis.set_ylim(0, 100)
            axis.set_title(title)
        panels[0].set_ylabel("Share of attention (%)")
        panels[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def windows_drawn(maps: Maps) -> str:
    """Which windows ``single_windows`` shows, for its caption."""
    drawn = zip(maps["recording"], maps["cycle"], maps["top_rows"], strict=True)
    windows = [
        f"{recording}, cycle {cycle} ({percent(float(rows))}% of rows blank on top)"
        for recording, cycle, rows in drawn
    ]
    return f"{count(len(windows), 'window')}, from above: {'; '.join(windows)}."


def _share(axis: Axes, x: float, means: Part, colour: str, label: str | None) -> None:
    mean, even = means.attention, means.rows
    if mean is None or even is None:
        return
    if mean.ends is not None:
        low, high = mean.ends
        axis.vlines(x, 100 * low, 100 * high, color=colour, lw=2)
    marker = "o" if colour == COLOURS[0] else "s"
    axis.plot(x, 100 * mean.value, marker, color=colour, ms=6, label=label)
    axis.plot(x, 100 * even.value, "_", color="#333333", ms=16)


def _profile(axis: Axes, means: Sequence[np.ndarray], names: Sequence[str], recipe: Recipe) -> None:
    """Mean attention by mel band, low frequencies at the bottom."""
    edges = np.arange(len(means[0]) + 1)
    for mean, name, colour, dashes in zip(means, names, COLOURS, DASHES, strict=False):
        look: Any = {"orientation": "horizontal", "baseline": None, "color": colour, "lw": 1.5}
        axis.stairs(mean.mean(1)[::-1], edges, **look, linestyle=dashes, label=name)
    axis.axvline(1, color="#333333", lw=0.8, linestyle=":")
    axis.set_xlim(left=0)
    axis.set_ylim(0, len(means[0]))
    _frequencies(axis, recipe)
    axis.grid(visible=True, axis="x")
    axis.grid(visible=False, axis="y")
    axis.set_xlabel(UNIT)
    axis.tick_params(labelsize=7.5)
    axis.legend(
        loc="lower left",
        bbox_to_anchor=(-0.08, 0.98),
        ncols=len(names),
        fontsize=7.5,
        handlelength=1.6,
        columnspacing=1.0,
        borderpad=0.2,
    )


def _image(
    axis: Axes, image: np.ndarray, recipe: Recipe, bands: int, colours: str, brightest: float
) -> Any:
    """A picture [M, F] of the lowest ``bands`` mel bands, high frequencies on top."""
    extent = (0.0, recipe.features.window_seconds, 0.0, float(bands))
    drawn = axis.imshow(
        image, cmap=colours, vmin=0, vmax=brightest, extent=extent, aspect="auto", rasterized=True
    )
    axis.grid(visible=False)
    _frequencies(axis, recipe)
    axis.tick_params(labelsize=7.5)
    return drawn


def _frequencies(axis: Axes, recipe: Recipe) -> None:
    """Ticks of an axis in mel bands, in Hz."""
    features = recipe.features
    centres = mel_frequencies(features.n_mels + 2, features.mel_low_hz, features.mel_high_hz)[1:-1]
    hz, top = np.array(TICKS_HZ), axis.get_ylim()[1]
    positions = np.interp(hz, centres, np.arange(len(centres)) + 0.5)
    shown = (centres[0] <= hz) & (hz <= centres[-1]) & (positions <= top)
    axis.set_yticks(positions[shown], [f"{tick:,}" for tick in hz[shown]])


def _small_title(axis: Axes, text: str) -> None:
    axis.set_title(text, fontsize=8, fontweight="normal")


def _in_even(maps: np.ndarray) -> np.ndarray:
    """Maps [B, M, F] that add up to 1, in units of attention spread evenly."""
    return maps * maps[0].size
