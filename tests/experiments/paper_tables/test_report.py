import json
import re
from pathlib import Path
from typing import Any

import finished as made_up
import numpy as np
import pytest
from finished import finished_grid, results_of
from pages import rows, shown_images

from respire.data.splits.split import Cut
from respire.experiments.paper_tables.contrasts import summarise
from respire.experiments.paper_tables.figures import differences, scores
from respire.experiments.paper_tables.printed import Printed
from respire.experiments.paper_tables.question import Question, Row
from respire.experiments.paper_tables.report import lead, page, summary, verdict
from respire.experiments.paper_tables.summary import TableSummary
from respire.metrics import percent
from respire.recipe.presets import small
from respire.report.typed import read
from respire.runtime.storage import Storage
from respire.study.grid import Variant

STAMP = "cycles of one patient are on both sides"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    variants = {
        "base": (Variant(small()), 0.2),
        "better": (Variant(small(), stage2=True), 0.5),
        "one device": (Variant(small(), Cut(heard=("AKGC417L",))), 0.2),
    }
    recall = Printed(recall=(61.3, 77.5, 23.8, 28.2))
    question = Question(
        "A question",
        {name: variant for name, (variant, _) in variants.items()},
        [
            Row("base", "base", printed=Printed(50.0, se=36.0, sp=64.0)),
            Row("better", "better", against="base", printed=Printed(51.5)),
            Row("tuned", "better", against="better", stage2=True),
            Row("one device", "one device", against="base", devices={"Meditron": recall}),
        ],
        axis="Window (s)",
        along={"base": 7.0, "better": 3.0},
        by_device=True,
        confusions=("better", "tuned"),
        note="A note.",
        primary="better",
    )
    grid = finished_grid(tmp_path_factory.mktemp("grid"), variants, splits=8, seeds=1)
    return results_of(grid, summarise(grid, question))


def test_a_row_stands_beside_the_paper_and_above_the_baselines(results) -> None:
    cells = rows(summary(results))
    base = results["rows"][0]
    ours = [percent(base[metric]) for metric in ("se", "sp", "score")]
    interval = "–".join(map(percent, base["interval"]))
    line = ["80-20, 4-class", "base", *ours, interval, "36.0", "64.0", "50.0", "8 × 1"]
    assert line == next(row for row in cells if row[1] == "base")
    names = [row[1] for row in cells if row[0] == "80-20, 4-class"]
    assert names[:4] == ["base", "better", "tuned", "one device"]
    baselines = ("device only", "majority", "mean mel bands", "spectral statistics")
    assert names[4:] == [f"baseline: {name}" for name in baselines]


def test_a_difference_stands_beside_the_gain_in_the_paper(results) -> None:
    (line,) = [row for row in rows(summary(results)) if row[:2] == ["better", "base"]]
    found = results["rows"][1]["difference"]
    assert line[4] == f"{100 * found['mean']['score']:+.1f}"
    assert line[8] == f"{found['verdict']['word']} (primary)"
    assert line[9] == "+1.5"
    assert "to" in line[5]


def test_titles_count_the_splits_of_the_rows_they_show(results) -> None:
    few = json.loads(json.dumps(results))
    few["rows"][2]["difference"]["splits"] = few["rows"][2]["difference"]["splits"][:1]
    for row in few["rows"]:
        row["splits"] = row["splits"][:1]
    table = read(TableSummary, few)
    assert differences(table).axes[0].get_title(loc="left") == "n = 1 or 8 splits"
    assert scores(table).axes[0].get_title(loc="left").startswith("80-20, 4-class (n = 1 split;")


def test_devices_that_were_not_heard_are_marked(results) -> None:
    devices = [row[1] for row in rows(summary(results)) if row[0] == "one device"]
    assert "AKGC417L" in devices
    assert "Meditron (not heard in training)" in devices
    paper = ["one device", "Meditron", "61.3", "77.5", "23.8", "28.2"]
    assert paper in rows(summary(results))


def test_the_lead_names_the_best_row_and_the_best_baseline(results) -> None:
    best = max(results["rows"], key=lambda row: row["score"])
    said = lead(read(TableSummary, results))
    assert f"“{best['name']}” has the highest Score, {percent(best['score'])}%" in said
    assert "the best baseline there (" in said
    several = json.loads(json.dumps(results))
    several["rows"][-1] |= {"task": "2-class", "score": 0.99}
    said = lead(read(TableSummary, several))
    assert "has the highest Score of 80-20, 4-class, " in said
    assert "99.0" not in said


def test_a_difference_that_these_patients_show_is_said_and_others_are_not(results) -> None:
    said = " ".join(verdict(read(TableSummary, results)))
    assert "For these patients “better” is +" in said
    assert "points from “base”" in said
    assert re.search(
        r" of (the other|all|the) (\d differences hold|one difference holds) 0: these", said
    )
    assert "sketch" not in said


