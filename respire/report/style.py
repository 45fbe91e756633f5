"""The one style of all figures: that of a journal; every stamp is a red banner on top."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, TypeVar

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import ArrayLike

T = TypeVar("T")
STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7f6000", "#56b4e9")
"""Okabe and Ito's palette, told apart by colour-blind readers."""
MARKERS = "osv^DPX"
LINES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1, 1.5)), "--", "-.")
"""What tells things apart beside their colour: of points, and of lines."""
BASELINE_LINES: tuple[dict[str, Any], ...] = (
    {"color": "#888888", "lw": 2.6, "linestyle": "-"},
    {"color": "#333333", "lw": 1.4, "linestyle": (0, (4, 1.5))},
    {"color": "#333333", "lw": 1.4, "linestyle": (0, (1, 1))},
    {"color": "#333333", "lw": 1.4, "linestyle": (0, (6, 1.5, 1, 1.5))},
)
"""Baselines often coincide (a device's best class is mostly normal): one shows through another."""
RED = "#b00020"
BANNER_INCHES = 0.36
TITLE_INCHES = 0.36


def png(figure: Figure) -> bytes:
    """The figure as a PNG of 160 dots an inch."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=160)
    return content.getvalue()


def svg(figure: Figure) -> bytes:
    """The figure as an SVG, the same every time."""
    content = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "respire"}):
        figure.savefig(content, format="svg", metadata={"Date": None})
    return content.getvalue()


def _titled(title: str, inches: tuple[float, float], stamps: Sequence[str]) -> Figure:
    """An empty figure with its title and, above that, a banner for each stamp.

    Both are placed by hand: the layout engine would put a suptitle over the banners.
    """
    width, body = inches
    banners = BANNER_INCHES * len(stamps)
    height = body + TITLE_INCHES + banners
    layout = ConstrainedLayoutEngine(rect=(0, 0, 1, body / height), h_pad=0.06, w_pad=0.06)
    figure = Figure(figsize=(width, height), layout=layout, facecolor="white")
    middle = (body + TITLE_INCHES / 2) / height
    figure.text(0.5, middle, title, ha="center", va="center", size=12, weight="bold")
    for row, stamp in enumerate(stamps):
        figure.text(
            0.5,
            1 - (row + 0.5) * BANNER_INCHES / height,
            stamp.upper(),
            ha="center",
            va="center",
            color="white",
            weight="bold",
            bbox={"facecolor": RED, "edgecolor": RED, "boxstyle": "square,pad=0.4"},
        )
    return figure


@contextmanager
def drawing(
    title: str,
    inches: tuple[float, float],
    stamps: Sequence[str] = (),
    otherwise: Mapping[str, Any] = MappingProxyType({}),
) -> Iterator[Figure]:
    """A titled figure in the one style, and what is otherwise than that in this one."""
    with matplotlib.rc_context(STYLE | dict(otherwise)):
        yield _titled(title, inches, stamps)


def legend_below(figure: Figure, columns: int) -> None:
    """The legend of the first panel, for all of them."""
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=columns)


def percents(fractions: ArrayLike) -> np.ndarray:
    """Fractions as a figure in percent draws them, float64."""
    return 100 * np.asarray(fractions, dtype=np.float64)


def colours(n: int) -> Iterator[str]:
    """So many colours, the first again after the last."""
    return (COLOURS[index % len(COLOURS)] for index in range(n))


def beside(things: Mapping[str, T], step: float = 0.0) -> Iterator[tuple[str, T, float, str]]:
    """Each with its name, its offset from the middle of all side by side, and its colour."""
    n = len(things)
    offsets = step * (np.arange(n) - (n - 1) / 2)
    return zip(things, things.values(), offsets, colours(n), strict=True)
