"""Test recordings heard in windows: which, and what they are compared with."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from small_model import SMALL, small_models, write_small_model
from tiny_fit import CPU

from respire.data.splits.split import Cut
from respire.experiments.full import windows
from respire.experiments.full.windows import can_hear_windows, hear_windows
from respire.inference.model_folder import read_model
from respire.runtime.storage import Storage

SECONDS, WINDOW_S = 3, 1.0
WINDOWS = 5
"""Of a second each, from every half second on, in three seconds."""


def study_of(folder: Path, recipe: Any = SMALL, cut: Any = None) -> Any:
    """Twelve test patients with a recording each, a silent one, and one in training."""
    random = np.random.default_rng(0)
    rows = []
    for patient in range(14):
        file = folder / f"{patient}.wav"
        silence = 0 if patient == 12 else 0.1
        sf.write(file, random.normal(0, 1, SECONDS * 4000) * silence, 4000)
        for cycle in range(2):  # nothing is annotated after the second second
            rows.append(
                {
                    "recording": f"r{patient}",
                    "patient": patient,
                    "device": "Meditron",
                    "cycle": cycle,
                    "start_s": float(cycle),
                    "end_s": float(cycle + 1),
                    "label": (0, 1 + patient % 3)[cycle],
                    "audio": str(file),
                }
            )
    split = SimpleNamespace(test=[f"r{patient}" for patient in range(13)], cut=cut)
    cycles = pd.DataFrame(rows)
    return cast(Any, SimpleNamespace(recipe=recipe, cycles=cycles, split=split, compute=CPU))


def test_every_test_recording_that_can_be_heard_is_compared_with_its_own_cycles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "on_worker", lambda run, *given, gpu: run(*given))  # noqa: ARG005
    monkeypatch.setattr(windows, "TOLD_EVERY", 6)
    card, models = read_model(
        Storage.at(write_small_model(tmp_path / "model", small_models())),
    )
    study, lines = study_of(tmp_path), []
    decided = study.cycles[study.cycles["patient"] != 13].assign(predicted=0)
    queue = cast(Any, SimpleNamespace(put_nowait=lines.append))
    told = hear_windows(study, card, models, decided, queue)
    assert told is not None
    assert (told.recordings, told.window_s) == (12, WINDOW_S)
    assert told.cycles["n"] == 24
    # Midpoints lie at 0.5 s and 1.5 s; windows from 2.0 s on hold neither.
    assert told.without_cycle == 12
    assert told.windows["n"] == 12 * (WINDOWS - 1)
    # From 0.5 s on to 1.5 s both lie in a window, whose class is then the abnormal cycle's.
    assert sum(told.windows["confusion"][0]) == 12
    assert told.difference is not None
    assert lines == ["windows: 12 of 13 recordings heard"]


@pytest.mark.parametrize(
    ("kind", "padding", "heard"),
    [("80-20", "zero", True), ("by-cycle", "zero", False), ("80-20", "smart", False)],
)
def test_windows_that_hold_training_cycles_or_need_labels_are_not_heard(
    kind: Any, padding: Any, heard: bool, tmp_path: Path
) -> None:
    recipe = replace(SMALL, features=replace(SMALL.features, evaluation_padding=padding))
    study = study_of(tmp_path, recipe, Cut(kind, split_seed=0, inner_seed=0))
    assert can_hear_windows(study) == heard
