from pathlib import Path
from urllib.parse import quote

import pandas as pd
import pytest
from hospital import DEVICES, LOCATIONS, TABLE, write_hospital

from respire.data.audio import read_channels
from respire.data.catalogue import names_of
from respire.data.corpora import icbhi
from respire.data.corpora.corpus import Corpus, import_manifest, open_corpus
from respire.data.manifest import read_manifest, write_manifest
from respire.data.prepare import ERROR, by_recording, prepare_block
from respire.data.splits.split import Cut
from respire.errors import InputError
from respire.recipe.fields import Preprocess
from respire.statistics.intervals import no_interval

REAL = Path(__file__).resolve().parents[3] / "shared/data/icbhi"


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hospital(tmp_path_factory.mktemp("data") / "clinic")


def manifest_of(hospital: Path, tmp_path: Path, **columns: object) -> str:
    """The hospital's manifest with columns changed."""
    rows, _ = import_manifest("csv", str(hospital))
    where = str(tmp_path / "all.csv")
    write_manifest(rows.assign(**columns), where)
    return where


def refusal(where: str) -> str:
    with pytest.raises(InputError) as refused:
        open_corpus(where)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_folder_with_a_table_of_cycles_is_a_catalogue_with_names_of_its_own(
    hospital: Path,
) -> None:
    found = open_corpus(str(hospital))
    assert set(found.cycles["device"]) == set(DEVICES)
    assert set(found.cycles["location"]) == set(LOCATIONS)
    assert found.cycles["recording"].iloc[0] == "clinic:A/visit0"
    assert found.cycles["patient"].iloc[0] == "clinic:A"
    assert found.cycles["label"].iloc[:6].tolist() == [0, 1, 2, 3, 0, 1]
    assert found.patients.loc["clinic:A"].to_dict() == {"age": 20, "sex": "F"}


@pytest.mark.parametrize("name", ["m.csv", "m.parquet"])
def test_a_manifest_gives_the_catalogue_of_the_folder_it_was_made_from(
    hospital: Path, tmp_path: Path, name: str
) -> None:
    rows, _ = import_manifest("csv", str(hospital))
    write_manifest(rows, str(tmp_path / name))
    direct, again = open_corpus(str(hospital)), open_corpus(str(tmp_path / name))
    pd.testing.assert_frame_equal(again.cycles, direct.cycles)
    pd.testing.assert_frame_equal(again.patients, direct.patients)
    assert again.fingerprint == direct.fingerprint


@pytest.mark.parametrize("stem", ["a b", "50%", "a%20b", "#1?x", "~x", "müller"])
def test_a_recordings_name_is_kept_by_a_manifest_on_disk_and_at_a_uri(
    tmp_path: Path, stem: str
) -> None:
    hospital = write_hospital(tmp_path / "clinic", patients=1, cycles=4)
    table = pd.read_csv(hospital / TABLE)
    (hospital / table["file"][0]).rename(hospital / f"{stem}.wav")
    table = table[table["file"] == table["file"][0]].assign(file=f"{stem}.wav")
    table.to_csv(hospital / TABLE, index=False)
    for folder in (str(hospital), hospital.as_uri()):
        direct = open_corpus(folder).cycles
        assert direct["recording"].unique().tolist() == [f"clinic:{stem}"]
        rows, _ = import_manifest("csv", folder)
        write_manifest(rows, f"{folder}/m.parquet")
        again = open_corpus(f"{folder}/m.parquet").cycles
        pd.testing.assert_frame_equal(again, direct)
        assert len(read_channels(again["audio"].iloc[0])[0])
        (hospital / "m.parquet").unlink()


def test_icbhis_manifest_gives_icbhis_catalogue(corpus: Path, tmp_path: Path) -> None:
    rows, _ = import_manifest("icbhi", str(corpus))
    write_manifest(rows, str(tmp_path / "m.csv"))
    direct, again = open_corpus(str(corpus)), open_corpus(str(tmp_path / "m.csv"))
    pd.testing.assert_frame_equal(again.cycles, direct.cycles)
    assert again.fingerprint == direct.fingerprint
    assert dict(again.official) == dict(direct.official)


@pytest.mark.skipif(not REAL.exists(), reason=f"no recordings at {REAL}")
def test_the_real_manifest_gives_the_real_catalogue(tmp_path: Path) -> None:
    rows, _ = import_manifest("icbhi", str(REAL))
    write_manifest(rows, str(tmp_path / "m.parquet"))
    cycles = open_corpus(str(tmp_path / "m.parquet")).cycles
    assert len(cycles) == 6898
    pd.testing.assert_frame_equal(cycles, icbhi.read_catalogue(str(REAL)).cycles)


def test_patients_by_letters_are_split_and_prepared(hospital: Path) -> None:
    found = open_corpus(str(hospital))
    split = Cut().on(found.cycles)
    assert not {split.patients[name] for name in split.test} & {
        split.patients[name] for name in split.train
    }
    rows = prepare_block(by_recording(found.cycles).slice(0, 2), Preprocess(), spectral=False)
    assert rows.column(ERROR.name).null_count == 2
    assert rows.column("patient").to_pylist() == ["clinic:A", "clinic:A"]
    units = Cut("by-cycle").units(found.cycles)
    assert units["recording"].is_unique
    assert len(units) == len(found.cycles)


