from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from finished import finished_grid, results_of
from scipy import stats

from respire.data.splits.split import Cut
from respire.experiments.paper_tables.contrasts import _Contrasts, summarise
from respire.experiments.paper_tables.printed import Printed
from respire.experiments.paper_tables.question import Question, Row
from respire.metrics import overall
from respire.recipe.presets import small
from respire.statistics.paired import compare
from respire.study import tested as by_grid
from respire.study.grid import Coordinates, Variant

VARIANTS = {
    "base": (Variant(small()), 0.2),
    "better": (Variant(small(), stage2=True), 0.4),
    "one device": (Variant(small(), Cut(heard=("AKGC417L",))), 0.1),
    "official": (Variant(small(), Cut("60-40")), 0.2),
    "official, better": (Variant(small(), Cut("60-40")), 0.3),
    "by cycle": (Variant(small(), Cut("by-cycle")), 0.4),
}
QUESTION = Question(
    "A question",
    {name: variant for name, (variant, _) in VARIANTS.items()},
    [
        Row("base", "base", printed=Printed(50.0)),
        Row("better", "better", against="base", printed=Printed(52.0, se=40.0, sp=64.0)),
        Row("tuned", "better", against="better", stage2=True),
        Row(
            "one device",
            "one device",
            against="base",
            devices={"Meditron": Printed(recall=(50.0, 40.0, 30.0, 20.0))},
        ),
        Row("official", "official"),
        Row("official, better", "official, better", against="official"),
        Row("by cycle", "by cycle", against="base"),
    ],
    by_device=True,
)


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory):
    return finished_grid(tmp_path_factory.mktemp("grid"), VARIANTS, splits=4, seeds=2)


@pytest.fixture(scope="module")
def results(grid) -> dict[str, Any]:
    return results_of(grid, summarise(grid, QUESTION))


def row(results: dict[str, Any], name: str) -> dict[str, Any]:
    return next(of for of in results["rows"] if of["name"] == name)


def test_a_split_tests_its_cycles_once_however_many_seeds_there_are(results) -> None:
    for of in results["rows"]:
        cycles = {
            run["split_seed"]: (run["cycles"], run["patients"])
            for run in results["runs"]
            if (run["variant"], run["stage"]) == (of["variant"], of["stage"])
        }
        told = {split["split_seed"]: (split["cycles"], split["patients"]) for split in of["splits"]}
        assert told == cycles


def test_a_row_carries_the_stamps_of_each_of_its_splits() -> None:
    stamps = {("a", 0): ("one",), ("a", 1): ("one", "two"), ("b", 0): ("three",)}
    studies = {
        Coordinates(variant, split, 0): SimpleNamespace(stamps=of)
        for (variant, split), of in stamps.items()
    }
    grid: Any = SimpleNamespace(studies=studies)
    assert _Contrasts(grid, QUESTION).stamps("a") == ("one", "two")


def test_a_row_is_the_mean_over_splits_of_the_means_over_seeds(results) -> None:
    for of in results["rows"]:
        ours = [r for r in results["runs"] if r["variant"] == of["variant"]]
        ours = [r for r in ours if r["stage"] == of["stage"]]
        assert len(ours) == 8
        for metric in ("se", "sp", "score"):
            by_split = [
                np.mean([r[metric] for r in ours if r["split_seed"] == seed]) for seed in range(4)
            ]
            assert [split[metric] for split in of["splits"]] == pytest.approx(by_split)
            assert of[metric] == pytest.approx(np.mean(by_split))


def test_the_interval_is_that_of_t_over_splits(results) -> None:
    of = row(results, "base")
    scores = [split["score"] for split in of["splits"]]
    expected = stats.t.interval(0.95, 3, np.mean(scores), stats.sem(scores))
    assert of["interval"] == pytest.approx(expected)


def test_differences_are_paired_by_split(results) -> None:
    tuned, better = row(results, "tuned"), row(results, "better")
    apart = [
        a["score"] - b["score"] for a, b in zip(tuned["splits"], better["splits"], strict=True)
    ]
    found = tuned["difference"]
    assert found["splits"] == pytest.approx(apart)
    assert found["mean"]["score"] == pytest.approx(np.mean(apart))
    expected = compare(np.array(apart), n_test=12, n_train=48)
    assert found["these_patients"] == pytest.approx(expected.this_data_set)
    assert found["new_patients"]["p"] == pytest.approx(expected.new_patients.p)
    assert row(results, "base")["difference"] is None


@pytest.mark.parametrize("name", ["official, better", "by cycle"])
def test_sides_that_have_the_same_patients_say_nothing_of_new_ones(results, name) -> None:
    found = row(results, name)["difference"]
    assert found["these_patients"] is not None
    assert found["new_patients"] is None
    if (told := found["verdict"]) is not None:
        assert (told["one_look"][0] > 0 or told["one_look"][1] < 0) == (told["p"] < 0.05)


def test_the_paper_gain_follows_from_its_scores(results) -> None:
    assert row(results, "better")["printed"]["gain"] == pytest.approx(2.0)
    assert row(results, "one device")["printed"]["gain"] is None


def test_devices_are_scored_over_the_cycles_of_all_splits(grid, results) -> None:
    tested, of = by_grid.tested_by(grid), row(results, "one device")
    assert of["heard"] == ["AKGC417L"]
    for device, told in of["by_device"].items():
        hits = cycles = 0
        gains = []
        for seed in range(4):
            ours, theirs = (tested[name, seed, "stage1"] for name in ("one device", "base"))
            ours, theirs = (rows[rows["device"] == device] for rows in (ours, theirs))
            normal = ours[ours["label"] == 0]
            hits, cycles = hits + (normal["predicted"] == 0).sum(), cycles + len(normal)
            gains.append(overall(ours, 4).score - overall(theirs, 4).score)
        assert told["sp"] == pytest.approx(hits / cycles)
        assert told["difference"] == pytest.approx(np.mean(gains))
        assert told["splits"] == 4
    assert of["by_device"]["Meditron"]["printed"]["recall"] == [50.0, 40.0, 30.0, 20.0]
    assert of["by_device"]["LittC2SE"]["printed"] is None


def test_what_is_trained_on_is_counted_for_each_device_and_split(grid, results) -> None:
    points = results["training_size"]["points"]
    assert len(points) == 16
    for point in points:
        study = next(s for p, s in grid.studies.items() if p[:2] == ("base", point["split_seed"]))
        cycles = study.cycles[study.cycles["recording"].isin(study.split.train)]
        assert point["training_cycles"] == (cycles["device"] == point["device"]).sum()


def test_baselines_are_told_for_each_kind_of_split(results) -> None:
    told = [(of["split"], of["name"]) for of in results["baselines"]]
    names = ["device only", "majority", "mean mel bands", "spectral statistics"]
    assert told == [(split, name) for split in ("80-20", "60-40", "by-cycle") for name in names]
    assert all(len(of["splits"]) == 4 for of in results["baselines"])


def test_two_splits_have_no_interval(tmp_path: Path) -> None:
    few = finished_grid(tmp_path, VARIANTS, splits=2, seeds=1)
    results = results_of(few, summarise(few, QUESTION))
    better = row(results, "better")
    assert better["interval"] is None
    assert better["difference"]["these_patients"] is better["difference"]["new_patients"] is None
    assert better["difference"]["mean"]["score"] > 0
