import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from respire.data.corpora.icbhi import read_catalogue
from respire.data.corpora.icbhi_format import LOCATIONS
from respire.data.corpora.synthetic import write_corpus
from respire.data.corpora.synthetic_sounds import MICROPHONES
from respire.errors import InputError

NAME = re.compile(rf"\d{{3}}_\d+b\d_({'|'.join(LOCATIONS)})_(sc|mc)_({'|'.join(MICROPHONES)})")
SMALL = {"patients": 8, "recordings_per_patient": 1.0, "cycles_per_recording": 2.0}


def files(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(directory.iterdir())}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All 80 patients, with as few cycles as show the skew."""
    directory = tmp_path_factory.mktemp("full") / "corpus"
    return write_corpus(directory, cycles_per_recording=3.0)


@pytest.fixture(scope="module")
def cycles(full: Path) -> pd.DataFrame:
    return read_catalogue(str(full)).cycles


def test_one_seed_writes_one_corpus(tmp_path: Path) -> None:
    first = write_corpus(tmp_path / "a", **SMALL, seed=3)
    second = write_corpus(tmp_path / "b", **SMALL, seed=3)
    other = write_corpus(tmp_path / "c", **SMALL, seed=4)
    assert files(first) == files(second)
    assert files(first) != files(other)


def test_a_corpus_that_is_there_is_kept(tmp_path: Path) -> None:
    directory = write_corpus(tmp_path / "a", **SMALL)
    written = {file: file.stat().st_mtime_ns for file in directory.iterdir()}
    write_corpus(tmp_path / "a", **SMALL)
    assert {file: file.stat().st_mtime_ns for file in directory.iterdir()} == written


def test_another_corpus_is_not_overwritten(tmp_path: Path) -> None:
    write_corpus(tmp_path / "a", **SMALL)
    with pytest.raises(InputError, match="other than the synthetic corpus"):
        write_corpus(tmp_path / "a", **SMALL, seed=1)


def test_an_interrupted_corpus_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sf, "write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_corpus(tmp_path / "a", **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_too_few_patients_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="8 or more"):
        write_corpus(tmp_path / "a", patients=7)


def test_names_annotations_and_rates_are_icbhis(full: Path) -> None:
    recordings = sorted(full.glob("*.wav"))
    assert recordings
    for recording in recordings:
        name = NAME.fullmatch(recording.stem)
        assert name
        info = sf.info(recording)
        assert (info.samplerate, info.subtype) == (MICROPHONES[name[3]].rate_hz, "PCM_16")
        rows = np.loadtxt(recording.with_suffix(".txt"), delimiter="\t", ndmin=2)
        assert (rows[:, 0] < rows[:, 1]).all()
        assert (rows[1:, 0] == rows[:-1, 1]).all()
        assert rows[-1, 1] < info.duration
        assert set(rows[:, 2:].ravel()) <= {0, 1}
    assert json.loads((full / "corpus.json").read_text())["patients"] == 80


def test_the_split_lists_every_recording_and_shares_no_patient(full: Path) -> None:
    lines = (full / "ICBHI_challenge_train_test.txt").read_text().splitlines()
    split = pd.DataFrame([line.split("\t") for line in lines], columns=["recording", "side"])
    assert sorted(split["recording"]) == sorted(file.stem for file in full.glob("*.wav"))
    split["patient"] = split["recording"].str.split("_").str[0]
    assert (split.groupby("patient")["side"].nunique() == 1).all()
    train = split.loc[split["side"] == "train", "patient"].nunique()
    assert train / 80 == pytest.approx(0.6, abs=0.03)


def test_devices_are_skewed_as_in_icbhi(cycles: pd.DataFrame) -> None:
    patients = cycles.groupby("device")["patient"].nunique()
    recordings = cycles.groupby("device")["recording"].nunique()
    assert patients.min() >= 6
    assert patients.idxmax() == "Meditron"
    assert list(recordings.sort_values(ascending=False).index) == list(MICROPHONES)
    assert recordings["AKGC417L"] / recordings.sum() == pytest.approx(646 / 920, abs=0.05)
    crackles = cycles["label"].isin([1, 3]).groupby(cycles["device"]).mean()
    assert crackles["AKGC417L"] > crackles["Meditron"]


def test_every_class_has_patients_and_most_patients_have_normal_cycles(
    cycles: pd.DataFrame,
) -> None:
    patients = cycles.groupby("label")["patient"].nunique()
    assert (patients.reindex(range(4), fill_value=0) >= 8).all()
    assert patients[0] >= 0.8 * cycles["patient"].nunique()


def test_cycles_last_as_long_as_icbhis(cycles: pd.DataFrame) -> None:
    seconds = cycles["end_s"] - cycles["start_s"]
    assert seconds.between(0.199, 16.001).all()
    assert seconds.mean() == pytest.approx(2.7, abs=0.4)
    assert seconds.median() < seconds.mean()
