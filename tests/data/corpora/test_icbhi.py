import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from respire.data.catalogue import contents, fingerprint
from respire.data.corpora import icbhi
from respire.data.corpora.icbhi_format import DEVICES
from respire.errors import InputError

REAL = Path(__file__).resolve().parents[4] / "shared/data/icbhi"
ORIGINAL = REAL.with_name("icbhi_original")
needs_real_data = pytest.mark.skipif(not REAL.exists(), reason=f"no recordings at {REAL}")

NAME = "101_1b1_Al_sc_Meditron"
ROWS = "0.0\t0.5\t0\t0\n0.5\t1.0\t1\t0\n1.1\t1.5\t0\t1\n1.5\t2.0\t1\t1\n"


def record(
    folder: Path,
    name: str = NAME,
    rows: str | None = ROWS,
    suffix: str = ".wav",
    seconds: float = 2.0,
    rate: int = 4000,
) -> Path:
    """A silent recording and its annotation; the audio's path."""
    folder.mkdir(parents=True, exist_ok=True)
    audio = folder / f"{name}{suffix}"
    sf.write(
        audio,
        np.zeros(round(seconds * rate)),
        rate,
        format=suffix[1:].upper(),
        subtype="PCM_16",
    )
    if rows is not None:
        audio.with_suffix(".txt").write_text(rows)
    return audio


def refusal(folder: Path) -> str:
    """The message of the refused catalogue: one line, and the same with the recording skipped."""
    with pytest.raises(InputError) as refused:
        icbhi.read_catalogue(str(folder))
    assert "\n" not in str(refused.value)
    good = record(folder / "good", "199_1b1_Tc_mc_Litt3200")
    catalogue = icbhi.read_catalogue(str(folder), skip_bad=True)
    assert catalogue.skipped == (str(refused.value),)
    assert set(catalogue.cycles["audio"]) == {str(good)}
    return str(refused.value)


def test_every_part_of_a_recording_reaches_the_catalogue(tmp_path: Path) -> None:
    audio = record(tmp_path)
    cycles = icbhi.read_catalogue(str(tmp_path)).cycles
    expected = pd.DataFrame(
        {
            "recording": [NAME] * 4,
            "patient": [101] * 4,
            "session": ["1b1"] * 4,
            "location": ["Al"] * 4,
            "mode": ["sc"] * 4,
            "device": ["Meditron"] * 4,
            "cycle": [0, 1, 2, 3],
            "start_s": [0.0, 0.5, 1.1, 1.5],
            "end_s": [0.5, 1.0, 1.5, 2.0],
            "label": [0, 1, 2, 3],
            "audio": [str(audio)] * 4,
        }
    )
    pd.testing.assert_frame_equal(cycles, expected)


def test_recordings_are_found_in_any_folder_and_sorted(tmp_path: Path) -> None:
    record(tmp_path / "z", "101_1b1_Al_sc_Meditron")
    record(tmp_path / "a/b", "226_1b1_Ll_mc_LittC2SE", suffix=".FLAC")
    record(tmp_path, "102_1b1_Ar_sc_AKGC417L", suffix=".WAV")
    cycles = icbhi.read_catalogue(str(tmp_path)).cycles
    assert list(cycles["patient"].unique()) == [101, 102, 226]
    assert cycles.index.equals(pd.RangeIndex(12))


def test_a_uri_gives_the_same_catalogue_as_a_path(tmp_path: Path) -> None:
    record(tmp_path / "below")
    by_path = icbhi.read_catalogue(str(tmp_path)).cycles
    by_uri = icbhi.read_catalogue(tmp_path.as_uri()).cycles
    assert by_uri["audio"][0] == tmp_path.as_uri() + f"/below/{NAME}.wav"
    pd.testing.assert_frame_equal(by_path.drop(columns="audio"), by_uri.drop(columns="audio"))
    assert fingerprint_of(by_path) == fingerprint_of(by_uri)


def test_text_files_that_are_no_annotations_are_left_alone(tmp_path: Path) -> None:
    record(tmp_path)
    for name in (
        "ICBHI_challenge_train_test.txt",
        "demographic_info.txt",
        "filename_format.txt",
        "filename_differences.txt",
        "patient_diagnosis.txt",
        "patient_diagnosis.csv",
        "._101_1b1_Al_sc_Meditron.txt",
    ):
        (tmp_path / name).write_text("whatever it says")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/notes_on_the_data_set.txt").write_text("five parts, but no audio here")
    assert len(icbhi.read_catalogue(str(tmp_path)).cycles) == 4


