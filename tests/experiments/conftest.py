"""A run as experiments/full.py leaves it, with made-up but coherent numbers."""

import json
from dataclasses import asdict
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from respire.evaluation.assess import described, described_by_device, intervals
from respire.evaluation.beyond import look_beyond
from respire.evaluation.decided import PRIORS
from respire.evaluation.subgroups import subgroups
from respire.evaluation.windows import compare_windows
from respire.metrics import Scores, overall
from respire.recipe import presets
from respire.report.page import strict
from respire.report.typed import stored

NAMES = ("normal", "crackle", "wheeze", "both")
SHARES = {
    "AKGC417L": (0.44, 0.36, 0.11, 0.09),
    "Litt3200": (0.67, 0.06, 0.22, 0.05),
    "LittC2SE": (0.58, 0.13, 0.21, 0.08),
    "Meditron": (0.71, 0.15, 0.10, 0.04),
}
PATIENTS = {
    "train": {"AKGC417L": 20, "Litt3200": 7, "LittC2SE": 15, "Meditron": 41},
    "validation": {"AKGC417L": 6, "Litt3200": 2, "LittC2SE": 4, "Meditron": 10},
    "test": {"AKGC417L": 6, "Litt3200": 2, "LittC2SE": 4, "Meditron": 13},
}
CYCLES = {"AKGC417L": 136, "Litt3200": 46, "LittC2SE": 26, "Meditron": 23}


def _cycles(side: str) -> pd.DataFrame:
    random = np.random.default_rng(list(PATIENTS).index(side))
    frames = [
        pd.DataFrame(
            {
                "device": device,
                "patient": np.repeat(
                    [f"{device} {patient}" for patient in range(n)], CYCLES[device]
                ),
                "label": random.choice(4, CYCLES[device] * n, p=shares),
            }
        ).assign(recording=lambda rows: rows["patient"] + "_" + (rows.index % 4).astype(str))
        for (device, shares), n in zip(SHARES.items(), PATIENTS[side].values(), strict=True)
    ]
    return pd.concat(frames, ignore_index=True)


def _predicted(cycles: pd.DataFrame, skill: float) -> pd.DataFrame:
    random = np.random.default_rng(7)
    guess = random.choice(4, len(cycles), p=(0.6, 0.2, 0.12, 0.08))
    right = random.random(len(cycles)) < skill
    return _said(cycles.assign(predicted=np.where(right, cycles["label"], guess)))


def _said(rows: pd.DataFrame) -> pd.DataFrame:
    """With probabilities, by which the class that is predicted is the likeliest."""
    likely = 4 * np.eye(4)[rows["predicted"]] + np.random.default_rng(5).random((len(rows), 4))
    p = likely / likely.sum(axis=1, keepdims=True)
    return rows.assign(**{f"p_{name}": p[:, index] for index, name in enumerate(NAMES)})


def _people(cycles: pd.DataFrame) -> pd.DataFrame:
    """Every other one a woman, a third healthy, one with asthma."""
    names = cycles["patient"].unique()
    number = np.arange(len(names))
    diagnosis = np.where(number == 0, "Asthma", np.where(number % 3, "COPD", "Healthy"))
    sex = np.where(number % 2, "F", "M")
    return pd.DataFrame({"sex": sex, "age": 3.0 * number, "diagnosis": diagnosis}, index=names)


def _scored(predictions: pd.DataFrame) -> dict[str, Any]:
    interval = intervals(predictions, 4)
    assert interval is not None
    return {
        "overall": described(predictions, 4)
        | {"interval": interval | {"coverage": 0.913}, "no_interval": None},
        "by_device": described_by_device(predictions, 4),
    }


