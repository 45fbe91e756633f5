"""The script for bare GPU machines: its files, and a rehearsal without what they lack."""

import json
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from respire.benchmark.packed import SMALL, pack, unpack
from respire.data.corpora import icbhi
from respire.data.prepare import by_recording, prepare_block
from respire.data.rows import in_order
from respire.errors import InputError
from respire.recipe.presets import paper

LACKING = ("ray", "mlflow", "librosa", "soundfile", "soxr", "optuna", "pydantic", "jinja2", "pooch")
BARE = f"""
import runpy, sys
sys.modules.update(dict.fromkeys({LACKING!r}))
runpy.run_module("respire.benchmark.gpu", run_name="__main__", alter_sys=True)
"""


def on_bare_machine(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BARE, *map(str, arguments), "--tiny"],
        env=os.environ | {"OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=550,
        check=False,
    )


@pytest.fixture(scope="module")
def parts(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("packed")
    return pack(str(corpus), folder, paper().preprocess, 2, 0, None)


@given(arrays.arrays(np.int16, st.integers(1, 50)))
def test_audio_comes_back_from_its_file_sample_by_sample(audio: np.ndarray) -> None:
    file = BytesIO()
    pq.write_table(pa.table({"audio": pa.array([audio], pa.large_list(pa.int16()))}), file, **SMALL)
    np.testing.assert_array_equal(pq.read_table(file).column("audio")[0].values, audio)


def test_packed_cycles_are_those_that_were_prepared(corpus: Path, parts: list[Path]) -> None:
    table, meta = unpack(parts)
    rows = by_recording(icbhi.read_catalogue(str(corpus)).cycles)
    prepared = in_order(
        prepare_block(rows, paper().preprocess, spectral=False).drop_columns(["error", "no_sound"])
    )
    assert table.equals(prepared)
    sides = [set(names) for names in meta["sides"].values()]
    assert set.union(*sides) == set(table.column("recording").to_pylist())
    assert sum(map(len, sides)) == len(table)


def test_a_part_that_is_missing_or_damaged_is_refused(parts: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="each part"):
        unpack(parts[:1])
    damaged, content = tmp_path / "cycles-0.parquet", bytearray(parts[0].read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        unpack([damaged, parts[1]])


@pytest.mark.slow
def test_what_needs_no_recordings_is_measured_without_the_packages_that_lack(
    tmp_path: Path,
) -> None:
    done = on_bare_machine("measure", "--out", tmp_path, "--minutes", "8", "--recipe", "scratch")
    assert done.returncode == 0, done.stdout + done.stderr
    measured = json.loads((tmp_path / "measure.json").read_text())
    assert measured["errors"] == {}
    assert measured["same images"]["training"]["largest"] == 0
    assert measured["same logits"]["fp32, tf32 False"] < 1e-4
    assert measured["resumed"]["interrupted, deterministic True"] == 0
    assert measured["two ranks"]["equal on both"]
    assert measured["loop, scratch"]["rates"]["train step"]["per_s"] > 0
    assert measured["input path, scratch"]["paths"]["all techniques"]["per_s"] > 0


@pytest.mark.slow
def test_training_stops_when_the_minutes_are_up_and_goes_on_to_the_end(
    parts: list[Path], tmp_path: Path
) -> None:
    asked = ("train", "--cycles", *parts, "--work", tmp_path / "work", "--epochs", "3")
    first = on_bare_machine(*asked, "--out", tmp_path / "first", "--minutes", "0.2")
    assert first.returncode == 0, first.stdout + first.stderr
    stopped = json.loads((tmp_path / "first" / "train.json").read_text())["train"]
    assert stopped == {"finished": False, "epochs": 1}
    second = on_bare_machine(*asked, "--out", tmp_path / "second", "--minutes", "8")
    assert second.returncode == 0, second.stdout + second.stderr
    found = json.loads((tmp_path / "second" / "train.json").read_text())["train"]
    history = (tmp_path / "second" / "history.jsonl").read_text().splitlines()
    assert [json.loads(row)["epoch"] for row in history] == [2, 3]
    assert found["finished"]
    predictions = pd.read_csv(tmp_path / "second" / "test-predictions.csv.gz")
    assert predictions["recording"].nunique() > 0
    pieces = sorted((tmp_path / "second").glob("weights-fp16.*"), key=lambda p: int(p.suffix[1:]))
    (tmp_path / "weights").write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    weights = torch.load(tmp_path / "weights", weights_only=True)
    assert {v.dtype for v in weights.values()} == {torch.float16, torch.int64}
