"""experiments/attention_maps.py as users run it: both variants, their maps and the report."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import finished, parent_and_children

from respire.command.questions import attention_maps
from respire.evaluation.decided import decided

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

THIS = "attention_maps.py"
NAME = "maps"
VARIANTS = ("without BRC", "with BRC")
TINY = (
    *("--recipe", "quick", "--name", NAME, "--recipe.optimisation.epochs", "1"),
    *("--recipe.features.n-mels", "64", "--recipe.features.upsample", "2"),
    *("--recipe.features.n-fft", "2048", "--recipe.features.hop", "1024"),
    *("--recipe.features.window-seconds", "3"),
)
"""Two runs of seconds, where only the mechanics matter."""


def test_both_variants_are_seen_on_the_same_windows_and_the_report_follows_from_them(
    corpus: Path, tmp_path: Path
) -> None:
    done = finished(THIS, tmp_path, "--data", str(corpus), *TINY)
    assert done.returncode == 0, done.stderr
    assert "2 of 2 runs to do" in done.stdout
    folder = tmp_path / "runs" / "attention_maps" / NAME
    results = json.loads((folder / "results.json").read_text())
    windows = pd.read_parquet(folder / "windows.parquet")
    before, after = (windows[windows["variant"] == name] for name in VARIANTS)
    same = ["recording", "cycle", "window", "patient", "device", "label", "top_rows"]
    pd.testing.assert_frame_equal(
        before[same].reset_index(drop=True), after[same].reset_index(drop=True)
    )
    regions = [results["variants"][name]["recipe"]["features"]["blank_region"] for name in VARIANTS]
    assert regions == ["keep", "clip"]
    assert {run["cycles"] for run in results["runs"]} == {len(before)}
    for name, side in zip(VARIANTS, (before, after), strict=True):
        told = results["attention"]["variants"][name]["all"]
        assert told["windows"] + told["without_attention"] == len(side)
        if told["windows"]:
            mean = side["blank_attention"].mean()
            assert told["blank"]["attention"]["value"] == pytest.approx(mean)

    maps = np.load(folder / "maps.npz")
    for name in VARIANTS:
        if results["attention"]["variants"][name]["all"]["windows"]:
            assert maps[f"mean/{name}"][0].mean() == pytest.approx(1, rel=1e-4)
    # What the network says in fp32 is what it was scored by, where that is fp32 too.
    if results["environment"]["precision"] == "fp32":
        keys = {run["variant"]: run["key"] for run in results["runs"]}
        for name, side in zip(VARIANTS, (before, after), strict=True):
            (cell,) = (tmp_path / "runs" / "cells").glob(f"*{keys[name]}*/predictions.parquet")
            scored = decided(pd.read_parquet(cell)).set_index(["recording", "cycle"])["predicted"]
            seen = side.set_index(["recording", "cycle"])["predicted"]
            assert (seen == scored[seen.index]).mean() > 0.98

    parent, children = parent_and_children("attention_maps", tmp_path)
    assert set(children) == {f"{name}, split 0, seed 0" for name in VARIANTS}
    assert parent.info.status == "FINISHED"
    logged = results["attention"]["variants"]["with BRC"]["all"]["lower"]["attention"]
    if logged is not None:
        assert parent.data.metrics["with BRC.all.lower.attention"] == logged["value"]


def test_images_that_are_too_coarse_are_refused_before_anything_is_trained(
    tmp_path: Path, refusal: Callable[..., str]
) -> None:
    line = refusal(attention_maps, "--data", str(tmp_path), "--recipe", "small")
    assert "--recipe.features.n-mels 64 --recipe.features.upsample 2" in line