def test_a_missing_directory_is_refused_even_with_skip_bad(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.*--data"):
        icbhi.read_catalogue(str(tmp_path / "nowhere"), skip_bad=True)


def test_an_empty_directory_is_refused_even_with_skip_bad(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no recording.*--data"):
        icbhi.read_catalogue(str(tmp_path), skip_bad=True)


def test_a_directory_of_bad_recordings_alone_is_refused_even_with_skip_bad(tmp_path: Path) -> None:
    record(tmp_path, rows="")
    with pytest.raises(InputError, match=r"every recording is bad.*no cycles"):
        icbhi.read_catalogue(str(tmp_path), skip_bad=True)


def test_audio_without_annotation_is_refused(tmp_path: Path) -> None:
    record(tmp_path, rows=None)
    assert f"{NAME}.wav: no annotation" in refusal(tmp_path)


def test_an_annotation_in_another_folder_than_its_audio_is_refused(tmp_path: Path) -> None:
    audio = record(tmp_path)
    (tmp_path / "texts").mkdir()
    audio.with_suffix(".txt").rename(tmp_path / "texts" / f"{NAME}.txt")
    assert f"{NAME}.wav: no annotation beside it" in refusal(tmp_path)


@pytest.mark.parametrize("name", [NAME, "1O1_1b1_Al_sc_Meditron"])
def test_an_annotation_without_audio_is_refused(tmp_path: Path, name: str) -> None:
    record(tmp_path, "199_1b1_Tc_mc_Litt3200")
    (tmp_path / f"{name}.txt").write_text(ROWS)
    with pytest.raises(InputError, match=f"{name}.txt: annotation without audio"):
        icbhi.read_catalogue(str(tmp_path))


@pytest.mark.parametrize(("folder", "suffix"), [("again", ".wav"), (".", ".flac")])
def test_the_same_recording_twice_is_refused(tmp_path: Path, folder: str, suffix: str) -> None:
    record(tmp_path)
    record(tmp_path / folder, suffix=suffix)
    message = refusal(tmp_path)
    assert "the same recording twice" in message
    assert str(tmp_path / folder / f"{NAME}{suffix}") in message


def test_a_bad_name_row_or_length_is_refused_with_the_file_that_has_it(tmp_path: Path) -> None:
    record(tmp_path / "name", "101_1b1_Xx_sc_Meditron")
    assert "name/101_1b1_Xx_sc_Meditron.wav: unknown location" in refusal(tmp_path / "name")
    record(tmp_path / "row", rows=f"{ROWS}2.0 1.0 0 0\n")
    assert f"row/{NAME}.txt, row 5: " in refusal(tmp_path / "row")
    record(tmp_path / "length", seconds=1.9)
    assert f"length/{NAME}.txt, row 4: " in refusal(tmp_path / "length")


def test_torn_audio_is_refused(tmp_path: Path) -> None:
    audio = record(tmp_path)
    audio.write_bytes(audio.read_bytes()[:-2])
    assert f"{NAME}.wav: torn, 2 bytes" in refusal(tmp_path)


def test_an_annotation_that_is_no_text_is_refused(tmp_path: Path) -> None:
    record(tmp_path).with_suffix(".txt").write_bytes(b"\xff\xfe\x00")
    assert f"{NAME}.txt: cannot be read as text" in refusal(tmp_path)


def fingerprint_of(cycles: pd.DataFrame) -> str:
    return fingerprint(cycles, contents(cycles))


def test_the_fingerprint_changes_with_audio_and_annotations_but_not_with_place_or_order(
    tmp_path: Path,
) -> None:
    record(tmp_path / "a", NAME)
    record(tmp_path / "a", "102_1b1_Ar_sc_AKGC417L", rows="0 1 0 0\n")
    shutil.copytree(tmp_path / "a", tmp_path / "b/elsewhere")
    cycles = icbhi.read_catalogue(str(tmp_path / "a")).cycles
    original = fingerprint_of(cycles)
    assert fingerprint_of(icbhi.read_catalogue(str(tmp_path / "b")).cycles) == original
    assert fingerprint_of(cycles.sample(frac=1, random_state=0)) == original
    assert fingerprint_of(cycles.assign(label=cycles["label"] ^ 1)) != original
    assert fingerprint_of(cycles.assign(end_s=cycles["end_s"] + 1e-9)) != original
    sf.write(cycles["audio"].iloc[-1], np.full(8000, 0.1), 4000)
    assert fingerprint_of(cycles) != original


def split_list(folder: Path, text: str) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / icbhi.SPLIT_LIST).write_text(text)
    return icbhi.official_split(str(folder))


def test_the_official_list_is_found_below_and_its_misnamed_recording_put_right(
    tmp_path: Path,
) -> None:
    split_list(tmp_path / "below", f"{NAME}\ttest\r\n226_1b1_Pl_sc_Meditron\ttrain\r\n")
    assert icbhi.official_split(str(tmp_path)) == {
        NAME: "test",
        "226_1b1_Pl_sc_LittC2SE": "train",
    }


def test_a_missing_official_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ICBHI_challenge_train_test.txt.*--split 80-20"):
        icbhi.official_split(str(tmp_path))


def test_two_different_official_lists_are_refused(tmp_path: Path) -> None:
    split_list(tmp_path / "a", f"{NAME} test")
    split_list(tmp_path / "b", f"{NAME} train")
    with pytest.raises(InputError, match="two different official splits"):
        icbhi.official_split(str(tmp_path))


@pytest.mark.parametrize("suffix", [".wav", ".WAV", ".flac"])
def test_a_list_of_files_is_a_list_of_recordings(tmp_path: Path, suffix: str) -> None:
    assert split_list(tmp_path, f"{NAME}{suffix} test\n") == {NAME: "test"}


@pytest.mark.parametrize("ends", ["\r\n", "\r", "\n\n"])
def test_two_copies_of_the_list_may_differ_in_line_ends(tmp_path: Path, ends: str) -> None:
    rows = [f"{NAME}\ttest", "102_1b1_Ar_sc_Meditron\ttrain"]
    for folder, end in (("a", "\n"), ("b", ends)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / icbhi.SPLIT_LIST).write_bytes(end.join([*rows, ""]).encode())
    sides = icbhi.official_split(str(tmp_path))
    assert sides == {NAME: "test", "102_1b1_Ar_sc_Meditron": "train"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_list_in_utf_16_is_refused_as_such(tmp_path: Path, encoding: str) -> None:
    (tmp_path / icbhi.SPLIT_LIST).write_bytes(f"{NAME}\ttest\r\n".encode(encoding))
    with pytest.raises(InputError, match=r"train_test.txt: .*UTF-16.*save it as UTF-8"):
        icbhi.official_split(str(tmp_path))


def test_a_list_in_utf_8_with_a_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / icbhi.SPLIT_LIST).write_bytes(f"{NAME}\ttest\r\n".encode("utf-8-sig"))
    assert icbhi.official_split(str(tmp_path)) == {NAME: "test"}


@pytest.mark.parametrize("row", [NAME, f"{NAME} validation", f"{NAME} test 1", "<html>"])
def test_a_malformed_row_of_the_official_list_is_refused(tmp_path: Path, row: str) -> None:
    with pytest.raises(InputError, match=r"train_test.txt, row 2: "):
        split_list(tmp_path, f"102_1b1_Ar_sc_Meditron test\n{row}\n")


def test_a_recording_listed_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"row 2: 101_1b1_Al_sc_Meditron is listed twice"):
        split_list(tmp_path, f"{NAME} test\n{NAME} train\n")


