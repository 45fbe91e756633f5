import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from respire.experiments.readme.figures import score_by_split, strip
from respire.experiments.readme.rows import ROWS, SEEDS, read, rows, with_rows
from respire.experiments.readme.window import Piece, Window, synthetic_window

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "experiments" / "results"


def words(figure: Figure) -> str:
    figure.draw_without_rendering()
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def test_the_readmes_rows_are_what_the_committed_results_say() -> None:
    assert rows(RESULTS) in (ROOT / "README.md").read_text()


def test_a_row_follows_its_results(tmp_path: Path) -> None:
    for row in ROWS:
        (tmp_path / row.name).mkdir(parents=True, exist_ok=True)
        results = read(RESULTS, row.name)
        if row.name == SEEDS:
            (variant,) = results["variants"].values()
            width = variant["variance"]["stage1"]["score"]["single_half_width"]
            width |= {"value": 0.0123, "low": 0.0101, "high": 0.0345}
        (tmp_path / row.name / "results.json").write_text(json.dumps(results))
    assert "To ± 1.2 (1.0–3.5) points" in rows(tmp_path)
    assert "To ± 1.2" not in rows(RESULTS)


def test_only_what_stands_between_the_marks_is_made_anew() -> None:
    page = "before\n<!-- results -->\nold\n<!-- /results -->\nafter\n"
    assert with_rows(page, RESULTS) == page.replace("old\n", rows(RESULTS))


def test_the_picture_of_splits_has_every_run_its_axes_and_its_n() -> None:
    results = read(RESULTS, SEEDS)
    figure = score_by_split(results)
    said = words(figure)
    assert "ICBHI Score (%)" in said
    assert f"n = {len(results['runs'])} trainings" in said
    (points,) = (line for line in figure.axes[0].lines if line.get_label() == "one training")
    assert sorted(points.get_ydata()) == pytest.approx(
        sorted(100 * run["score"] for run in results["runs"])
    )


def test_the_strip_shows_a_window_from_its_waveform_to_its_logits() -> None:
    time_s, samples = np.arange(8000) / 4000, np.sin(np.arange(8000))
    window = Window(
        label="wheeze",
        pieces=[
            Piece(time_s[:3000], samples[:3000], True),
            Piece(time_s[3000:], samples[3000:], False),
        ],
        mel=np.zeros((8, 20)),
        clipped=np.ones((8, 20)),
        logits={"normal": -1.0, "wheeze": 2.0},
    )
    figure = strip(window)
    said = words(figure)
    for word in ("time (s)", "mel band", "logit", "wheeze", "n = 1"):
        assert word in said
    cycle, splice, mel, clipped, logits = figure.axes
    assert [len(line.get_xdata()) for line in cycle.lines] == [3000]
    assert [len(line.get_xdata()) for line in splice.lines] == [3000, 5000]
    assert mel.images[0].get_array().max() == 0
    assert clipped.images[0].get_array().min() == 1
    assert [bar.get_width() for bar in logits.patches] == [-1.0, 2.0]


@pytest.mark.slow
def test_a_synthetic_window_is_filled_by_its_cycle_and_neighbours_and_clipped() -> None:
    window = synthetic_window(epochs=1)
    samples = np.concatenate([piece.samples for piece in window.pieces])
    assert len(samples) == 7 * 4000
    assert np.isfinite(samples).all()
    assert {piece.own for piece in window.pieces} == {True, False}
    assert window.pieces[0].own
    assert window.pieces[-1].time_s[-1] == pytest.approx(7, abs=1e-3)
    assert set(window.logits) == {"normal", "crackle", "wheeze", "both"}
    assert window.label in set(window.logits) - {"normal"}
    assert window.mel[0].max() < window.clipped[0].max()
