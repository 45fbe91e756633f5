"""A model's folder, its answers, and the command that asks for them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from small_model import COUNTS, SMALL, small_models, write_recordings, write_small_model
from tiny_fit import CPU

import respire
from respire.command.predictions import predict
from respire.data.rows import WITHOUT_SPECTRAL
from respire.errors import InputError
from respire.evaluation.decided import decided
from respire.evaluation.evaluate import STAGE2, predict_stages
from respire.inference.model import Model
from respire.inference.model_folder import CARD, WEIGHTS, read_model
from respire.inference.recordings import Recording, cut
from respire.inference.whole import of_recordings
from respire.models.network import Learnt
from respire.runtime.storage import Storage


@pytest.fixture(scope="module")
def models() -> dict[str, Learnt]:
    return small_models()


@pytest.fixture
def folder(models: dict[str, Learnt], tmp_path: Path) -> Path:
    return write_small_model(tmp_path / "model", models)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    return write_recordings(tmp_path / "heard")


def test_a_folder_is_read_as_it_was_written_and_shares_what_is_equal(
    folder: Path, models: dict[str, Learnt]
) -> None:
    card, read = read_model(Storage.at(folder))
    assert card.recipe == SMALL
    for name, learnt in models.items():
        torch.testing.assert_close(read[name].weights, dict(learnt.weights), rtol=0, atol=0)
        assert read[name].counts.equal(COUNTS)
    common, own = (read[name].weights for name in ("stage1", "Meditron"))
    shared = {name for name in common if common[name].data_ptr() == own[name].data_ptr()}
    assert shared == {name for name in common if common[name].equal(own[name])}
    assert shared


def test_each_device_is_answered_by_its_own_model_and_others_by_the_common_one(
    folder: Path, models: dict[str, Learnt], recordings: Path
) -> None:
    model = respire.load_model(folder, gpu="none", precision="fp32")
    heard = model.predict(recordings)
    answered = dict(zip(heard["device"], heard["model"], strict=True))
    assert answered == {"Meditron": "Meditron", "Walkman": "stage1", "": "stage1"}
    one_by_one = [model.predict(file) for file in sorted(recordings.iterdir())]
    pd.testing.assert_frame_equal(heard, pd.concat(one_by_one, ignore_index=True), atol=1e-5)
    rows = pa.concat_tables(
        cut(Recording(str(file)), SMALL) for file in sorted(recordings.iterdir())
    )
    devices = ["Meditron", "Walkman", ""]
    rows = rows.set_column(5, WITHOUT_SPECTRAL.field("device"), [devices])
    own = {"Meditron": models["Meditron"]}
    stages = predict_stages(SMALL, rows, models["stage1"], own, CPU)
    expected = decided(stages[STAGE2], SMALL.prior)
    p = [f"p_{name}" for name in SMALL.classes]
    np.testing.assert_allclose(heard[p], expected[p], atol=1e-5)
    assert heard["class"].tolist() == [SMALL.classes[n] for n in expected["predicted"]]
    np.testing.assert_allclose(heard["confidence"], heard[p].max(axis=1))


def test_a_table_of_bytes_is_answered_as_the_files_are(folder: Path, recordings: Path) -> None:
    model = respire.load_model(folder, gpu="none", precision="fp32")
    file = recordings / "101_1b1_Al_sc_Meditron.wav"
    windows = model.predict(file)
    by_bytes = pd.DataFrame({"audio": [file.read_bytes()], "device": ["Meditron"]})
    answered = model.answer(by_bytes)
    columns = [*windows.columns.drop("file")]
    pd.testing.assert_frame_equal(answered[columns], windows[columns])
    parts = windows[["start_s", "end_s"]].assign(uri=str(file), audio=None)
    answered = model.answer(parts)
    pd.testing.assert_frame_equal(answered[windows.columns], windows, atol=1e-5)
    assert answered["row"].tolist() == list(range(len(windows)))
    with pytest.raises(InputError, match="row 0: neither audio nor uri"):
        model.answer(pd.DataFrame({"device": ["Meditron"]}))


def test_a_manifests_cycles_are_heard_and_what_has_none_is_told(
    folder: Path,
    recordings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    units = pd.DataFrame(
        {
            "recording": ["breath.wav", "breath.wav", "102_1b1_Al_sc_Walkman.wav"],
            "group": "1",
            "start_s": [0.5, 1.5, 0.0],
            "end_s": [1.5, 2.25, 1.0],
            "label": ["normal", "wheeze", ""],
            "label_state": ["", "", "unresolved"],
            "device": ["Meditron", "Meditron", ""],
        }
    )
    units.to_csv(recordings / "all.csv", index=False)
    out = tmp_path / "answers.csv"
    asked = ["respire predict", folder, recordings / "all.csv", "--out", out, "--gpu", "none"]
    monkeypatch.setattr(sys, "argv", [*map(str, asked)])
    with pytest.raises(SystemExit) as ended:
        predict("a test")
    assert ended.value.code == 0
    said = capsys.readouterr()
    (line,) = [line for line in said.err.splitlines() if "left out" in line]
    assert "102_1b1_Al_sc_Walkman.wav: none of its cycles" in line
    heard = pd.read_csv(out)
    assert heard[["start_s", "end_s"]].to_numpy().tolist() == [[0.5, 1.5], [1.5, 2.25]]
    assert set(heard["model"]) == {"Meditron"}
    model = respire.load_model(folder, gpu="none")
    again = model.predict(recordings / "all.csv")
    np.testing.assert_allclose(again["confidence"], heard["confidence"], atol=1e-6)


ALONE = """
import sys

