"""experiments/image_size.py: its table and figure, and one whole run that is resumed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.text import Text

from respire.benchmark.image_size import compare_sizes, enlarged, figure, table
from respire.command.command import Options
from respire.errors import InputError
from respire.metrics import Scores
from respire.recipe.presets import quick, scratch
from respire.report.style import png

IMAGE_SIZE = Path(__file__).resolve().parents[2] / "experiments" / "image_size.py"
STAMP = "selected on test"


def scored(hits: int) -> dict[str, Any]:
    """Twenty cycles of each class, so many of them right, the rest called the next class."""
    confusion = hits * np.eye(4, dtype=int) + (20 - hits) * np.eye(4, k=1, dtype=int)
    confusion[3, 0] = 20 - hits
    ends = [hits / 20 - 0.05, hits / 20 + 0.05]
    return Scores(confusion).to_json() | {"interval": {"level": 0.95, "score": ends}}


def size(upsample: int, hits: int, seconds: float, memory: float | None) -> dict[str, Any]:
    return {
        "upsample": upsample,
        "image": [64 * upsample, 219 * upsample],
        "key": f"key-{upsample}",
        "epochs": 30,
        "epoch": 21,
        "seconds": seconds,
        "epoch_s": seconds / 30,
        "cycles_per_s": 4142 / (seconds / 30),
        "peak_memory_mib": memory,
        "gpu_peak_mib": None,
        "selecting": scored(hits + 1),
        "test": scored(hits),
    }


def results(stamps: tuple[str, ...] = ()) -> dict[str, Any]:
    undefined = scored(0) | {"score": None, "interval": None}
    return {
        "sizes": [size(1, 10, 2000.0, 3210.0), size(3, 11, 19_000.0, None)],
        "baselines": {
            "majority": scored(5),
            "device only": undefined,
            "mean mel bands": scored(7),
        },
        "selection": "validation",
        "split": {"sides": {"test": {"cycles": 80, "patients": 12}}},
        "environment": {"device": "a processor"},
        "stamps": list(stamps),
    }


def rows() -> dict[str, dict[str, str]]:
    shown = table(results())
    return {row[0]: dict(zip(shown.columns, row, strict=True)) for row in shown.rows}


def test_the_table_has_every_size_and_every_baseline():
    assert list(rows()) == [
        *("64x219", "192x657"),
        *("baseline: majority", "baseline: device only", "baseline: mean mel bands"),
    ]


def test_the_table_says_what_a_size_is_worth_and_what_it_costs():
    small, large = rows()["64x219"], rows()["192x657"]
    assert (small["Score (%)"], small["Interval of Score"]) == ("50.0", "45.0–55.0")
    assert (large["Score (%)"], large["Validation Score (%)"]) == ("55.0", "60.0")
    assert (large["Training (s)"], large["Times the first"]) == ("19,000.0", "9.50")
    assert small["Cycles a second"] == "62.1"


def test_what_was_not_measured_is_a_dash():
    assert (rows()["64x219"]["MiB"], rows()["192x657"]["MiB"]) == ("3,210", "–")
    assert rows()["baseline: majority"]["Training (s)"] == "–"
    assert rows()["baseline: device only"]["Score (%)"] == "–"


def words(stamps: tuple[str, ...] = ()) -> str:
    drawn = figure(results(stamps))
    return "\n".join(text.get_text() for text in drawn.findobj(Text))


def test_the_figure_names_sizes_axes_and_cycles():
    for said in ("64x219", "192x657", "n = 80 test cycles", "(s)", "(%)"):
        assert said in words()
    assert png(figure(results())).startswith(b"\x89PNG")


def test_a_stamp_is_on_table_and_figure():
    assert STAMP.upper() in words((STAMP,))
    assert STAMP.upper() not in words()
    assert STAMP.upper() in table(results()).markdown([STAMP])


@pytest.mark.parametrize("upsample", [1, 2, 3])
def test_a_size_changes_the_enlargement_and_nothing_else(upsample):
    changed = {
        name
        for name, value in enlarged(scratch(), upsample).flat().items()
        if value != scratch().flat()[name]
    }
    assert changed <= {"features.upsample"}


def test_an_impossible_size_is_refused_before_anything_is_done(tmp_path: Path):
    with pytest.raises(InputError, match=r"recipe\.features\.upsample: 0 must be at least 1"):
        compare_sizes(Options(recipe=quick(), storage=str(tmp_path)), [1, 0])
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_quick_run_scores_every_size_and_does_nothing_twice(corpus: Path, tmp_path: Path):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RESPIRE_", "MLFLOW_", "RAY"))}

    def run(*sizes: str) -> tuple[dict[str, Any], str]:
        done = subprocess.run(
            [
                *(sys.executable, str(IMAGE_SIZE), "--quick", "--data", str(corpus)),
                *("--name", "small", "--gpu", "none", "--recipe.optimisation.epochs", "2"),
                *(("--sizes", *sizes) if sizes else ()),
            ],
            cwd=tmp_path,
            env=kept | {"RAY_AUTH_MODE": "disabled", "HOME": str(tmp_path / "home")},
            capture_output=True,
            text=True,
            timeout=800,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        folder = tmp_path / "runs" / "image_size" / "small"
        assert {"report.md", "score-by-cost.png"} <= {file.name for file in folder.iterdir()}
        return json.loads((folder / "results.json").read_text()), done.stdout

    first, printed = run("1")
    assert [row["image"] for row in first["sizes"]] == [[32, 110]]
    assert "32x110: epoch 2/2" in printed
    both, printed = run()
    assert [row["image"] for row in both["sizes"]] == [[32, 110], [64, 220]]
    assert both["sizes"][0] == first["sizes"][0]
    assert "32x110: epoch" not in printed
    assert "64x220: epoch 2/2" in printed
    for row in both["sizes"]:
        assert row["epochs"] == 2
        assert min(row["seconds"], row["cycles_per_s"], row["peak_memory_mib"]) > 0
        assert row["test"]["n"] == both["split"]["sides"]["test"]["cycles"]
        assert row["selecting"]["n"] == both["split"]["sides"]["validation"]["cycles"]
    assert both["sizes"][0]["key"] != both["sizes"][1]["key"]
    assert set(both["baselines"]) == {"majority", "device only", "mean mel bands"}