def test_only_five_columns_are_needed(hospital: Path, tmp_path: Path) -> None:
    where = tmp_path / "few.csv"
    file = hospital / "A" / "visit0.wav"
    where.write_text(f"recording,group,start_s,end_s,label\n{file},A,0,1,normal\n")
    (cycle,) = open_corpus(str(where)).cycles.to_dict("records")
    assert (cycle["recording"], cycle["patient"]) == ("few:visit0", "few:A")
    assert (cycle["device"], cycle["location"]) == ("unknown", "unknown")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("A,0,1,loud", "label 'loud' is none of"),
        ("A,zero,1,normal", "start_s 'zero' is no number"),
        ("A,1,1,normal", "end_s 1.0 is not after start_s"),
        ("A,1,1.0001,normal", "end_s 1.0001 is not a sample"),
        ("A,-1,1,normal", "start_s -1.0 is negative"),
        (",2,3,normal", "group '' is missing"),
        ("B,2,3,normal", "group 'B' is another than in the recording's first row"),
        ("A,0.5,2,normal", "start_s 0.5 is before the end"),
        ("A,2,99,normal", "end_s 99 is beyond the recording's 6 s"),
    ],
)
def test_a_wrong_row_is_named(hospital: Path, tmp_path: Path, row: str, says: str) -> None:
    where = tmp_path / "few.csv"
    file = hospital / "A" / "visit0.wav"
    head = "recording,group,start_s,end_s,label"
    where.write_text(f"{head}\n{file},A,0,1,normal\n{file},{row}\n")
    assert f"{where}, row 3: {says}" in refusal(str(where))


def test_a_column_that_is_missing_or_unknown_is_named(hospital: Path, tmp_path: Path) -> None:
    where = tmp_path / "few.csv"
    where.write_text("recording,group,start_s,end_s\na.wav,A,0,1\n")
    assert "no column label" in refusal(str(where))
    where.write_text("recording,group,start_s,end_s,label\nx,a.wav,A,0,1,normal\n")
    assert "rows have more values than the first line has names" in refusal(str(where))
    where.write_text("recording,group,start_s,end_s,label,devise\na.wav,A,0,1,normal,x\n")
    assert "unknown column 'devise'" in refusal(str(where))
    table = (hospital / TABLE).read_text().replace(",0,1,0,0", ",0,1,2,0", 1)
    other = tmp_path / "other"
    other.mkdir()
    (other / TABLE).write_text(table)
    assert "crackle '2' must be 0 or 1" in refusal(str(other))


def test_a_file_with_other_content_than_the_manifest_says_is_refused(
    hospital: Path, tmp_path: Path
) -> None:
    where = manifest_of(hospital, tmp_path, sha256="0" * 64)
    assert "another SHA-256" in refusal(where)


def test_recordings_of_nobody_are_tested_on_and_never_split(hospital: Path, tmp_path: Path) -> None:
    found = open_corpus(manifest_of(hospital, tmp_path, group_kind="none", group=""))
    with pytest.raises(InputError, match="of no patient"):
        Cut().on(found.cycles)
    assert no_interval(found.cycles) == f"{len(found.cycles)} cycles of no known patient"
    rows, _ = import_manifest("csv", str(hospital))
    nobody = rows["group"] < "H"
    rows.loc[nobody, ["group", "group_kind"]] = "", "none"
    rows["official_side"] = nobody.map({True: "test", False: "train"})
    write_manifest(rows, str(tmp_path / "some.csv"))
    mixed: Corpus = open_corpus(str(tmp_path / "some.csv"))
    split = Cut("60-40").on(mixed.cycles, mixed.official)
    assert {split.patients[name] for name in split.test} == {""}


def test_groups_that_are_dates_are_named_as_such(hospital: Path, tmp_path: Path) -> None:
    found = open_corpus(manifest_of(hospital, tmp_path, group_kind="date"))
    assert any("dates of recording, not patients" in warning for warning in found.warnings)


def test_a_manifest_is_read_back_as_it_was_written(hospital: Path, tmp_path: Path) -> None:
    rows, _ = import_manifest("csv", str(hospital))
    write_manifest(rows, str(hospital / "m.csv"))
    again, _ = read_manifest(str(hospital / "m.csv"))
    (hospital / "m.csv").unlink()
    pd.testing.assert_frame_equal(again, rows)
    assert tmp_path.exists()


@pytest.mark.parametrize("outside", ["judged", "sided"])
def test_official_sides_are_found_wherever_the_recordings_lie(
    hospital: Path, tmp_path: Path, outside: str
) -> None:
    """Names hang on the folder that holds all of a corpus: of its cycles, not of those listed."""
    rows, _ = import_manifest("csv", str(hospital))
    of_a = rows["group"] == "A"
    if outside == "judged":
        rows.loc[~of_a, ["label", "label_state"]] = "", "not-annotated"
        rows["official_side"] = "train"
    else:
        rows["official_side"] = of_a.map({True: "test", False: ""})
    write_manifest(rows, str(tmp_path / "m.csv"))
    found = open_corpus(str(tmp_path / "m.csv"))
    assert set(found.official) <= set(found.cycles["recording"])
    assert len(found.official) == 2


def test_a_corpus_has_the_same_names_wherever_it_lies() -> None:
    paths = ["a/1.wav", "a/my visit.wav", "b/2.wav"]
    places = {"/b/data/{}": str, "s3://b/data/{}?region=x": quote, "file:///b/{}": quote}
    names = []
    for place, spelt in places.items():
        rows = pd.DataFrame({"recording": [place.format(spelt(path)) for path in paths]})
        names.append(names_of(rows.assign(corpus="h")).tolist())
    assert names == [["h:a/1", "h:a/my visit", "h:b/2"]] * 3
    mixed = pd.DataFrame({"recording": ["/data/1.wav", "s3://b/2.wav"], "corpus": "h"})
    assert names_of(mixed).is_unique
