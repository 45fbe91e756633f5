"""A grid whose cells are finished, with made-up predictions, for tests of what is said of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from respire.data.corpora.icbhi_format import DEVICES
from respire.evaluation.decided import decided
from respire.evaluation.evaluate import STAGE1, STAGE2
from respire.labels import CLASSES
from respire.metrics import overall
from respire.runtime.compute import Compute
from respire.runtime.resources import PeakMemory, Stopwatch
from respire.runtime.storage import Storage
from respire.study.experiment import Experiment
from respire.study.grid import Coordinates, Extent, Grid, Variant
from respire.study.one_run import PREDICTIONS
from respire.study.place import Place
from respire.study.study import Study
from respire.training.loop import Fit
from respire.training.predict import predictions

NAMES = CLASSES["4-class"]
PATIENTS, CYCLES, EPOCHS = 60, 24, 3
BASELINES = {
    "majority": 0.0,
    "device only": 0.05,
    "mean mel bands": 0.1,
    "spectral statistics": 0.08,
}


def finished_grid(
    folder: Path,
    variants: Mapping[str, tuple[Variant, float]],
    *,
    splits: int = 8,
    seeds: int = 2,
    stage2: bool = False,
) -> Grid:
    """A grid in a folder.

    Args:
        folder: keeps the cells.
        variants: by name, the variant and how many of its cycles are recognised by skill, not luck.
        splits: split seeds from 0.
        seeds: training seeds from 0.
        stage2: whether there are predictions of stage 2, a little better ones.
    """
    cycles = _catalogue()
    names = cycles["recording"].unique()
    official = {name: ("train", "test")[number % 3 == 0] for number, name in enumerate(names)}
    studies = {
        Coordinates(name, split_seed, seed): Study(
            recipe=variant.recipe,
            cycles=cycles,
            prepared=cast(Any, SimpleNamespace(key="made up")),
            skipped=(),
            warnings=("made up",),
            split=variant.cut.at(split_seed).on(cycles, official),
            seed=seed,
            initial={"weight": torch.zeros(1) + seed},
            compute=Compute("cpu", "fp32", "made up"),
            workers=1,
            storage=Storage.at(folder),
        )
        for name, (variant, _) in variants.items()
        for split_seed in range(splits)
        for seed in range(seeds)
    }
    setting = SimpleNamespace(
        question="seed_variance",
        place=Place(),
        corpus=SimpleNamespace(groups="patient"),
        stopwatch=Stopwatch(),
        memory=PeakMemory(),
        studies=studies,
        environment={},
    )
    home = Storage.at(folder) / "seed_variance" / "made-up"
    grid = Grid(
        Experiment(cast(Any, setting), "made-up", "made up", home, cast(Any, None)),
        {name: variant for name, (variant, _) in variants.items()},
        Extent(splits, tuple(range(seeds)), stage2),
    )
    for number, at in enumerate(studies):
        _finish(grid, at, variants[at.variant][1], number)
    return grid


def _catalogue() -> pd.DataFrame:
    random = np.random.default_rng(0)
    patient = np.repeat(np.arange(101, 101 + PATIENTS), CYCLES)
    device = np.array(DEVICES)[patient % len(DEVICES)]
    return pd.DataFrame(
        {
            "recording": [f"{p}_1b1_Al_sc_{d}" for p, d in zip(patient, device, strict=True)],
            "patient": patient,
            "device": device,
            "cycle": np.tile(np.arange(CYCLES), PATIENTS),
            "label": random.choice(4, len(patient), p=(0.5, 0.3, 0.12, 0.08)),
        }
    )


def _finish(grid: Grid, at: Coordinates, skill: float, number: int) -> None:
    cell, study = grid.run_of(at), grid.studies[at]
    test = study.cycles[study.cycles["recording"].isin(study.split.test)]
    skill += 0.02 * ((at.split_seed * 7) % 5 - 2)  # some splits are luckier
    guesses = {
        stage: _guess(test, skill + 0.02 * (stage == STAGE2), [number])
        for stage in (STAGE1, STAGE2)[: 1 + cell.stage2]
    }
    _keep(cell.home, guesses, "stage")
    _keep(
        cell.baselines,
        {name: _guess(test, of, [at.split_seed, 1]) for name, of in BASELINES.items()},
        "baseline",
    )
    scores = overall(decided(guesses[STAGE1]), 4)
    history = [{"epoch": float(epoch)} for epoch in range(1, EPOCHS + 1)]
    for row, change in zip(history, (-0.02, 0.0, 0.01), strict=True):
        if study.recipe.watch_test:
            row["test_score"] = scores.score + change
    study.stage1.save("fit", Fit(weights={}, epoch=2, scores=scores, history=history).state())


def _guess(test: pd.DataFrame, skill: float, seed: list[int]) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    lucky = random.choice(4, len(test), p=(0.6, 0.2, 0.12, 0.08))
    right = random.random(len(test)) < skill
    return called(test, np.where(right, test["label"], lucky))


def called(cycles: pd.DataFrame, classes: np.ndarray, names: Sequence[str] = NAMES) -> pd.DataFrame:
    """Predictions of cycles that each call a class for certain."""
    log_p = np.where(classes[:, None] == np.arange(len(names)), 0, -np.inf).astype(np.float32)
    return predictions(cycles, log_p, np.ones(len(names), int), 0.0, names)


def _keep(home: Storage, predictions: Mapping[str, pd.DataFrame], column: str) -> None:
    rows = pd.concat([frame.assign(**{column: name}) for name, frame in predictions.items()])
    (home / PREDICTIONS).write_table(pa.Table.from_pandas(rows, preserve_index=False))


def results_of(grid: Grid, found: Any) -> dict[str, Any]:
    """What results.json would hold."""
    return grid.experiment.results(found)
