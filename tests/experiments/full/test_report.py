import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from pages import rows, shown_images

from respire.evaluation.assess import BEYOND
from respire.experiments.full import report
from respire.experiments.full.report import page as page_of
from respire.experiments.full.report import summary
from respire.experiments.full.summary import Summary
from respire.metrics import percent
from respire.report.page import strict
from respire.report.table import Table
from respire.report.typed import Header, read
from respire.runtime.storage import Storage

STAMPS = ["selected on test", "test labels shaped the padding of test cycles"]
FIGURES = [
    f"{name}.{form}"
    for name in (
        *("learning-curves", "confusion", "score-by-device", "score-by-prior"),
        *("operating-curve", "reliability", "answers", "subgroups"),
    )
    for form in ("png", "svg")
]


def lead(results: dict) -> str:
    return report.lead(read(Header, results), read(Summary, results))


def verdict(results: dict) -> str:
    return report.verdict(read(Header, results), read(Summary, results))


@pytest.fixture
def drawn() -> None:
    """Asked for by tests that are about figures; others need not wait for them."""


@pytest.fixture(autouse=True)
def undrawn(request, monkeypatch) -> None:
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr("respire.report.page.png", lambda _: b"no picture")
        monkeypatch.setattr("respire.report.page.svg", lambda _: b"no picture")


@pytest.fixture
def page(results, histories, tmp_path):
    page_of(results, histories).write(Storage.at(tmp_path))
    return (tmp_path / "report.html").read_text()


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def shares(scores: dict) -> list[str]:
    return [percent(scores[name]) for name in ("se", "sp", "score")]


def test_the_page_needs_nothing_but_itself(page):
    tags = Page(page).tags
    assert "script" not in [tag for tag, _ in tags]
    sources = [attrs[name] for _, attrs in tags for name in ("src", "href") if name in attrs]
    assert len(sources) == 9
    assert all(source.startswith("data:") for source in sources)
    assert not re.search(r"url\(|@import|\son\w+=", page)


def test_every_warning_and_skipped_recording_is_on_the_page_as_text(page, results):
    text = Page(page).text
    for line in results["warnings"] + results["skipped"]:
        assert line in text


def test_every_figure_has_words_for_those_who_cannot_see_it(page):
    images = [attrs for tag, attrs in Page(page).tags if tag == "img"]
    assert len(images) == 8
    assert all(len(image["alt"]) > 40 for image in images)


@pytest.mark.usefixtures("drawn")
def test_the_folder_holds_the_results_two_reports_and_every_figure(results, histories, tmp_path):
    page_of(results, histories).write(Storage.at(tmp_path / "new" / "folder"))
    written = {path.name for path in (tmp_path / "new" / "folder").iterdir()}
    assert written == {"results.json", "report.md", "report.html", *FIGURES}
    for name in FIGURES:
        begin = b"\x89PNG" if name.endswith(".png") else b"<?xml"
        assert (tmp_path / "new" / "folder" / name).read_bytes().startswith(begin)


def test_results_survive_strict_json(results, histories, tmp_path):
    page_of(results, histories).write(Storage.at(tmp_path))

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    content = (tmp_path / "results.json").read_text()
    assert json.loads(content, parse_constant=refuse) == json.loads(json.dumps(results))


def test_numbers_that_are_not_finite_become_null(results, histories, tmp_path):
    scores = results["stages"]["stage1"]["by_device"]["Litt3200"]
    scores["se"] = float("nan")
    page_of(strict(results | {"more": [float("inf")]}), histories).write(Storage.at(tmp_path))
    written = json.loads((tmp_path / "results.json").read_text())
    assert written["stages"]["stage1"]["by_device"]["Litt3200"] == scores | {"se": None}
    assert written["more"] == [None]


def test_the_tables_numbers_are_the_metrics(results):
    cells = rows(summary(results))
    models = {"Stage 1": results["stages"]["stage1"]}
    models |= {"Stage 2 (fine-tuned)": results["stages"]["stage2"]}
    models |= {f"baseline: {name}": stored for name, stored in results["baselines"].items()}
    for label, stored in models.items():
        whole = stored["overall"]
        low, high = whole["interval"]["score"]
        interval = f"{100 * low:.1f}–{100 * high:.1f}"
        assert [label, *shares(whole), interval, f"{whole['n']:,}"] in cells
        for device, s in stored["by_device"].items():
            assert [device, label, *shares(s), f"{s['n']:,}"] in cells
        assert [label, *map(percent, whole["recall"])] in cells


