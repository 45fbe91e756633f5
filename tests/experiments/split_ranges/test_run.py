import base64
import io
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hospital import write_hospital
from matplotlib.image import imread

from respire.data.corpora import icbhi
from respire.data.corpora.corpus import import_manifest
from respire.data.corpora.icbhi_format import DEVICES
from respire.data.manifest import write_manifest
from respire.data.splits.split import Cut
from respire.errors import InputError
from respire.experiments.split_ranges.report import DASHES, RangesSummary, draw
from respire.experiments.split_ranges.run import describe
from respire.report.typed import Header, read
from respire.statistics.composition import composition, shares
from respire.study.place import Place

DRAWS, FIRST, FOLDS = 40, 3, 5
SHARES = shares(DEVICES)
COUNTS = ("cycles", "patients", "both_cycles")
SHOWN = {name: name for name in (*COUNTS, *SHARES)} | {
    "both_cycles": "cycles of both",
    "largest": "largest five patients",
}


@dataclass(frozen=True)
class Described:
    """What a description left: its folder, what it printed, and what it kept."""

    folder: Path
    summary: str

    @property
    def results(self) -> dict[str, Any]:
        return json.loads((self.folder / "results.json").read_text())

    def drawn(self, kind: str) -> pd.DataFrame:
        """The rows of splits.csv that are of a kind."""
        rows = pd.read_csv(self.folder / "splits.csv", converters=dict.fromkeys(SHARES, float))
        return rows[rows["kind"] == kind].reset_index(drop=True)


def described(data: Path, storage: Path, folds: Path | None = None, **options: Any) -> Described:
    name, skip_bad = options.pop("name", "named"), options.pop("skip_bad", False)
    place = Place(str(data), str(storage), skip_bad=skip_bad)
    summary = describe(Cut(**options), place, None if folds is None else str(folds), name)
    (folder,) = (storage / "split_ranges").iterdir()
    return Described(folder, summary)


@pytest.fixture(scope="module", autouse=True)
def few_draws() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("respire.experiments.split_ranges.run.DRAWS", DRAWS)
        yield


@pytest.fixture(scope="module")
def cycles(corpus: Path) -> pd.DataFrame:
    return icbhi.read_catalogue(str(corpus)).cycles


@pytest.fixture(scope="module")
def fold_of(cycles: pd.DataFrame) -> dict[int, int]:
    """Folds of all patients but one, and of one whom the corpus lacks."""
    patients = sorted(set(cycles["patient"]))
    return {patient: index % FOLDS for index, patient in enumerate(patients[1:])} | {999: 7}


@pytest.fixture(scope="module")
def whole(corpus: Path, fold_of: dict[int, int], tmp_path_factory) -> Described:
    """All that can be described: both kinds of splits, the official one and folds."""
    folder = tmp_path_factory.mktemp("described")
    folds = folder / "folds.txt"
    folds.write_text("".join(f"{patient} {fold}\n" for patient, fold in fold_of.items()))
    return described(corpus, folder / "runs", folds, stratify=True, split_seed=FIRST)


@pytest.fixture(scope="module")
def torn(corpus: Path, tmp_path_factory) -> Path:
    """The corpus without its official list, and with an annotation that lacks its audio."""
    folder = tmp_path_factory.mktemp("torn") / "corpus"
    shutil.copytree(corpus, folder, ignore=shutil.ignore_patterns(icbhi.SPLIT_LIST))
    (folder / "199_1b1_Al_sc_Meditron.txt").write_text("0 1 0 0\n")
    return folder


@pytest.fixture(scope="module")
def alone(torn: Path, tmp_path_factory) -> Described:
    """Plain splits described without lists and under no name of their own."""
    storage = tmp_path_factory.mktemp("alone")
    return described(torn, storage, skip_bad=True, split_seed=FIRST, name=None)


def test_ranges_are_numpys_quantiles_of_the_splits_that_are_kept(whole: Described) -> None:
    ranges = whole.results["ranges"]
    assert list(ranges) == ["plain", "stratified"]
    for kind, numbers in ranges.items():
        drawn = whole.drawn(kind)
        assert len(drawn) == DRAWS
        assert set(numbers) == set(SHOWN)
        for number, ends in numbers.items():
            assert ends == pytest.approx(np.quantile(drawn[number], [0.025, 0.5, 0.975]))


