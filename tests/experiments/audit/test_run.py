import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch
from commands import finished
from cycle_rows import cycles_table
from hospital import write_hospital
from mono import read_audio

from respire.command import questions
from respire.data.corpora import icbhi
from respire.data.corpora.corpus import import_manifest
from respire.data.manifest import write_manifest
from respire.data.preprocess import preprocess, slice_cycles
from respire.errors import InputError
from respire.experiments.audit.run import audit, blank_rows
from respire.features.bank import CycleBank
from respire.features.blank_region import BlankRegion
from respire.features.pipeline import Pipeline
from respire.recipe.presets import paper, quick, released_code
from respire.report.typed import Header, read
from respire.study.place import Place

REAL = Path(__file__).resolve().parents[4] / "shared/data/icbhi"
needs_real_data = pytest.mark.skipif(not REAL.exists(), reason=f"no recordings at {REAL}")


@pytest.fixture(scope="module", autouse=True)
def torch_threads() -> Iterator[None]:
    """The audit gives torch one thread; other tests keep theirs."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class Audited:
    """What an audit left: its folder, and what it printed."""

    folder: Path
    summary: str

    @property
    def results(self) -> dict[str, Any]:
        return json.loads((self.folder / "results.json").read_text())


def audited(data: Path, storage: Path, **options: Any) -> Audited:
    given = {"recipe": quick(), "name": "named"} | options
    place = Place(str(data), str(storage), skip_bad=given.pop("skip_bad", False))
    summary = audit(place=place, **given)
    (folder,) = (storage / "audit").iterdir()
    return Audited(folder, summary)


@pytest.fixture(scope="module")
def whole(corpus: Path, tmp_path_factory) -> Audited:
    return audited(corpus, tmp_path_factory.mktemp("audited"))


@pytest.fixture(scope="module")
def cycles(corpus: Path) -> pd.DataFrame:
    return icbhi.read_catalogue(str(corpus)).cycles


def test_a_corpus_that_is_not_the_papers_is_counted_and_not_compared(whole, cycles) -> None:
    results = whole.results
    assert results["census"]["cycles"] == len(cycles)
    assert results["census"]["patients"] == 24
    assert results["paper"] is None
    assert "24 patients are not the paper's 920 of 126" in results["not_compared"]
    assert results["not_compared"] in whole.summary
    assert "Errata" not in (whole.folder / "report.md").read_text()


def test_groups_that_are_dates_are_nowhere_called_patients_but_in_the_warning(tmp_path) -> None:
    rows, _ = import_manifest("csv", str(write_hospital(tmp_path / "clinic", patients=4, cycles=2)))
    write_manifest(rows.assign(group_kind="date"), str(tmp_path / "dates.csv"))
    whole = audited(tmp_path / "dates.csv", tmp_path)
    assert whole.results["groups"] == "date"
    report = (whole.folder / "report.md").read_text()
    assert "4 dates, 8 recordings" in report
    assert re.search(r"\| Dates \|.*\n\| -+ \| -+: \| ----: \|", whole.summary)
    told = re.findall(r".*patient.*", report + whole.summary, re.IGNORECASE)
    assert told == [f"- {whole.results['warnings'][0]}"]
    assert "the groups are dates of recording, not patients" in told[0]


def test_recordings_of_nobody_are_of_no_patient(tmp_path) -> None:
    rows, _ = import_manifest("csv", str(write_hospital(tmp_path / "clinic", patients=4, cycles=2)))
    rows.loc[rows["group"] == "A", ["group", "group_kind"]] = "", "none"
    write_manifest(rows, str(tmp_path / "some.csv"))
    census = audited(tmp_path / "some.csv", tmp_path).results["census"]
    assert (census["recordings"], census["patients"]) == (8, 3)
    assert sum(census["locations"]["patients_by_number"].values()) == 3


def test_recordings_without_sound_are_named_in_the_report(tmp_path) -> None:
    folder = write_hospital(tmp_path / "clinic", patients=4, cycles=2)
    noise = np.random.default_rng(0).normal(0, 0.1, (16000, 1))
    for name, sound in (("A", 0 * noise), ("B", 0 * noise + 0.25), ("C", noise * [1, -1])):
        sf.write(folder / name / "visit0.wav", sound, 8000, subtype="PCM_16")
    whole = audited(folder, tmp_path)
    said = "recordings without sound: clinic:A/visit0 (silent), clinic:B/visit0 (constant), "
    (warning,) = (line for line in whole.results["warnings"] if "without sound" in line)
    assert warning == f"{said}clinic:C/visit0 (channels cancel)"
    assert warning in (whole.folder / "report.md").read_text()
    assert "channels cancel" in (whole.folder / "report.html").read_text()


def test_results_begin_with_the_header_of_every_experiment(whole: Audited) -> None:
    header = read(Header, whole.results)
    assert (header.experiment, header.name) == ("audit", "named")
    assert (header.selection, header.stamps) == ("", ())
    assert header.seconds["total"] >= header.seconds["blank rows"] > 0


def test_rates_and_durations_are_those_of_the_files(whole: Audited, corpus: Path) -> None:
    files = [sf.info(file) for file in corpus.rglob("*.wav")]
    found = whole.results["census"]
    assert found["hours"] == pytest.approx(sum(file.duration for file in files) / 3600)
    rates = found["sample_rates"]["recordings"]
    assert sum(rates.values()) == len(files)
    assert {int(rate) for rate in rates} == {file.samplerate for file in files}


def test_blank_rows_are_those_of_each_cycle_by_itself(whole: Audited, cycles) -> None:
    recipe = quick()
    pipeline = Pipeline(recipe, "cpu")
    top: dict[str, list[bool]] = {}
    for _, of_recording in cycles.groupby("recording"):
        waveform = preprocess(*read_audio(of_recording["audio"].iloc[0]), recipe.preprocess)
        audio, samples = slice_cycles(
            waveform, of_recording["start_s"].tolist(), of_recording["end_s"].tolist(), 4000
        )
        table = cycles_table([samples.tolist()])
        table = table.set_column(table.column_names.index("audio"), "audio", [[audio.tolist()]])
        bank = CycleBank.from_table(table, recipe.task)
        for index in range(len(samples)):
            shade = pipeline.unclipped_shades(bank, torch.tensor([index]))[0, 0]
            # 4.7 of 80 dB are 15 of 255 shades.
            black = (shade < 15).float().mean()
            top.setdefault(of_recording["device"].iloc[0], []).append(
                bool(black >= recipe.features.blank_share)
            )
    found = whole.results["blank_rows"]
    for device, blank in top.items():
        assert found["devices"][device]["windows"] == len(blank)
        assert found["devices"][device]["top_row"] == pytest.approx(np.mean(blank))
    assert found["all"]["windows"] == len(cycles)
    assert found["all"]["rows"][0] == found["all"]["top_row"]
    assert any(np.mean(blank) > 0 for blank in top.values())


def test_sounds_of_low_frequencies_leave_the_rows_above_blank() -> None:
    recipe = quick()
    seconds = np.arange(4 * 4000) / 4000
    low = (16000 * np.sin(2 * np.pi * 200 * seconds)).astype(np.int16)
    noise = (np.random.default_rng(0).normal(0, 3000, len(seconds))).astype(np.int16)
    table = cycles_table([[16000], [16000]], devices=["Litt3200", "Meditron"])
    sounds = [low.tolist(), noise.tolist()]
    table = table.set_column(table.column_names.index("audio"), "audio", [sounds])
    found = blank_rows(CycleBank.from_table(table, recipe.task), recipe)
    assert found.devices["Litt3200"].top_row == 1
    assert found.devices["Litt3200"].cut > 0.5
    assert (found.devices["Meditron"].top_row, found.devices["Meditron"].cut) == (0, 0)
    assert set(found.devices) == {"Litt3200", "Meditron"}
    assert (found.all.windows, found.all.top_row) == (2, 0.5)
    assert list(found.row_hz) == sorted(found.row_hz, reverse=True)
    assert 1900 < found.row_hz[0] < 2000


def test_the_rows_said_to_be_clipped_are_those_that_the_recipe_clips() -> None:
    recipe = released_code()
    table = cycles_table([[4000, 9000], [40000]])
    bank = CycleBank.from_table(table, recipe.task)
    found = blank_rows(bank, recipe)
    pipeline = Pipeline(recipe, "cpu")
    windows = pipeline.windows(bank)
    assert found.all.windows == len(windows) > 3
    shade = pipeline.unclipped_shades(windows, torch.arange(len(windows)))
    rows = BlankRegion(recipe.features).rows(shade).double().mean() / shade.shape[1]
    assert float(rows) > 0
    assert found.all.cut == pytest.approx(float(rows))


def test_the_rows_looked_at_are_those_of_the_images_that_a_network_would_see() -> None:
    recipe = paper()
    bank = CycleBank.from_table(cycles_table([[4000, 9000], [40000]]), recipe.task)
    pipeline, chosen = Pipeline(recipe, "cpu"), torch.tensor([2, 0, 1])
    shade = pipeline.unclipped_shades(bank, chosen)
    assert shade.shape == (3, 64, 219)
    images = pipeline.palette(pipeline.blank_region(shade))
    torch.testing.assert_close(images, pipeline.evaluation_images(bank, chosen), rtol=0, atol=0)


def test_a_missing_official_list_is_told(corpus: Path, tmp_path: Path) -> None:
    data = tmp_path / "corpus"
    shutil.copytree(corpus, data, ignore=shutil.ignore_patterns(icbhi.SPLIT_LIST))
    alone = audited(data, tmp_path / "runs")
    assert alone.results["census"]["official"] is None
    (warning,) = alone.results["warnings"]
    assert f"no {icbhi.SPLIT_LIST}" in warning
    markdown = (alone.folder / "report.md").read_text()
    assert warning in markdown
    assert "Official split" not in markdown


def test_audio_that_cannot_be_cut_is_refused_or_left_out_and_listed(
    corpus: Path, cycles: pd.DataFrame, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    bad = next(data.rglob("*.wav"))
    samples, rate = sf.read(bad)
    samples[10] = np.nan
    sf.write(bad, samples, rate, subtype="FLOAT")
    with pytest.raises(InputError, match=rf"{bad.name}: holds samples that are not finite"):
        audited(data, tmp_path / "refused")
    assert not list((tmp_path / "refused").rglob("results.json"))
    left = audited(data, tmp_path / "skipped", skip_bad=True).results
    (line,) = left["skipped"]
    assert bad.name in line
    rest = cycles[cycles["recording"] != bad.stem]
    assert left["census"]["cycles"] == left["blank_rows"]["all"]["windows"] == len(rest)


def test_a_name_of_another_recipe_is_refused(corpus: Path, whole: Audited, tmp_path: Path) -> None:
    shutil.copytree(whole.folder.parents[1], tmp_path, dirs_exist_ok=True)
    before = (tmp_path / "audit/named/results.json").read_bytes()
    with pytest.raises(InputError, match=r"named: another run has this --name"):
        audited(corpus, tmp_path, recipe=released_code())
    assert (tmp_path / "audit/named/results.json").read_bytes() == before


def test_storage_that_cannot_be_written_is_refused(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        audited(corpus, tmp_path / "file")


def test_the_command_refuses_a_folder_without_recordings_in_one_line(
    tmp_path: Path, refusal: Callable[..., str]
) -> None:
    line = refusal(questions.audit, "--data", str(tmp_path))
    assert line.startswith(f"error: {tmp_path}: no recording")


def test_without_a_name_the_folder_is_named_by_recipe_and_content(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = shutil.copytree(corpus, tmp_path / "moved")
    first = audited(corpus, tmp_path / "first", name=None)
    assert f"report: {first.folder}/report.html" in capsys.readouterr().out
    assert first.folder.name.startswith("quick-")
    assert audited(moved, tmp_path / "second", name=None).folder.name == first.folder.name
    other = audited(corpus, tmp_path / "third", name=None, recipe=released_code())
    assert other.folder.name.startswith("released-code-")


@pytest.mark.slow
def test_quick_audits_the_synthetic_corpus_and_says_so(tmp_path: Path) -> None:
    ended = finished("audit.py", tmp_path, "--quick")
    assert ended.returncode == 0, ended.stderr
    (file,) = (tmp_path / "runs/audit").rglob("results.json")
    found = json.loads(file.read_text())
    assert any("synthetic" in warning for warning in found["warnings"])
    assert found["paper"] is None
    assert found["recipe"]["preset"] == "quick"
    assert "Nothing is compared with the paper" in ended.stdout
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.slow
@needs_real_data
def test_the_real_data_set_confirms_the_known_errata_and_finds_no_other(tmp_path: Path) -> None:
    real = audited(REAL, tmp_path, recipe=paper())
    compared = real.results["paper"]
    places = [erratum["where"] for erratum in compared["errata"]]
    assert places == [
        "Section 2",
        "Section 3, footnote 4",
        "Table 3",
        "Figure 4",
        "Table 4",
        "Table 5",
        "Table 5",
        *["Section 6.1, text"] * 4,
    ]
    assert compared["checked"] == 75
    assert compared["agree"] == 47
    swapped = [one for one in compared["numbers"] if "swapped" in one["why"]]
    assert {one["where"] for one in swapped} == {"Table 3", "Table 4", "Table 5"}
    assert len(swapped) == 2 + 10 + 6
    copy = [one["what"] for one in compared["numbers"] if one["status"] == "depends on the copy"]
    assert copy == ["highest sample rate (Hz)", "Litt3200, windows blank at the top"]
    devices = real.results["blank_rows"]["devices"]
    assert devices["Litt3200"]["top_row"] == pytest.approx(0.928, abs=0.002)
    assert all(devices[name]["top_row"] < 0.3 for name in devices if name != "Litt3200")