def test_windows_stand_beside_the_cycles_of_the_same_recordings(results, histories):
    heard = results["windows"]
    cells = rows(page_of(results, histories).markdown())
    for label, name in (("annotated cycles", "cycles"), ("windows", "windows")):
        scores = heard[name]
        assert [label, *shares(scores), "–", f"{scores['n']:,}"] in cells
    score = heard["difference"]["score"]
    gain = heard["windows"]["score"] - heard["cycles"]["score"]
    assert score["value"] == pytest.approx(gain)
    within = f"{100 * score['low']:+.1f} to {100 * score['high']:+.1f}"
    (row,) = [row for row in cells if row[0] == "windows less cycles (points)"]
    assert row[3:] == [f"{100 * gain:+.1f}", within, "–"]
    results["windows"] = None
    assert "windows less cycles" not in page_of(results, histories).markdown()


def test_table_lead_and_page_give_the_scores_interval_and_how_far_to_trust_it(
    results, histories, tmp_path
):
    final = results["stages"]["stage2"]["overall"]
    final["interval"] |= {"score": [0.401, 0.512], "coverage": 0.913, "patients": 25}
    assert f"Score of {percent(final['score'])}% (95% interval 40.1–51.2, Se" in lead(results)
    note = "over the 25 test patients; on simulated test sides of such patients it holds the true"
    page_of(results, histories).write(Storage.at(tmp_path))
    written = [(tmp_path / name).read_text() for name in ("report.md", "report.html")]
    for text in (summary(results), *written):
        assert text.count("40.1–51.2") == 2
        assert f"{note} Score 91% of the time" in text


def test_where_there_is_no_interval_a_dash_stands_in_the_table_and_the_reason_below(results):
    for model in [*results["stages"].values(), *results["baselines"].values()]:
        model["overall"] |= {"interval": None, "no_interval": "test patients: 9, fewer than 10"}
    whole = results["stages"]["stage1"]["overall"]
    assert ["Stage 1", *shares(whole), "–", f"{whole['n']:,}"] in rows(summary(results))
    assert "No interval of the Score (test patients: 9, fewer than 10)." in summary(results)
    assert "interval" not in lead(results)


@pytest.mark.usefixtures("drawn")
def test_undefined_fractions_are_dashes_in_table_page_and_figure(results, histories, tmp_path):
    stages = [*results["stages"].values(), *results["baselines"].values()]
    for stage in stages:
        stage["by_device"]["Litt3200"] |= {"se": None, "score": None}
        stage["overall"] |= {"recording_r": None, "auc_both": None}
    results["beyond"]["operating_curve"] = [None] * 101
    results["beyond"]["reliability"][""] = []
    assert re.search(r"\| Litt3200 \| Stage 1 +\| +– \| +[\d.]+ \| +– \| +92 \|", summary(results))
    page_of(results, histories).write(Storage.at(tmp_path))


def test_stamps_stand_above_every_table_and_in_the_lead_of_page_and_text(
    results, histories, tmp_path
):
    results |= {"stamps": STAMPS, "selection": "test"}
    histories.columns = histories.columns.str.replace("validation", "test")
    page_of(results, histories).write(Storage.at(tmp_path))
    page = (tmp_path / "report.html").read_text()
    tables = page.count("<table>")
    for stamp in STAMPS:
        assert page.count(f'<strong class="stamp">{stamp}</strong>') == tables + 1
        markdown = (tmp_path / "report.md").read_text()
        assert markdown.count(f"**{stamp.upper()}**") == tables + 1
        assert summary(results).count(f"**{stamp.upper()}**") == 3
    assert "None of this is evidence" in summary(results)


def test_the_lead_says_unseen_only_where_no_test_patient_was_seen(results):
    assert "cycles of 25 unseen patients" in lead(results)
    assert "unseen" not in lead(results | {"selection": "test"})
    assert "unseen" not in lead(results | {"split": results["split"] | {"holds_out": False}})
    test = results["split"]["sides"]["test"] | {"patients": 0}
    sides = results["split"]["sides"] | {"test": test}
    nobody = results | {"split": results["split"] | {"sides": sides}}
    assert "cycles of patients who are not known; stage 1" in lead(nobody)


def test_the_lead_names_the_best_baseline(results):
    results["baselines"]["device only"]["overall"]["score"] = 0.513
    assert "the best baseline (device only) 51.3%" in lead(results)


def test_a_model_that_misses_a_class_is_said_not_to_work(results):
    confusion = np.array(results["stages"]["stage2"]["overall"]["confusion"])
    confusion[3] = [confusion[3].sum(), 0, 0, 0]
    results["stages"]["stage2"]["overall"]["confusion"] = confusion.tolist()
    assert "Stage 1 counts as working" in verdict(results)
    assert (
        "Stage 2 (fine-tuned) does not count as working: no cycle of class both is recognised."
        in verdict(results)
    )