def test_an_empty_official_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is empty"):
        split_list(tmp_path, "\n")


def test_an_official_list_is_there_only_if_it_lies_below_under_its_own_name(tmp_path: Path) -> None:
    record(tmp_path / "data")
    (tmp_path / "data" / f"old_{icbhi.SPLIT_LIST}").write_text(f"{NAME} test\n")
    (tmp_path / "data" / f"._{icbhi.SPLIT_LIST}").write_text(f"{NAME} test\n")
    split_list(tmp_path / "elsewhere", f"{NAME} test\n")
    assert not icbhi.has_official_split(str(tmp_path / "data"))
    assert icbhi.has_official_split(str(tmp_path))
    assert icbhi.has_official_split((tmp_path / "elsewhere").as_uri())


def test_a_malformed_official_list_is_there_too_and_so_is_refused_where_it_is_read(
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match="row 1"):
        split_list(tmp_path, "<html>")
    assert icbhi.has_official_split(str(tmp_path))


def test_looking_for_an_official_list_in_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.*--data"):
        icbhi.has_official_split(str(tmp_path / "nowhere"))


def test_folds_are_read_whatever_the_white_space_and_the_order() -> None:
    text = "226 4\n\n101\t0\r\n  130   2  \n\n131 2"
    assert icbhi.parse_folds(text, "list.txt") == {226: 4, 101: 0, 130: 2, 131: 2}


