"""What sets recipes on the same splits apart: over splits, and over one test side's patients."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from respire.evaluation.assess import NAMES
from respire.statistics import coverage
from respire.statistics.intervals import PatientDifference, difference_over_patients
from respire.statistics.paired import compare, differences
from respire.statistics.verdicts import Estimated, detectable_by, of_new_patients, verdicts
from respire.study import spread_summary as summary
from respire.study.grid import Grid
from respire.study.tested import Tested

Sizes = Mapping[str, Any]
"""Patients on the test side of a split and off it, means over the splits."""


def compare_recipes(
    grid: Grid, runs: pd.DataFrame, tested: Tested, variants: Mapping[str, summary.VariantSpread]
) -> summary.Contrast | None:
    """Two recipes on the same plain splits, A less B; None where there is one."""
    plain = [name for name, variant in grid.variants.items() if not variant.cut.stratify]
    if len(plain) != 2:
        return None
    a, b = plain
    split_seeds, sizes = grid.split_seeds, sizes_of(variants[a].splits)
    of_a, of_b = (runs[runs["variant"] == name] for name in plain)

    def apart_of(stage: str, metric: str) -> np.ndarray:
        return differences(*(values_by_split(of, stage, metric) for of in (of_a, of_b)))

    by_stage = {stage: {m: apart_of(stage, m) for m in NAMES} for stage in grid.stages}
    compared = {
        stage: {m: compare(d, **sizes) if len(d) > 1 else None for m, d in apart.items()}
        for stage, apart in by_stage.items()
    }

    def estimated(stage: str, metric: str) -> Estimated | None:
        if not grid.variants[a].cut.listed_test:
            over_splits = compared[stage][metric]
            return None if over_splits is None else of_new_patients(over_splits)
        ours, theirs = ({seed: tested[name, seed, stage] for seed in split_seeds} for name in plain)
        over_patients = over_one_test_side(ours, theirs)
        return None if over_patients is None else of_test_patients(over_patients, metric)

    contrasts = {
        f"{stage}.{metric}": known
        for stage in grid.stages
        for metric in NAMES
        if (known := estimated(stage, metric)) is not None
    }
    told = verdicts(contrasts, primary=f"{grid.stages[-1]}.score")
    stages = {}
    for stage, apart in by_stage.items():
        stages[stage] = summary.StageContrast(
            differences={metric: d.tolist() for metric, d in apart.items()},
            patients={
                str(seed): difference_over_patients(tested[a, seed, stage], tested[b, seed, stage])
                for seed in split_seeds
            },
            verdicts={m: told[f"{stage}.{m}"] for m in NAMES if f"{stage}.{m}" in told},
            **compared[stage],
        )
    overlap = sizes["n_test"] / (sizes["n_test"] + sizes["n_train"])
    covered = [
        summary.DifferenceCoverage(
            correlation, coverage.of_differences(len(split_seeds), correlation, **sizes, seed=0)
        )
        for correlation in (0.0, overlap, 0.5)
        if len(split_seeds) > 1
    ]
    scores = [apart["score"].tolist() for apart in by_stage.values()]
    return summary.Contrast(*(a, b, split_seeds, stages, covered), detectable_by(scores, **sizes))


def over_one_test_side(
    a: Mapping[int, pd.DataFrame], b: Mapping[int, pd.DataFrame]
) -> PatientDifference | None:
    """What A is better by over the patients of a list's test side, all its draws together.

    Args:
        a: test predictions by the number of the draw, which differ in who is in validation.
        b: the same of B.
    """
    ours, theirs = (
        pd.concat(
            rows.assign(recording=f"{draw}:" + rows["recording"].astype(str))
            for draw, rows in of.items()
        )
        for of in (a, b)
    )
    return difference_over_patients(ours, theirs)


def of_test_patients(known: PatientDifference, metric: str) -> Estimated:
    """What a difference over patients says of one of its statistics."""
    apart = getattr(known, metric)
    return Estimated(apart.value, apart.scale, known.patients - 1)


def sizes_of(splits: Sequence[summary.SplitSpread]) -> Sizes:
    """Patients on the test sides and off them."""
    return {
        "n_test": float(np.mean([split.patients for split in splits])),
        "n_train": float(np.mean([split.patients_off_test for split in splits])),
    }


def values_by_split(runs: pd.DataFrame, stage: str, metric: str) -> np.ndarray:
    """A metric by split and training seed, float64 [J, K]."""
    of_stage = runs[runs["stage"] == stage]
    return of_stage.pivot(index="split_seed", columns="seed", values=metric).to_numpy()
