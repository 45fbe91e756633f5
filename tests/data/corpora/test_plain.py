"""A folder with a CSV of cycles, as programs and people write them."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hospital import TABLE, write_hospital

from respire.command.imports import import_corpus
from respire.data.corpora.corpus import import_manifest, open_corpus
from respire.errors import InputError

HEAD = "file,patient,start,end,crackle,wheeze"


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hospital(tmp_path_factory.mktemp("data") / "clinic", patients=3, cycles=3)


@pytest.fixture
def clinic(hospital: Path, tmp_path: Path) -> Path:
    """A copy of the folder, to be spoilt."""
    return Path(shutil.copytree(hospital, tmp_path / "clinic"))


def rewrite(clinic: Path, change: Callable[[str], str]) -> None:
    table = clinic / TABLE
    table.write_text(change(table.read_text()))


def refused(clinic: Path) -> str:
    """What ``--data`` and ``respire import csv`` say of the folder, the same of both."""
    with pytest.raises(InputError) as opened:
        open_corpus(str(clinic))
    with pytest.raises(InputError) as imported:
        import_manifest("csv", str(clinic))
    assert str(imported.value) in str(opened.value)
    assert "\n" not in str(opened.value)
    return str(imported.value)


WRITTEN = {
    "spaces after commas": lambda text: text.replace(",", ", "),
    "quotes around all": lambda text: "".join(
        ",".join(f'"{value}"' for value in line.split(",")) + "\n" for line in text.splitlines()
    ),
    "Windows": lambda text: "\ufeff" + text.replace("\n", "\r\n"),
    "lines that hold nothing": lambda text: text.replace("\n", "\n\n") + ",,,,,,,,,\n \n",
}


@pytest.mark.parametrize("how", WRITTEN)
def test_however_a_program_writes_it_it_is_the_same_table(
    hospital: Path, clinic: Path, how: str
) -> None:
    rewrite(clinic, WRITTEN[how])
    direct, again = open_corpus(str(hospital)), open_corpus(str(clinic))
    assert again.fingerprint == direct.fingerprint
    assert again.patients.equals(direct.patients)


UNREAD = {
    "semicolons": (lambda text: text.replace(",", ";"), "is separated by semicolons; save it with"),
    "tabs": (lambda text: text.replace(",", "\t"), "is separated by tabs; save it with commas"),
    "capitals": (lambda text: text.replace("file", "File", 1), "no column file among File, pat"),
    "a column less": (lambda text: text.replace("wheeze", "whistle", 1), "no column wheeze among"),
    "two of a name": (
        lambda text: text.replace("sex", " end", 1),
        "two columns have the same name",
    ),
    "the manifest's too": (lambda text: text.replace("sex", "group", 1), "column group beside"),
    "labels too": (lambda text: text.replace("sex", "label", 1), "column label beside"),
    "nobody's": (
        lambda text: text.replace("sex", "gender", 1),
        "unknown column 'gender' (known: file, patient, start, end, crackle, wheeze, corpus",
    ),
}


@pytest.mark.parametrize("how", UNREAD)
def test_what_keeps_a_csv_from_being_the_table_is_told(clinic: Path, how: str) -> None:
    change, said = UNREAD[how]
    rewrite(clinic, change)
    line = refused(clinic)
    assert line.startswith(f"{clinic / TABLE}: ")
    assert said in line


def test_a_folder_without_any_csv_and_one_that_is_not_there_say_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no CSV with columns file, patient, start"):
        import_manifest("csv", str(tmp_path))
    with pytest.raises(InputError, match="cannot be listed"):
        import_manifest("csv", str(tmp_path / "missing"))


def test_rows_are_numbered_as_an_editor_numbers_lines(clinic: Path) -> None:
    rewrite(clinic, lambda text: text.replace("\n", "\n\n\n", 1).replace(",2,3,", ",3,2,", 1))
    (line,) = (
        number
        for number, text in enumerate((clinic / TABLE).read_text().splitlines(), 1)
        if ",3,2," in text
    )
    assert f"{TABLE}, row {line}: end 2.0 is not after start; correct it" in refused(clinic)


def test_what_is_wrong_is_told_by_the_columns_that_the_table_has(clinic: Path) -> None:
    rewrite(clinic, lambda text: text.replace(",A,", ",,", 1))
    assert f"{TABLE}, row 2: patient '' is missing; give one" in refused(clinic)
    lines = [HEAD, "A/visit0.wav,A,0,1,0,0", "A/visit0.wav,A,,2,0,0"]
    (clinic / TABLE).write_text("\n".join(lines))
    assert f"{TABLE}, row 3: start nan is missing; give seconds" in refused(clinic)
    (clinic / TABLE).write_text("\n".join([HEAD, "gone.wav,A,0,1,0,0"]))
    assert "gone.wav: no such file; check the path" in refused(clinic)


def test_recordings_that_no_row_names_are_warned_of(clinic: Path) -> None:
    assert not open_corpus(str(clinic)).warnings
    for name in ("more.wav", "A/other one.WAV"):
        shutil.copy(clinic / "A" / "visit0.wav", clinic / name)
    (line,) = (line for line in open_corpus(str(clinic)).warnings if "in no row" in line)
    assert line.startswith(f"2 of 8 recordings below {clinic} are in no row of {clinic / TABLE}")
    assert line.endswith("not read: more.wav, other one.WAV")
    assert line in import_manifest("csv", str(clinic))[1]


def test_the_table_itself_is_no_manifest_and_what_it_is_is_said(clinic: Path) -> None:
    with pytest.raises(InputError, match="table of cycles, give its folder"):
        open_corpus(str(clinic / TABLE))


SPOILT = {
    "times": lambda line: line.replace(",0,1,", ",1,0,"),
    "flags": lambda line: line[:-3] + "9,0",
    "overlap": lambda line: line.replace(",0,1,", ",0,1.5,"),
    "missing": lambda line: line.replace(",0,1,", ",,1,"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_bad_row_costs_its_recording_where_that_may_be_left_out(clinic: Path, how: str) -> None:
    lines = (clinic / TABLE).read_text().splitlines()
    lines[1] = SPOILT[how](lines[1])
    (clinic / TABLE).write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=f"{TABLE}, row [23]: ") as refused:
        open_corpus(str(clinic))
    found = open_corpus(str(clinic), skip_bad=True)
    assert found.skipped == (str(refused.value),)
    assert set(found.cycles["recording"]) == {
        f"clinic:{patient}/visit{visit}" for patient in "ABC" for visit in (0, 1)
    } - {"clinic:A/visit0"}
    _, skipped = import_manifest("csv", str(clinic), skip_bad=True)
    assert skipped == found.skipped


def test_a_recording_is_left_out_whole_however_its_rows_spell_it(clinic: Path) -> None:
    rewrite(clinic, lambda text: text.replace("A/visit0.wav", " ./A/visit0.wav", 1))
    rewrite(clinic, lambda text: text.replace(",1,2,", ",1,9x,", 1))
    found = open_corpus(str(clinic), skip_bad=True)
    assert len(found.skipped) == 1
    assert "clinic:A/visit0" not in set(found.cycles["recording"])


def test_one_line_says_why_each_recording_was_left_out(clinic: Path) -> None:
    rewrite(clinic, lambda text: text.replace(",0,1,", ",1,0,", 2))
    (clinic / "C" / "visit0.wav").write_text("no sound")
    skipped = open_corpus(str(clinic), skip_bad=True).skipped
    assert ["not after start;" in line for line in skipped] == [True, True, False]
    assert "visit0.wav" in skipped[2]
    rewrite(clinic, lambda text: text.replace(",0,1,", ",1,0,"))
    with pytest.raises(InputError, match="not after start;"):  # nothing would be left
        open_corpus(str(clinic), skip_bad=True)


def test_copies_are_warned_of_the_more_if_they_are_of_other_patients(clinic: Path) -> None:
    assert not any("copies" in warning for warning in open_corpus(str(clinic)).warnings)
    shutil.copy(clinic / "A/visit0.wav", clinic / "A/visit1.wav")
    (own,) = (said for said in open_corpus(str(clinic)).warnings if "copies" in said)
    assert own == "1 recordings are copies of others, such as clinic:A/visit1 of clinic:A/visit0"
    shutil.copy(clinic / "A/visit0.wav", clinic / "B/visit0.wav")
    (others,) = (said for said in open_corpus(str(clinic)).warnings if "copies" in said)
    assert others.startswith("2 recordings are copies of others, such as clinic:B/visit0 of clinic")
    assert others.endswith("1 of them another patient's: what is tested may have been trained on")


def test_two_files_of_one_name_are_refused_when_they_are_imported(clinic: Path) -> None:
    shutil.copy(clinic / "A/visit0.wav", clinic / "A/visit0.flac")
    rewrite(clinic, lambda text: text + "A/visit0.flac" + text.splitlines()[1][12:] + "\n")
    assert "the same recording twice; keep one" in refused(clinic)


def test_a_path_written_in_two_ways_is_one_recording(clinic: Path) -> None:
    rewrite(clinic, lambda text: text.replace("A/visit0.wav", "./B/../A/visit0.wav", 1))
    assert open_corpus(str(clinic)).cycles["recording"].nunique() == 6


def test_a_file_whose_name_is_no_text_does_not_hide_the_table(clinic: Path) -> None:
    strange = os.fsdecode(os.fsencode(clinic) + b"/m\xfcller.wav")
    shutil.copy(clinic / "A/visit0.wav", strange)
    assert len(open_corpus(str(clinic)).cycles) == 18


def test_the_table_that_is_imported_is_not_written_over(
    clinic: Path, refusal: Callable[..., str]
) -> None:
    before = (clinic / TABLE).read_text()
    line = refusal(import_corpus, "csv", str(clinic), "--out", str(clinic / TABLE))
    assert "is read; choose another name" in line
    assert (clinic / TABLE).read_text() == before