@pytest.mark.parametrize(
    "row", ["101", "101 1 2", "101 one", "A101 1", "101 -1", "101 1.0", "101,1", "<html>", "101 ²"]
)
def test_a_malformed_row_of_the_list_of_folds_is_refused(row: str) -> None:
    with pytest.raises(InputError, match=r"^data/list.txt, row 3: expected a patient's number"):
        icbhi.parse_folds(f"100 0\n\n{row}\n", "data/list.txt")


@pytest.mark.parametrize("fold", [0, 1])
def test_a_patient_listed_twice_is_refused_even_in_the_same_fold(fold: int) -> None:
    with pytest.raises(InputError, match=r"^list.txt, row 3: 101 is listed twice"):
        icbhi.parse_folds(f"101 0\n102 0\n101 {fold}\n", "list.txt")


@pytest.mark.parametrize("text", ["", " \n\n\t\n"])
def test_an_empty_list_of_folds_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^list.txt: no patient is listed"):
        icbhi.parse_folds(text, "list.txt")


@pytest.fixture(scope="module")
def real() -> pd.DataFrame:
    """The published data set's cycles."""
    catalogue = icbhi.read_catalogue(str(REAL))
    assert catalogue.skipped == ()
    return catalogue.cycles


@needs_real_data
def test_the_real_counts_by_device_and_class_are_the_published_ones(real: pd.DataFrame) -> None:
    table = pd.crosstab(real["device"], real["label"])
    expected = {
        "AKGC417L": [1922, 1543, 500, 381],
        "Meditron": [1037, 215, 148, 56],
        "LittC2SE": [347, 77, 126, 44],
        "Litt3200": [336, 29, 112, 25],
    }
    assert table.T.to_dict("list") == expected
    by_device = real.groupby("device")[["recording", "patient"]].nunique()
    assert by_device["recording"].to_dict() == {
        "AKGC417L": 646,
        "Meditron": 127,
        "LittC2SE": 87,
        "Litt3200": 60,
    }
    assert by_device["patient"].to_dict() == {
        "AKGC417L": 32,
        "Meditron": 64,
        "LittC2SE": 23,
        "Litt3200": 11,
    }
    assert (real["recording"].nunique(), real["patient"].nunique(), len(real)) == (920, 126, 6898)


@needs_real_data
def test_four_real_patients_are_on_two_devices(real: pd.DataFrame) -> None:
    devices = real.groupby("patient")["device"].nunique()
    assert devices[devices == 2].index.tolist() == [112, 158, 218, 226]
    assert devices.max() == 2


@needs_real_data
def test_real_cycle_lengths_are_the_published_ones(real: pd.DataFrame) -> None:
    length_s = real["end_s"] - real["start_s"]
    assert length_s.min() == pytest.approx(0.20, abs=0.005)
    assert length_s.max() == pytest.approx(16.16, abs=0.005)
    assert length_s.mean() == pytest.approx(2.70, abs=0.005)
    assert length_s.median() == pytest.approx(2.54, abs=0.005)
    assert ((length_s > 6).sum(), (length_s > 7).sum()) == (119, 42)


@needs_real_data
def test_the_real_official_split_has_the_published_counts(real: pd.DataFrame) -> None:
    official = icbhi.official_split(str(REAL))
    assert set(official) == set(real["recording"])
    side = real["recording"].map(official)
    classes = pd.crosstab(side, real["label"])
    assert classes.loc["train"].tolist() == [2063, 1215, 501, 363]
    assert classes.loc["test"].tolist() == [1579, 649, 385, 143]
    counts = real.groupby(side)[["recording", "patient"]].nunique()
    assert counts.loc["train"].tolist() == [539, 79]
    assert counts.loc["test"].tolist() == [381, 49]
    both_sides = real.groupby("patient")["recording"].agg(lambda r: len(set(r.map(official)))) > 1
    assert both_sides.index[both_sides].tolist() == [156, 218]
    assert set(side[real["device"] == "LittC2SE"]) == {"train"}


@pytest.mark.skipif(not ORIGINAL.exists(), reason=f"no recordings at {ORIGINAL}")
def test_recordings_as_published_are_read_at_every_rate_and_depth() -> None:
    catalogue = icbhi.read_catalogue(str(ORIGINAL))
    assert catalogue.cycles["recording"].nunique() == len(list(ORIGINAL.glob("*.wav")))
    assert set(catalogue.cycles["device"]) == set(DEVICES)
