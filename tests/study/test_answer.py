"""Answers over Ray Data."""

import os
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
from small_model import small_models, write_recordings, write_small_model

from respire.command.predictions import predict
from respire.study import answer

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_session")]


def test_the_cluster_hears_what_one_process_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same rows in the same order, and the same recordings left out, by relative paths."""
    write_small_model(tmp_path / "model", small_models())
    recordings = write_recordings(tmp_path / "heard")
    for number in range(3):
        shutil.copy(recordings / "breath.wav", recordings / f"breath{number}.wav")
        (recordings / f"torn{number}.wav").write_text("no sound")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(answer, "BATCH", 2)  # the last are bad, all of them
    answers, left_out = [], []
    for name, options in (("alone.csv", []), ("cluster.csv", ["--ray"])):
        asked = ["model", "heard", "--out", name, "--gpu", "none", *options]
        monkeypatch.setattr(sys, "argv", ["respire predict", *asked])
        with pytest.raises(SystemExit) as ended:
            predict("a test")
        assert ended.value.code == 2
        said = [line for line in capsys.readouterr().err.splitlines() if "torn" in line]
        left_out.append([line.replace(f"{tmp_path}{os.sep}", "") for line in said])
        answers.append(pd.read_csv(name, keep_default_na=False))
    assert answers[0]["file"].nunique() == 6
    pd.testing.assert_frame_equal(*answers, atol=1e-5)
    assert left_out[0] == left_out[1]
    assert len(left_out[0]) == 3