sys.modules.update(dict.fromkeys(("ray", "mlflow", "optuna", "tyro")))  # as where they are not
import respire
from respire.errors import InputError

heard = respire.load_model(sys.argv[1], gpu="none").predict(sys.argv[2])
print(len(heard))
try:
    respire.load_model("models:/lungs/1")
except InputError as error:
    print(error)
"""


def test_a_notebook_needs_neither_ray_nor_mlflow(folder: Path, recordings: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE, folder, recordings],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    windows, refused = done.stdout.splitlines()
    assert int(windows) == len(respire.load_model(folder, gpu="none").predict(recordings))
    assert refused == "models:/lungs/1: MLflow is not installed; pip install mlflow"


def test_a_recordings_class_is_that_of_most_windows() -> None:
    classes = [
        "wheeze",
        "normal",
        "wheeze",
        "wheeze",
        "normal",
        "crackle",
        "crackle",
        "normal",
        "normal",
    ]
    heard = pd.DataFrame({"file": ["a"] * 6 + ["b"] * 3, "device": "", "model": "stage1"})
    heard = heard.assign(p_normal=0.0, p_crackle=0.0, p_wheeze=0.0, **{"class": classes})
    told = of_recordings(heard).set_index("file")
    assert told.loc["a", ["windows", "longest_abnormal", "class"]].tolist() == [6, 2, "wheeze"]
    assert told.loc["a", "abnormal"] == pytest.approx(4 / 6)
    assert told.loc["b", ["windows", "longest_abnormal", "class"]].tolist() == [3, 1, "normal"]


def test_a_recipe_that_pads_by_labels_refuses_what_has_none(
    folder: Path, models: dict[str, Learnt], recordings: Path
) -> None:
    card, _ = read_model(Storage.at(folder))
    smart = replace(SMALL, features=replace(SMALL.features, evaluation_padding="smart"))
    with pytest.raises(InputError, match="give --annotations"):
        Model(replace(card, recipe=smart), models, CPU).predict(recordings)


def torn(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: len(content) // 2])


def changed(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-200_000] ^= 1
    (folder / WEIGHTS).write_bytes(content)


def without_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()


def without_card(folder: Path) -> None:
    (folder / CARD).unlink()


def torn_card(folder: Path) -> None:
    (folder / CARD).write_text((folder / CARD).read_text()[:100])


def of_the_future(folder: Path) -> None:
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps(card | {"format": 99}))


@pytest.mark.parametrize(
    "spoil", [torn, changed, without_weights, without_card, torn_card, of_the_future]
)
def test_a_model_that_is_not_whole_is_refused_in_one_line(
    spoil: Callable[[Path], None],
    folder: Path,
    recordings: Path,
    refusal: Callable[..., str],
) -> None:
    spoil(folder)
    assert str(folder) in refusal(predict, str(folder), str(recordings))


def test_one_bad_file_is_one_line_and_nothing_is_written(
    folder: Path, recordings: Path, refusal: Callable[..., str]
) -> None:
    (recordings / "bad.wav").write_text("no sound")
    line = refusal(predict, str(folder), str(recordings / "bad.wav"), "--out", "answers.csv")
    assert "bad.wav: not decodable" in line
    line = refusal(predict, str(folder), str(recordings), "--strict", "--out", "answers.csv")
    assert "bad.wav: not decodable" in line
    assert "must end in .csv" in refusal(predict, str(folder), str(recordings), "--out", "a.txt")
    assert not list(Path.cwd().glob("answers*"))


def test_what_is_read_is_not_written_over(
    folder: Path, recordings: Path, tmp_path: Path, refusal: Callable[..., str]
) -> None:
    rows = "".join(f"{file},A,0,1,normal\n" for file in sorted(recordings.glob("*.wav")))
    manifest = "recording,group,start_s,end_s,label\n" + rows
    for name, out in (("m.csv", "m.csv"), ("m-recordings.csv", "m.csv")):
        (tmp_path / name).write_text(manifest)
        told = ("--out", str(tmp_path / out))
        line = refusal(predict, str(folder), str(tmp_path / name), *told)
        assert f"{name} is read; choose another name" in line
        assert (tmp_path / name).read_text() == manifest


def test_the_command_hears_the_others_and_writes_both_tables(
    folder: Path, recordings: Path, tmp_path: Path
) -> None:
    (recordings / "bad.wav").write_text("no sound")
    for form in ("csv", "json"):
        out = tmp_path / f"answers.{form}"
        command = [sys.executable, "-m", "respire", "predict", folder, recordings, "--out", out]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 2
        assert "left out: " in done.stderr
        assert done.stderr.endswith(
            "error: 1 of 4 recordings are bad, and left out; the others were heard\n"
        )
        assert "3 recordings heard" in done.stdout
    answers = pd.read_csv(tmp_path / "answers.csv", keep_default_na=False)
    assert answers["file"].nunique() == 3
    whole = pd.read_csv(tmp_path / "answers-recordings.csv", keep_default_na=False)
    assert whole["windows"].tolist() == answers.groupby("file").size().tolist()
    told = json.loads((tmp_path / "answers.json").read_text())
    assert [len(of["heard"]) for of in told["recordings"]] == whole["windows"].tolist()
    assert len(told["left_out"]) == 1
