import json
import re
from dataclasses import replace
from statistics import stdev

import pytest
from finished import finished_grid, results_of
from matplotlib.text import Text
from pages import rows, shown_images

from respire.data.splits.split import Cut
from respire.errors import InputError
from respire.evaluation.assess import NAMES
from respire.experiments.seed_variance.report import conclusions, page, summary
from respire.experiments.seed_variance.run import seed_variance
from respire.metrics import percent
from respire.recipe.presets import small
from respire.report.numbers import ends
from respire.report.typed import read
from respire.report.wording import worded
from respire.runtime.storage import Storage
from respire.statistics.thresholds import SPLITS_FOR_CONCLUSION, t_interval
from respire.study.grid import Extent, Variant
from respire.study.place import Place
from respire.study.spread import summarise
from respire.study.spread_summary import Spread

FIGURES = ["score-by-split", "variance-components", "score-composition"]
WATCHED = replace(small(), watch_test=True)
ZERO = replace(small(), features=replace(small().features, padding="zero"))


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    grid = finished_grid(folder, {"small": (Variant(WATCHED), 0.2)})
    return json.dumps(results_of(grid, summarise(grid)))


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    grid = finished_grid(
        folder,
        {"small": (Variant(small()), 0.2), "small,features.padding=zero": (Variant(ZERO), 0.1)},
        stage2=True,
    )
    return json.dumps(results_of(grid, summarise(grid)))


@pytest.fixture
def results(alone):
    return json.loads(alone)


@pytest.fixture
def compared(pair):
    return json.loads(pair)


def sentences(results):
    return conclusions(read(Spread, results), results["stamps"])


def test_three_sentences_say_the_mean_one_runs_worth_and_how_many_splits(results):
    lead, one_run, how_many = sentences(results)
    found = results["variants"]["small"]["variance"]["stage1"]["score"]
    mean, half, least = found["mean"], found["single_half_width"], found["plan"]["least_half_width"]
    assert f"a Score of {percent(mean['value'])}% (95% interval" in lead
    assert f"{percent(mean['low'])}–{percent(mean['high'])})" in lead
    assert "beats on 8 of 8 splits" in lead
    assert f"± {100 * half['value']:.1f} points" in one_run
    assert f"makes {found['share']['value']:.0%} of that variance" in one_run
    assert f"takes {found['plan']['this_data_set']['value']:,} splits" in how_many
    assert f"± {100 * least['value']:.1f} points at best" in how_many


def test_few_splits_are_said_to_conclude_nothing(tmp_path):
    grid = finished_grid(
        tmp_path, {"small": (Variant(small()), 0.2)}, splits=SPLITS_FOR_CONCLUSION - 1
    )
    said = sentences(results_of(grid, summarise(grid)))
    assert (
        said[-1]
        == f"With fewer than {SPLITS_FOR_CONCLUSION} splits this is a sketch, not a conclusion."
    )


@pytest.mark.parametrize(("splits", "seeds"), [(1, 2), (3, 1)])
def test_one_split_or_one_seed_is_reported_without_components(splits, seeds, tmp_path):
    grid = finished_grid(tmp_path, {"small": (Variant(small()), 0.2)}, splits=splits, seeds=seeds)
    results = results_of(grid, summarise(grid))
    first, second = sentences(results)[:2]
    if splits == 1:
        assert "Of one split nothing can be said about the spread" in second
        assert "interval" not in first
    else:
        assert "patients' luck and what the seed's cannot be told apart" in second
        scores = [run["score"] for run in results["runs"] if run["stage"] == "stage1"]
        interval = ends(t_interval(scores))
        assert f"(95% interval of this data set's average {interval})" in first
        (told,) = (line for line in rows(summary(results)) if line[1:2] == ["Stage 1"])
        assert told[5:7] == [interval, percent(stdev(scores))]
    page(results).write(Storage.at(tmp_path / "report"))


def test_the_comparison_is_one_more_sentence_and_a_table(compared):
    found = compared["comparison"]["stages"]["stage2"]["score"]
    last = sentences(compared)[-1]
    assert f"small scores {100 * found['mean']:+.1f} points over small,features.padding" in last
    assert f"with probability {found['posterior']['a_better']:.2f}" in last
    test = found["new_patients"]
    row = f"{100 * test['low']:+.1f} to {100 * test['high']:+.1f}"
    assert row in summary(compared)


def test_over_dates_no_interval_is_said_to_be_over_patients(compared):
    said = worded(page(compared), "date")
    drawn = [
        text.get_text()
        for section in said.sections
        for picture in section.figures
        for text in picture.figure.findobj(Text)
    ]
    told = "\n".join([said.markdown(), summary(compared | {"groups": "date"}), *drawn])
    assert re.findall(r"\bpatient", told, re.IGNORECASE) == []  # a field of the recipe stays
    assert "interval for new dates" in told
    assert "interval over dates" in told