def _described(cycles: pd.DataFrame, patients: int) -> dict[str, Any]:
    counts = np.bincount(cycles["label"], minlength=4).tolist()
    return {
        "patients": patients,
        "recordings": -(-len(cycles) // 8),
        "cycles": len(cycles),
        "by_class": dict(zip(NAMES, counts, strict=True)),
    }


def _validated(n: int, score: float) -> dict[str, Any]:
    right = round(score * n / 2)
    confusion = np.diag([right, right, 0, 0])
    confusion[0, 1] = confusion[1, 0] = n // 2 - right
    return Scores(confusion).to_json()


@pytest.fixture
def results() -> dict[str, Any]:
    return json.loads(_results())


@cache
def _results() -> str:
    test = _cycles("test")
    sides = {
        side: _described(_cycles(side), sum(patients.values()))
        | {
            "by_device": {
                device: _described(_cycles(side).query("device == @device"), n)
                for device, n in patients.items()
            }
        }
        for side, patients in PATIENTS.items()
    }
    undecided = {"selecting_before": None, "selecting_after": None}
    made_up = {
        "experiment": "full",
        "name": "paper-80-20-seed0",
        "respire_version": "0.1.0",
        "key": "4f1c0a9be27d5533",
        "numerics_version": 1,
        "recipe": asdict(presets.paper()),
        "split": {
            "kind": "80-20",
            "holds_out": True,
            "split_seed": 0,
            "inner_seed": 0,
            "training_seed": 0,
            "sides": sides,
        },
        "selection": "validation",
        "stages": {
            "stage1": _scored(_predicted(test, 0.42))
            | {"epoch": 131, "selecting": overall(_predicted(test, 0.5), 4).to_json()},
            "stage2": _scored(_predicted(test, 0.5))
            | {
                "devices": {
                    "AKGC417L": {
                        "decision": "fine-tuned",
                        "reason": "its validation Score rose from 54.1% to 57.3%",
                        "epoch": 22,
                        "learning_rate": 1e-4,
                        "selecting_before": _validated(354, 0.541),
                        "selecting_after": _validated(354, 0.573),
                    },
                    "Meditron": {
                        "decision": "kept stage 1",
                        "reason": "no epoch exceeds stage 1's validation Score",
                        "epoch": None,
                        "learning_rate": None,
                        "selecting_before": _validated(230, 0.62),
                        "selecting_after": _validated(230, 0.6),
                    },
                    "LittC2SE": {
                        "decision": "fine-tuned",
                        "reason": "its validation Score rose from 48.0% to 55.5%",
                        "epoch": 31,
                        "learning_rate": 1e-4,
                        "selecting_before": _validated(104, 0.48),
                        "selecting_after": _validated(104, 0.555),
                    },
                    "Litt3200": {
                        "decision": "unselected",
                        "reason": "2 validation patients are fewer than 3; 10 epochs",
                        "epoch": 10,
                        "learning_rate": 1e-4,
                        **undecided,
                    },
                }
            },
        },
        "baselines": {
            "majority": _scored(_said(test.assign(predicted=0))),
            "device only": _scored(
                _said(test.assign(predicted=(test["device"] == "AKGC417L").astype(int)))
            ),
            "mean mel bands": _scored(_predicted(test, 0.18)),
            "spectral statistics": _scored(_predicted(test, 0.16)),
        },
        "along_prior": {
            "priors": list(PRIORS),
            "validation": [0.45 + 0.05 * prior for prior in PRIORS],
            "test": [0.44 + 0.04 * prior for prior in PRIORS],
        },
        "beyond": stored(look_beyond(_predicted(test, 0.5))),
        "subgroups": stored(subgroups(_predicted(test, 0.5), _people(test), {}, 4)),
        "windows": stored(
            compare_windows(_predicted(test[::2], 0.4), _predicted(test, 0.5), 4, window_s=7.0)
        ),
        "stamps": [],
        "warnings": ["Litt3200 has 2 validation patients: its epoch is not chosen <on> them"],
        "skipped": ["103_2b2_Ar_mc_LittC2SE: no annotation beside the audio"],
        "seconds": {
            "catalogue": 3.2,
            "cycles": 61.0,
            "stage1": 5123.9,
            "stage2": 840.3,
            "evaluation": 21.5,
            "total": 6049.9,
        },
        "peak_memory_mib": 3120.4,
        "environment": {
            "device": "NVIDIA H100",
            "precision": "bf16",
            "workers": 1,
            "ray": "2.60.0",
            "torch": "2.14.0",
            "python": "3.11.7",
        },
    }
    return json.dumps(strict(made_up))


@pytest.fixture
def histories() -> pd.DataFrame:
    random = np.random.default_rng(3)

    def history(run: str, epochs: int, first: float, last: float) -> pd.DataFrame:
        epoch = np.arange(1, epochs + 1)
        risen = 1 - np.exp(-epoch / (epochs / 4))
        score = first + (last - first) * risen + random.normal(0, 0.012, epochs)
        return pd.DataFrame(
            {
                "run": run,
                "epoch": epoch,
                "train_loss": 1.4 * np.exp(-epoch / epochs) * (1.6 - first),
                "learning_rate": 1e-3,
                "validation_loss": 1.2,
                "validation_se": score,
                "validation_sp": score,
                "validation_score": np.nan if run == "Litt3200" else score,
                "seconds": 25.0,
            }
        )

    return pd.concat(
        [
            history("stage1", 200, 0.45, 0.62),
            history("AKGC417L", 50, 0.54, 0.57),
            history("Meditron", 50, 0.62, 0.60),
            history("LittC2SE", 50, 0.48, 0.55),
            history("Litt3200", 10, 0.5, 0.5),
        ],
        ignore_index=True,
    )
