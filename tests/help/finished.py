"""A grid whose cells are finished, with made-up predictions, for tests of what is said of it."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from respire.data.corpora.icbhi_format import DEVICES
from respire.evaluation.evaluate import STAGE1, STAGE2
from respire.metrics import Scores
from respire.runtime.compute import Compute
from respire.runtime.resources import PeakMemory, Stopwatch
from respire.runtime.storage import Storage
from respire.study.experiment import Experiment
from respire.study.grid import Coordinates, Extent, Grid, Variant
from respire.study.one_run import PREDICTIONS
from respire.study.place import Place
from respire.study.study import Study
from respire.training.loop import Fit

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
    scores = Scores.of(
        *(guesses[STAGE1][column].to_numpy() for column in ("label", "predicted")), classes=4
    )
    history = [
        {"epoch": epoch, "test_score": scores.score + 0.01 * (epoch == EPOCHS) - 0.02 * (epoch < 2)}
        for epoch in range(1, EPOCHS + 1)
    ]
    study.stage1.save("fit", Fit(weights={}, epoch=2, scores=scores, history=history).state())


def _guess(test: pd.DataFrame, skill: float, seed: list[int]) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    lucky = random.choice(4, len(test), p=(0.6, 0.2, 0.12, 0.08))
    right = random.random(len(test)) < skill
    return test.assign(predicted=np.where(right, test["label"], lucky))


def _keep(home: Storage, predictions: Mapping[str, pd.DataFrame], column: str) -> None:
    rows = pd.concat([frame.assign(**{column: name}) for name, frame in predictions.items()])
    (home / PREDICTIONS).write_table(pa.Table.from_pandas(rows, preserve_index=False))


def results_of(grid: Grid, found: Any) -> dict[str, Any]:
    """What results.json would hold."""
    return grid.experiment.results(found)