def test_the_primary_contrast_is_named_its_verdict_said_and_what_the_table_can_see(results) -> None:
    told = {row["name"]: row["difference"]["verdict"] for row in results["rows"] if row["against"]}
    assert [name for name, verdict in told.items() if verdict["primary"]] == ["better"]
    assert told["better"]["word"] == "better"
    said = summary(results)
    assert "Asked beforehand was “better” less “base”: for new patients better (90%" in said
    assert "better (primary)" in said
    seen = results["detectable"]
    apart = [row["difference"]["splits"] for row in results["rows"] if row["difference"]]
    assert seen["sd"] == pytest.approx(np.sqrt(np.mean(np.var(apart, axis=1, ddof=1))))
    assert f"{percent(seen['these_patients'])} points for these patients" in said


def test_few_splits_are_said_to_conclude_nothing(results) -> None:
    few = results | {"split_seeds": [0, 1]}
    assert "this is a sketch, not a conclusion" in " ".join(verdict(read(TableSummary, few)))


def test_a_stamped_row_is_loud_wherever_it_stands(results, tmp_path: Path) -> None:
    stamped = json.loads(json.dumps(results))
    stamped["stamps"] = stamped["rows"][1]["stamps"] = [STAMP]
    page(stamped).write(Storage.at(tmp_path))
    cells = rows((tmp_path / "report.md").read_text())
    named = [row[1] for row in cells if len(row) > 1 and row[1].startswith("better")]
    assert f"better [{STAMP.upper()}]" in named
    assert STAMP.upper() in (tmp_path / "report.html").read_text().upper()


def test_the_folder_holds_results_two_reports_and_the_figures(results, tmp_path: Path) -> None:
    figures = page(results).write(Storage.at(tmp_path))
    names = ("scores", "along", "differences", "devices", "training-size", "confusion")
    assert sorted(figures) == sorted(f"{n}.{form}" for n in names for form in ("png", "svg"))
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"results.json", "report.md", "report.html", *figures}
    assert json.loads((tmp_path / "results.json").read_text()) == results


def test_what_a_recipe_changes_is_listed(results, tmp_path: Path) -> None:
    changed = json.loads(json.dumps(results))
    changed["recipes"]["better"]["features"]["padding"] = "zero"
    page(changed).write(Storage.at(tmp_path))
    assert ["better", "features.padding", "zero"] in rows((tmp_path / "report.md").read_text())


def test_where_no_test_cycle_is_abnormal_no_score_is_said_and_all_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    catalogue = made_up._catalogue().assign(label=0)
    monkeypatch.setattr(made_up, "_catalogue", lambda: catalogue)
    variants = {"base": (Variant(small()), 0.2), "better": (Variant(small()), 0.5)}
    asked = Question(
        "A question",
        {name: variant for name, (variant, _) in variants.items()},
        [Row("base", "base"), Row("better", "better", against="base")],
        axis="Window (s)",
        along={"base": 7.0, "better": 3.0},
        by_device=True,
    )
    grid = finished_grid(tmp_path / "grid", variants, splits=3, seeds=1)
    undefined = results_of(grid, summarise(grid, asked))
    assert [row["score"] for row in undefined["rows"]] == [None, None]
    page(undefined).write(Storage.at(tmp_path))
    assert (tmp_path / "report.html").exists()
    said = summary(undefined)
    assert "no Score is defined" in said
    base, better = (row for row in rows(said) if row[0] == "80-20, 4-class" and row[1] in variants)
    assert (base[2], base[4], base[5]) == (better[2], better[4], better[5]) == ("–", "–", "–")
    (line,) = [row for row in rows(said) if row[:2] == ["better", "base"]]
    assert (line[2], line[4], line[5]) == ("–", "–", "–")


def test_a_row_without_a_score_is_not_the_best_and_the_others_are_told(results, tmp_path) -> None:
    broken = json.loads(json.dumps(results))
    for one in (broken["rows"][0], broken["baselines"][0], *broken["rows"][0]["splits"]):
        one["score"] = one["se"] = None
    broken["rows"][1]["difference"] |= {
        **{"these_patients": None, "new_patients": None, "verdict": None},
    }
    broken["rows"][1]["difference"]["mean"] = {"se": None, "sp": 0.0, "score": None}
    broken["rows"][1]["difference"]["splits"] = [None] * 8
    page(broken).write(Storage.at(tmp_path))
    best = max(broken["rows"][1:], key=lambda row: row["score"])
    assert f"“{best['name']}” has the highest Score" in summary(broken)


@pytest.mark.slow
def test_a_browser_shows_every_figure_and_reports_no_error(results, tmp_path: Path) -> None:
    page(results).write(Storage.at(tmp_path))
    assert shown_images(tmp_path / "report.html", tmp_path / "profile") == 6
