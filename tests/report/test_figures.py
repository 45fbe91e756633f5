import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from respire.experiments.full import figures
from respire.report.confusion import confusion as draw_confusion
from respire.report.style import png

STAMP = "selected on test"


def confusion(stamps=()):
    panels = {"Stage 1": np.array([[5, 1], [0, 0]]), "Stage 2": np.array([[1, 1], [3, 1]])}
    return draw_confusion(panels, ("normal", "abnormal"), stamps)


def learning_curves(stamps=()):
    histories = pd.DataFrame(
        {"run": ["stage1"], "epoch": [1], "train_loss": [1.2], "validation_score": [np.nan]}
    )
    return figures.learning_curves(
        histories, {"stage1": 1}, {"stage1": (7, 3)}, "validation", stamps
    )


def score_by_device(stamps=()):
    scores = {"se": 0.4, "sp": 0.6, "score": 0.5, "n": 12}
    undefined = {"se": None, "sp": 1.0, "score": None, "n": 1}
    model = {"all devices": scores, "Meditron": undefined}
    names = ("majority", "device only", "mean mel bands", "spectral statistics")
    baselines = dict.fromkeys(names, model)
    groups = {"all devices": 2, "Meditron": 1}
    return figures.score_by_device(groups, {"Stage 1": model}, baselines, stamps)


def words(figure) -> str:
    figure.draw_without_rendering()
    return "\n".join(text.get_text() for text in figure.findobj(Text))


EVERY = pytest.mark.parametrize("draw", [confusion, learning_curves, score_by_device])


@EVERY
def test_every_figure_says_how_many_cycles_it_shows(draw):
    assert "n = " in words(draw())
    assert "cycles" in words(draw())


@EVERY
def test_every_panel_names_its_axes(draw):
    for axis in draw().axes:
        if axis.axison and axis.get_label() != "<colorbar>":
            assert axis.get_ylabel() or axis.get_subplotspec().colspan.start > 0
            assert axis.get_xlabel() or axis.get_subplotspec().rowspan.start == 0


@EVERY
def test_a_stamp_is_written_on_the_figure_and_covers_nothing(draw):
    figure = draw([STAMP])
    assert STAMP.upper() in words(figure)
    assert STAMP.upper() not in words(draw())
    banner = next(text for text in figure.texts if text.get_text() == STAMP.upper())
    bottom = banner.get_window_extent().y0
    others = [text for text in figure.texts if text is not banner]
    assert all(text.get_window_extent().y1 < bottom for text in others)
    assert all(axis.get_tightbbox().y1 < bottom for axis in figure.axes)


def test_a_class_without_cycles_has_dashes_for_shares():
    assert words(confusion()).count("0\n–") == 2


def test_drawing_leaves_the_readers_matplotlib_as_it_was():
    before = dict(matplotlib.rcParams)
    for draw in (confusion, learning_curves, score_by_device):
        png(draw([STAMP]))
    assert dict(matplotlib.rcParams) == before