def test_stratified_splits_are_set_against_plain_ones(tmp_path):
    variants = {
        "small": Variant(small()),
        "small, stratified": Variant(small(), Cut(stratify=True)),
    }
    grid = finished_grid(tmp_path, {name: (of, 0.2) for name, of in variants.items()})
    results = results_of(grid, summarise(grid))
    spread, before = (
        results["variants"][name]["variance"]["stage1"]["score"]["standard_deviations"]["between"]
        for name in ("small, stratified", "small")
    )
    said = sentences(results)[-1]
    assert f"a standard deviation of {100 * spread['value']:.1f} points" in said
    assert f"plain ones with {100 * before['value']:.1f} " in said


def test_stamps_are_above_every_table_and_nothing_is_evidence(results, tmp_path):
    results["stamps"] = ["selected on test"]
    assert sentences(results)[-1] == "None of this is evidence: selected on test."
    page(results).write(Storage.at(tmp_path))
    text = (tmp_path / "report.html").read_text()
    stamp = '<strong class="stamp">selected on test</strong>'
    assert text.count(stamp) == text.count("<table>") + 1
    assert summary(results).count("**SELECTED ON TEST**") == 3


def test_what_choosing_on_test_would_have_been_worth_is_labelled(results, compared, tmp_path):
    page(results).write(Storage.at(tmp_path / "watched"))
    cost = results["variants"]["small"]["selection_cost"]
    text = (tmp_path / "watched" / "report.md").read_text()
    assert "**SELECTED ON TEST: what choosing the epoch there would have been worth**" in text
    shown = [percent(cost[epoch]) for epoch in ("chosen", "last", "best")]
    assert ["small", *shown] in [row[:4] for row in rows(text)]
    page(compared).write(Storage.at(tmp_path / "unwatched"))
    assert "SELECTED ON TEST" not in (tmp_path / "unwatched" / "report.md").read_text()


def test_the_folder_holds_results_two_reports_and_the_figures(results, compared, tmp_path):
    for stored, drawn in ((results, FIGURES), (compared, [*FIGURES, "differences"])):
        folder = tmp_path / str(len(drawn))
        figures = [f"{name}.{form}" for name in drawn for form in ("png", "svg")]
        assert sorted(page(stored).write(Storage.at(folder))) == sorted(figures)
        written = {path.name for path in folder.iterdir()}
        assert written == {"results.json", "report.md", "report.html", *figures}
        assert json.loads((folder / "results.json").read_text()) == stored
        for name in figures:
            begin = b"\x89PNG" if name.endswith(".png") else b"<?xml"
            assert (folder / name).read_bytes().startswith(begin)


def test_every_run_is_in_the_table_of_runs(results, tmp_path):
    page(results).write(Storage.at(tmp_path))
    cells = rows((tmp_path / "report.md").read_text())
    for run in results["runs"]:
        scores = [percent(run[metric]) for metric in NAMES]
        where = ["small", str(run["split_seed"]), str(run["seed"]), "Stage 1"]
        assert [*where, *scores, str(run["epoch"]), f"{run['cycles']:,}"] in cells


def test_an_undefined_score_is_a_dash_and_its_split_the_last_of_the_table(results, tmp_path):
    variant = results["variants"]["small"]
    undefined = variant["splits"][0]
    undefined["scores"]["stage1"] |= {"se": None, "score": None, "interval": None}
    for run in results["runs"]:
        if run["split_seed"] == undefined["split_seed"]:
            run |= {"se": None, "score": None}
    variant["baselines"]["majority"] |= {"score": None, "standard_deviation": None}
    variant["selection_cost"] |= {"best": None, "best_less_chosen": None}
    page(results).write(Storage.at(tmp_path))
    text = (tmp_path / "report.md").read_text()
    cells = rows(text)
    assert ["small", "Stage 1", "–"] in [row[:3] for row in cells]
    seed = str(undefined["split_seed"])
    of_split = [row for row in cells if row[:2] == ["small", seed]]
    assert of_split[0][:4] == ["small", seed, "–", "–"]
    assert of_split[0] == [row for row in cells if len(row) == len(of_split[0])][-1]
    ours = [run for run in results["runs"] if str(run["split_seed"]) == seed]
    assert [row[4:7] for row in of_split[1:]] == [["–", percent(run["sp"]), "–"] for run in ours]
    assert "nan" not in text


@pytest.mark.slow
def test_a_browser_shows_every_figure_and_reports_no_error(compared, tmp_path):
    page(compared).write(Storage.at(tmp_path))
    assert shown_images(tmp_path / "report.html", tmp_path / "profile") == 4


def test_recipes_of_different_tasks_are_not_compared() -> None:
    recipes = {"four": small(), "two": replace(small(), task="2-class")}
    with pytest.raises(InputError, match=r"different tasks \(2-class, 4-class\)"):
        seed_variance(recipes, Cut(), Extent(1, (0,)), Place())
