import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import soundfile as sf
from cycle_rows import cycles_table
from mono import read_audio

from respire.data import cycles as cycles_module
from respire.data.corpora.icbhi import read_catalogue
from respire.data.cycles import PreparedCycles, prepare_cycles
from respire.data.preprocess import preprocess, slice_cycles
from respire.data.rows import FULL_SCALE, SCHEMA, in_order, pick
from respire.data.spectral import spectral_statistics
from respire.errors import InputError
from respire.recipe.fields import Preprocess
from respire.runtime.storage import Storage

RECIPE = Preprocess()

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture(scope="module")
def catalogue(corpus: Path) -> pd.DataFrame:
    return read_catalogue(str(corpus)).cycles


@pytest.fixture(scope="module")
def few(catalogue: pd.DataFrame) -> pd.DataFrame:
    return catalogue[catalogue["recording"].isin(catalogue["recording"].unique()[:4])]


@pytest.fixture(scope="module")
def prepared(catalogue: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> PreparedCycles:
    storage = Storage.at(tmp_path_factory.mktemp("storage"))
    return prepare_cycles(catalogue, RECIPE, "corpus", storage)


def with_torn(few: pd.DataFrame, folder: Path) -> tuple[pd.DataFrame, str]:
    """The catalogue with its second recording's audio torn, and that recording's name."""
    recording = few["recording"].unique()[1]
    of_it = few["recording"] == recording
    torn = folder / f"{recording}.wav"
    content = Path(few.loc[of_it, "audio"].iloc[0]).read_bytes()
    torn.write_bytes(content[: len(content) // 2])
    return few.assign(audio=few["audio"].mask(of_it, str(torn))), recording


def left_in(storage: Storage) -> list[Path]:
    return [path for path in Path(storage.uri).rglob("*") if path.is_file()]


def test_every_recording_and_cycle_is_there_once(
    prepared: PreparedCycles, catalogue: pd.DataFrame
) -> None:
    table = prepared.read(catalogue["recording"].unique())
    assert table.schema.equals(SCHEMA)
    assert table.column("recording").to_pylist() == sorted(catalogue["recording"].unique())
    columns = ["cycle", "start_s", "end_s", "label"]
    rows = table.select(["recording", *columns]).to_pandas().explode(columns, ignore_index=True)
    pd.testing.assert_frame_equal(
        rows, catalogue[["recording", *columns]].reset_index(drop=True), check_dtype=False
    )


def test_rows_equal_what_one_recording_gives_without_ray(
    prepared: PreparedCycles, catalogue: pd.DataFrame
) -> None:
    for recording, cycles in list(catalogue.groupby("recording"))[::10]:
        waveform = preprocess(*read_audio(cycles["audio"].iloc[0]), RECIPE)
        audio, samples = slice_cycles(
            waveform, cycles["start_s"].tolist(), cycles["end_s"].tolist(), 4000
        )
        (row,) = prepared.read([str(recording)]).to_pylist()
        np.testing.assert_array_equal(row["audio"], audio)
        assert row["samples"] == samples.tolist()
        cuts = np.split(audio / FULL_SCALE, samples.cumsum()[:-1])
        np.testing.assert_array_equal(
            row["spectral"], [spectral_statistics(cut, 4000) for cut in cuts]
        )
        assert row["patient"] == cycles["patient"].iloc[0]
        assert row["device"] == cycles["device"].iloc[0]


def test_a_dataset_holds_the_recordings_asked_for(
    prepared: PreparedCycles, catalogue: pd.DataFrame
) -> None:
    wanted = list(catalogue["recording"].unique()[5:9])
    rows = prepared.dataset(wanted).take_all()
    assert [row["recording"] for row in rows] == wanted
    assert all(len(row["audio"]) == sum(row["samples"]) for row in rows)
    assert all("spectral" not in row for row in rows)


def test_a_recording_that_is_not_there_is_named(prepared: PreparedCycles) -> None:
    with pytest.raises(KeyError, match="999_1b1_Al_sc_Meditron"):
        prepared.read(["999_1b1_Al_sc_Meditron"])


def test_nobody_is_an_empty_table_of_the_same_columns(prepared: PreparedCycles) -> None:
    nobody = prepared.read([])
    assert len(nobody) == 0
    assert nobody.schema == SCHEMA


def test_prepared_cycles_are_not_computed_again(
    prepared: PreparedCycles, catalogue: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(cycles_module, "_write")
    storage = Storage(prepared.storage.uri.split("/cycles/")[0])
    assert prepare_cycles(catalogue, RECIPE, "corpus", storage) == prepared


def test_a_silent_recording_is_prepared_and_named_then_and_later(
    few: pd.DataFrame, tmp_path: Path
) -> None:
    recording = few["recording"].iloc[0]
    silent = tmp_path / f"{recording}.wav"
    sf.write(silent, np.zeros(4000 * 120), 4000)
    cycles = few.assign(audio=few["audio"].mask(few["recording"] == recording, str(silent)))
    storage = Storage.at(tmp_path / "storage")
    prepared = prepare_cycles(cycles, RECIPE, "one silent", storage)
    assert prepared.warnings == (f"recordings without sound: {recording} (silent)",)
    assert recording in prepared.recordings()
    assert prepare_cycles(cycles, RECIPE, "one silent", storage) == prepared


def test_the_key_follows_everything_that_changes_a_sample(few: pd.DataFrame) -> None:
    key = cycles_module.key_of
    moved = few.assign(audio="elsewhere/" + few["audio"])
    assert key(few, RECIPE, "a") == key(moved, RECIPE, "a")
    others = [
        key(few, RECIPE, "a"),
        key(few, RECIPE, "b"),
        key(few, Preprocess(band_low_hz=80), "a"),
        key(few.assign(end_s=few["end_s"] + 0.1), RECIPE, "a"),
        key(few.iloc[:-1], RECIPE, "a"),
    ]
    assert len(set(others)) == len(others)


def test_a_torn_recording_is_one_line_and_leaves_nothing(few: pd.DataFrame, tmp_path: Path) -> None:
    storage = Storage.at(tmp_path / "storage")
    torn, recording = with_torn(few, tmp_path)
    with pytest.raises(InputError, match=f"{recording}.wav: torn") as refused:
        prepare_cycles(torn, RECIPE, "x", storage)
    assert "\n" not in str(refused.value)
    assert left_in(storage) == []


def test_a_cycle_beyond_the_end_names_file_and_row(few: pd.DataFrame, tmp_path: Path) -> None:
    late = few.copy()
    late.loc[late.index[-1], "end_s"] += 60
    with pytest.raises(InputError, match=rf"wav: annotation row {late['cycle'].iloc[-1] + 1}: "):
        prepare_cycles(late, RECIPE, "x", Storage.at(tmp_path))


def test_skip_bad_leaves_the_torn_recording_out(few: pd.DataFrame, tmp_path: Path) -> None:
    storage = Storage.at(tmp_path / "storage")
    torn, recording = with_torn(few, tmp_path)
    prepared = prepare_cycles(torn, RECIPE, "x", storage, skip_bad=True)
    (message,) = prepared.skipped
    assert recording in message
    good = [name for name in few["recording"].unique() if name != recording]
    assert len(prepared.read(good)) == 3
    with pytest.raises(KeyError, match=recording):
        prepared.read([recording])
    assert prepare_cycles(torn, RECIPE, "x", storage, skip_bad=True) == prepared
    with pytest.raises(InputError, match="torn"):
        prepare_cycles(torn, RECIPE, "x", storage)


def test_a_killed_attempt_is_not_taken_for_whole(few: pd.DataFrame, tmp_path: Path) -> None:
    storage = Storage.at(tmp_path)
    home = tmp_path / "cycles" / cycles_module.key_of(few, RECIPE, "x")
    long_ago = time.time() - 2 * 3600
    for attempt, touched in (("killed", long_ago), ("running", time.time())):
        (home / attempt).mkdir(parents=True)
        (home / attempt / "half.parquet").write_bytes(b"PAR1")
        for path in (home / attempt / "half.parquet", home / attempt):
            os.utime(path, (touched, touched))
    prepared = prepare_cycles(few, RECIPE, "x", storage)
    assert len(prepared.read(few["recording"].unique())) == 4
    assert not (home / "killed").exists()
    assert (home / "running").exists()


def test_of_two_runs_at_once_both_get_whole_cycles(
    few: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, write = Storage.at(tmp_path), cycles_module._write
    faster: list[PreparedCycles] = []

    def overtaken(*arguments: Any) -> None:
        monkeypatch.setattr(cycles_module, "_write", write)
        faster.append(prepare_cycles(few, RECIPE, "x", storage))
        write(*arguments)

    monkeypatch.setattr(cycles_module, "_write", overtaken)
    slower = prepare_cycles(few, RECIPE, "x", storage)
    assert [slower] == faster
    assert len(slower.read(few["recording"].unique())) == 4
    attempts = [path for path in (tmp_path / "cycles" / slower.key).iterdir() if path.is_dir()]
    assert [str(attempt) for attempt in attempts] == [slower.storage.uri]


def test_unwritable_storage_is_refused(few: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match="cannot be written"):
        prepare_cycles(few, RECIPE, "x", Storage.at(tmp_path / "file"))


POOL = pa.proxy_memory_pool(pa.system_memory_pool())
"""Counts what Arrow allocates, and must outlive it."""


def test_rows_are_picked_in_any_order_and_copied_once() -> None:
    table = cycles_table([[100_000, 5], [7], [200_000], [90_000, 80_000]])
    scattered = pa.concat_tables([table.slice(2), table.slice(0, 2)])
    rows = scattered.to_pylist()
    before = pa.default_memory_pool()
    pa.set_memory_pool(POOL)
    try:
        picked = pick(scattered, np.array([3, 0, 1]))
    finally:
        pa.set_memory_pool(before)
    assert picked.to_pylist() == [rows[3], rows[0], rows[1]]
    assert POOL.max_memory() < 1.1 * picked.nbytes
    assert pick(scattered, []).equals(SCHEMA.empty_table())
    assert in_order(scattered).equals(table)