@pytest.mark.parametrize("kind", ["plain", "stratified"])
def test_kept_splits_are_those_that_a_run_would_be_tested_on(whole, cycles, kind) -> None:
    drawn = whole.drawn(kind)
    assert drawn["split_seed"].tolist() == list(range(FIRST, FIRST + DRAWS))
    for row in drawn.iloc[[0, 1, DRAWS // 2, DRAWS - 1]].to_dict("records"):
        test = Cut("80-20", row["split_seed"], stratify=kind == "stratified").on(cycles).test
        expected = composition(cycles[cycles["recording"].isin(test)], DEVICES)
        assert {number: row[number] for number in expected} == expected


def test_the_results_say_what_was_drawn_from_what(whole: Described, cycles) -> None:
    results = whole.results
    assert results["experiment"] == "split_ranges"
    assert results["name"] == "named"
    assert (results["draws"], results["split_seeds"]) == (DRAWS, [FIRST, FIRST + DRAWS - 1])
    assert (results["patients"], results["cycles"]) == (24, len(cycles))
    assert results["skipped"] == []


def test_other_seeds_have_another_key(corpus: Path, whole: Described, tmp_path: Path) -> None:
    header = read(Header, whole.results)
    assert (header.warnings, header.stamps) == ((), ())
    assert header.seconds["total"] >= header.seconds["splits"] > 0
    other = described(corpus, tmp_path, split_seed=FIRST + 1)
    assert read(Header, other.results).key != header.key


def placed_by_hand(tested: pd.DataFrame, drawn: pd.DataFrame) -> dict[str, Any]:
    """Each number of a test side, and the share of splits below it, equal ones half below."""
    expected = {}
    for number, value in composition(tested, DEVICES).items():
        below = sum(float(other < value) + (other == value) / 2 for other in drawn[number])
        expected[number] = {"value": value, "below": pytest.approx(below / len(drawn))}
    return expected


def test_each_fold_is_placed_by_how_many_plain_splits_lie_below_it(whole, cycles, fold_of) -> None:
    placed = whole.results["placed"]
    assert list(placed) == ["official 60-40", *(f"fold {fold}" for fold in range(FOLDS))]
    for fold in range(FOLDS):
        members = [patient for patient, its in fold_of.items() if its == fold]
        tested = cycles[cycles["patient"].isin(members)]
        assert placed[f"fold {fold}"] == placed_by_hand(tested, whole.drawn("plain"))
    assert placed["fold 0"]["patients"]["below"] == 0.5  # five, as every random side has


def test_the_official_test_side_is_placed_too(whole: Described, corpus: Path, cycles) -> None:
    rows = [line.split() for line in (corpus / icbhi.SPLIT_LIST).read_text().splitlines()]
    tested = cycles[cycles["recording"].isin([name for name, side in rows if side == "test"])]
    assert 0 < len(tested) < len(cycles)
    expected = placed_by_hand(tested, whole.drawn("plain"))
    assert whole.results["placed"]["official 60-40"] == expected


def test_without_lists_plain_splits_are_described_alone(alone: Described, whole) -> None:
    assert alone.results["placed"] == {}
    assert alone.results["ranges"] == {"plain": whole.results["ranges"]["plain"]}
    assert len(pd.read_csv(alone.folder / "splits.csv")) == DRAWS
    pd.testing.assert_frame_equal(alone.drawn("plain"), whole.drawn("plain"))
    for text in (alone.summary, (alone.folder / "report.html").read_text()):
        assert "stratified" not in text
        assert "Published" not in text


def test_an_official_list_that_tests_nobody_here_is_not_placed(
    torn: Path, cycles: pd.DataFrame, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(torn, tmp_path / "corpus"))
    rows = [f"{recording}\ttrain" for recording in cycles["recording"].unique()]
    listed = "\n".join([*rows, "999_1b1_Al_sc_Meditron\ttest"])
    (data / icbhi.SPLIT_LIST).write_text(listed)
    assert described(data, tmp_path / "runs", skip_bad=True).results["placed"] == {}


def test_stratified_splits_lie_closer_together_than_plain_ones(whole: Described) -> None:
    plain, stratified = (whole.drawn(kind) for kind in ("plain", "stratified"))
    for number in ("cycles", "normal", "AKGC417L"):
        assert stratified[number].std() < 0.7 * plain[number].std()


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", "folder"])
def test_folds_that_cannot_be_read_are_refused(corpus, tmp_path, content) -> None:
    folds = tmp_path / "folds.txt"
    if content == "folder":
        folds.mkdir()
    elif content is not None:
        folds.write_bytes(content)
    with pytest.raises(InputError, match=rf"^--folds {folds}: cannot be read") as refused:
        described(corpus, tmp_path / "runs", folds)
    assert "\n" not in str(refused.value)
    assert not list((tmp_path / "runs").rglob("results.json"))


def test_folds_of_other_patients_are_refused(corpus: Path, tmp_path: Path) -> None:
    folds = tmp_path / "folds.txt"
    folds.write_text("901 0\n902 1\n")
    with pytest.raises(InputError, match=rf"^--folds {folds}: lists none of the patients"):
        described(corpus, tmp_path / "runs", folds)


def test_a_malformed_row_of_folds_is_named_with_its_file(corpus: Path, tmp_path: Path) -> None:
    folds = tmp_path / "folds.txt"
    folds.write_text("101 0\n102\n")
    with pytest.raises(InputError, match=rf"^{folds}, row 2: "):
        described(corpus, tmp_path / "runs", folds)


def test_a_negative_seed_is_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^--split-seed -1: must be 0 or more"):
        described(corpus, tmp_path, split_seed=-1)


def test_storage_that_cannot_be_written_is_refused(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        described(corpus, tmp_path / "file")


def test_a_bad_recording_is_refused_or_left_out_and_listed(torn, alone, tmp_path) -> None:
    with pytest.raises(InputError, match=r"199_1b1_Al_sc_Meditron.txt: annotation without audio"):
        described(torn, tmp_path)
    (line,) = alone.results["skipped"]
    assert "199_1b1_Al_sc_Meditron.txt: annotation without audio" in line
    assert line in (alone.folder / "report.md").read_text()
    assert alone.results["patients"] == 24


def test_the_name_of_another_run_is_refused_and_its_results_are_left_alone(
    corpus: Path, tmp_path: Path
) -> None:
    other = tmp_path / "split_ranges" / "taken"
    other.mkdir(parents=True)
    (other / "identity.json").write_text('{"smart, split 0, seed 0": "cafe", "stages": "stage1"}')
    (other / "results.json").write_text("{}")
    with pytest.raises(InputError, match=r"taken: another run has this --name"):
        described(corpus, tmp_path, name="taken")
    assert (other / "results.json").read_text() == "{}"
    assert not (other / "splits.csv").exists()


def test_the_same_corpus_is_described_anew_in_the_same_place(
    torn: Path, alone: Described, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(alone.folder.parents[1], tmp_path, dirs_exist_ok=True)
    anew = described(torn, tmp_path, skip_bad=True, split_seed=FIRST, name=None)
    assert anew.folder.name == alone.folder.name
    *parts, last = capsys.readouterr().out.splitlines()
    assert parts == ["respire: catalogue ...", "respire: splits ..."]
    assert last == f"report: {anew.folder}/report.html"
    pd.testing.assert_frame_equal(alone.drawn("plain"), anew.drawn("plain"))


def test_other_splits_have_a_place_of_their_own_and_no_name_of_others(
    corpus: Path, whole: Described, tmp_path: Path
) -> None:
    for seed in (FIRST, FIRST + 1):
        describe(Cut(split_seed=seed), Place(str(corpus), str(tmp_path / "a")))
    first, second = (
        pd.read_csv(folder / "splits.csv").drop(columns="kind").to_numpy()
        for folder in sorted(
            (tmp_path / "a" / "split_ranges").iterdir(),
            key=lambda folder: json.loads((folder / "results.json").read_text())["split_seeds"],
        )
    )
    np.testing.assert_array_equal(first[1:], second[:-1])
    with pytest.raises(InputError, match="stratify was True, is False"):
        described(corpus, whole.folder.parents[1], split_seed=FIRST)


def test_recordings_of_no_patient_are_not_drawn(tmp_path: Path) -> None:
    manifest, _ = import_manifest("csv", str(write_hospital(tmp_path / "hospital", patients=5)))
    first = manifest["recording"] == manifest["recording"].iloc[0]
    nobodys = manifest.assign(group_kind=np.where(first, "none", manifest["group_kind"]))
    write_manifest(nobodys, str(tmp_path / "some.csv"))
    with pytest.raises(InputError, match="of no patient"):
        described(tmp_path / "some.csv", tmp_path / "runs")


def test_another_hospitals_device_is_told_in_the_sentence(tmp_path: Path) -> None:
    summary = described(write_hospital(tmp_path / "hospital"), tmp_path / "runs").summary
    assert re.search(r"from the (Eko CORE-500|phone); their five largest", summary)


def test_the_report_holds_its_tables_and_its_figure(whole: Described) -> None:
    names = {"results.json", "report.md", "report.html", "splits.csv"}
    names |= {"splits.png", "splits.svg"}
    assert names <= {file.name for file in whole.folder.iterdir()}
    figure = (whole.folder / "splits.png").read_bytes()
    assert figure.startswith(b"\x89PNG\r\n\x1a\n")
    assert imread(io.BytesIO(figure), format="png").std() > 0.05
    html = (whole.folder / "report.html").read_text()
    assert base64.b64encode(figure).decode() in html
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", html)
    markdown = (whole.folder / "report.md").read_text()
    assert "](splits.png)" in markdown
    assert [line for line in whole.summary.splitlines() if line not in markdown] == []


def rows_of(text: str) -> dict[tuple[str, str], list[str]]:
    """Numbers of all rows of Markdown tables, by the two words before them."""
    rows = {}
    for line in text.splitlines():
        if line.startswith("|"):
            first, second, *numbers = map(str.strip, line.strip("|").split("|"))
            if re.fullmatch(r"[\d,.]+", numbers[0]):
                assert (first, second) not in rows
                rows[first, second] = numbers
    return rows


def test_the_summarys_tables_hold_the_numbers_of_the_results(whole: Described) -> None:
    def shown(number: str, value: float) -> str:
        return f"{value:,.0f}" if number in COUNTS else f"{100 * value:.1f}"

    results = whole.results
    expected = {}
    for kind, numbers in results["ranges"].items():
        for number, ends in numbers.items():
            expected[kind, SHOWN[number]] = [*(shown(number, end) for end in ends), str(DRAWS)]
    for label, numbers in results["placed"].items():
        for number, of in numbers.items():
            below = f"{100 * of['below']:.1f}"
            expected[label, SHOWN[number]] = [shown(number, of["value"]), below, str(DRAWS)]
    assert len(expected) == (2 + 1 + FOLDS) * len(SHOWN)
    assert rows_of(whole.summary) == expected


def test_the_summary_begins_with_the_ranges_of_plain_splits_in_words(whole: Described) -> None:
    plain = whole.results["ranges"]["plain"]
    sentence = whole.summary.splitlines()[0]
    assert sentence.startswith(f"95% of {DRAWS} random splits by patient")
    pairs = re.findall(r"([\d,]+)–([\d,]+)(%?)", sentence)
    numbers = ("cycles", "normal", "both_cycles", "AKGC417L", "largest")
    for number, (low, high, unit) in zip(numbers, pairs, strict=True):
        scale = 1 if number in COUNTS else 100
        assert (unit == "%") == (scale == 100)
        ends = [scale * plain[number][end] for end in (0, -1)]
        assert [float(end.replace(",", "")) for end in (low, high)] == pytest.approx(ends, abs=0.51)


def test_the_figure_counts_both_kinds_in_the_same_bins(whole: Described) -> None:
    figure = draw(
        read(RangesSummary, whole.results),
        {kind: whole.drawn(kind) for kind in ("plain", "stratified")},
    )
    axes = [axis for axis in figure.axes if axis.containers]
    assert len(axes) == len(SHOWN) - 2
    for axis in axes:
        plain, stratified = axis.containers
        assert [bar.get_x() for bar in plain] == [bar.get_x() for bar in stratified]
        for bars in (plain, stratified):
            assert sum(bar.get_height() for bar in bars) == DRAWS


def test_the_figure_marks_the_official_test_side_and_five_folds_with_different_lines(
    whole: Described,
) -> None:
    figure = draw(read(RangesSummary, whole.results), {"plain": whole.drawn("plain")})
    placed = whole.results["placed"]
    assert len(placed) <= len(set(DASHES)) == len(DASHES)
    axis = next(axis for axis in figure.axes if axis.get_xlabel().startswith("normal"))
    marked = {line.get_label(): line.get_xdata()[0] for line in axis.get_lines()}
    assert marked == pytest.approx(
        {label: 100 * of["normal"]["value"] for label, of in placed.items()}
    )