def test_names_cannot_break_out_of_a_table_or_the_page(results, histories, tmp_path):
    results["recipe"]["model"]["weights"] = "a|b<script>alert(1)</script>"
    results["skipped"] = ["<img src=http://example.org>\nsecond line"]
    page_of(results, histories).write(Storage.at(tmp_path))
    page = Page((tmp_path / "report.html").read_text())
    assert [tag for tag, _ in page.tags].count("img") == 8
    assert "script" not in [tag for tag, _ in page.tags]
    markdown = (tmp_path / "report.md").read_text()
    assert "a\\|b&lt;script>" in markdown
    assert "- &lt;img src=http://example.org> second line" in markdown


@pytest.mark.usefixtures("drawn")
def test_a_run_in_which_no_device_was_fine_tuned_is_reported(results, histories, tmp_path):
    for tuned in results["stages"]["stage2"]["devices"].values():
        tuned |= {"decision": "kept stage 1", "epoch": None, "learning_rate": None}
    page_of(results, histories.query("run == 'stage1'")).write(Storage.at(tmp_path))
    assert (tmp_path / "learning-curves.png").exists()


def test_a_two_class_run_is_reported(results, histories, tmp_path):
    results["recipe"]["task"] = "2-class"
    for model in [*results["stages"].values(), *results["baselines"].values()]:
        for stored in [model["overall"], *model["by_device"].values()]:
            stored |= {"confusion": [[30, 10], [10, 20]], "recall": [0.75, 0.667]}
    page_of(results, histories).write(Storage.at(tmp_path))
    assert "abnormal (n = 30)" in (tmp_path / "report.md").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("drawn")
def test_a_browser_shows_eight_images_and_reports_no_error(results, histories, tmp_path):
    page_of(results, histories).write(Storage.at(tmp_path))
    assert shown_images(tmp_path / "report.html", tmp_path / "profile") == 8


def test_the_score_on_test_along_the_prior_is_marked_as_no_choice(results, histories) -> None:
    (table,) = [one for one in tables_of(results, histories) if "by prior" in one.title]
    assert [row[0] for row in table.rows] == ["validation", "test (not a choice)"]
    assert table.columns == ("Side", "0", "0.5", "1", "1.5", "n")
    assert table.rows[0][1:5] == ("45.0", "47.5", "50.0", "52.5")
    results["along_prior"]["validation"] = None
    (table,) = [one for one in tables_of(results, histories) if "by prior" in one.title]
    assert [row[0] for row in table.rows] == ["test (not a choice)"]


def test_where_nothing_selects_the_page_says_the_last_epoch(results, histories) -> None:
    results["selection"] = results["recipe"]["selection"] = "none"
    unscored = histories.drop(columns=[name for name in histories if "validation" in name])
    page = page_of(results, unscored)
    assert "the last epoch" in page.facts
    assert "validation Score" not in str([one.title for one in page.sections])
    (tuning,) = [one for one in tables_of(results, unscored) if one.title.startswith("Fine-tuning")]
    assert "train cycles" in tuning.note


def tables_of(results: dict, histories) -> list[Table]:
    return [table for section in page_of(results, histories).sections for table in section.tables]


def test_what_one_threshold_hides_stands_one_statistic_a_row_with_interval_and_n(
    results, histories
) -> None:
    (table,) = [one for one in tables_of(results, histories) if "Beyond" in one.title]
    assert [row[0] for row in table.rows] == [statistic.label for statistic in BEYOND]
    final = results["stages"]["stage2"]["overall"]
    stage2 = table.columns.index("Stage 2 (fine-tuned)")
    for statistic, row in zip(BEYOND, table.rows, strict=True):
        assert statistic.written(final[statistic.name]) in row[stage2]
        low, high = map(statistic.written, final["interval"][statistic.name])
        assert low in row[stage2]
        assert high in row[stage2]
        assert row[-1].split()[1] == statistic.counted.split()[0]
    assert table.rows[0][-1] == "1,311 cycles"


def test_a_statistic_that_nothing_has_is_not_listed(results, histories) -> None:
    for model in [*results["stages"].values(), *results["baselines"].values()]:
        model["overall"]["auc_both"] = None
    (table,) = [one for one in tables_of(results, histories) if "Beyond" in one.title]
    assert "AUC both" not in [row[0] for row in table.rows]


def test_subgroups_are_said_to_be_read_and_not_tested_and_small_ones_are_left_out(
    results, histories
) -> None:
    (table,) = [one for one in tables_of(results, histories) if "subgroup" in one.title]
    groups = {(row[0], row[1]): row for row in table.rows}
    assert ("sex", "F") in groups
    assert ("diagnosis", "Asthma") not in groups
    assert "Subgroups are read, not tested" in table.note
    assert "diagnosis Asthma (test patients: 1, fewer than 10)" in table.note
    results["subgroups"] = {"shown": [], "left_out": {}}
    assert not [one for one in tables_of(results, histories) if "subgroup" in one.title]
