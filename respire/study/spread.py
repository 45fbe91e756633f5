"""What a finished grid says: how far Scores spread, over what, and what sets recipes apart."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from respire.data.rows import known
from respire.evaluation.assess import EVERY, NAMES, Measured, values
from respire.evaluation.decided import SHOWN_PRIORS, along
from respire.evaluation.evaluate import STAGE1
from respire.labels import NORMAL
from respire.statistics import coverage
from respire.statistics.composition import by_patient, composition, correlate, shares
from respire.statistics.intervals import no_interval, over_patients
from respire.statistics.paired import compare
from respire.statistics.variance import Decomposition, decompose
from respire.study import spread_summary as summary
from respire.study.contrast import Sizes, compare_recipes, sizes_of, values_by_split
from respire.study.grid import Coordinates, Grid
from respire.study.tested import WATCHED, Tested, averaged_by, runs_of, tested_by


def summarise(grid: Grid) -> summary.Spread:
    """What there is to say of a finished grid."""
    runs, tested = runs_of(grid), tested_by(grid)
    averaged = averaged_by(grid) if len(grid.extent.seeds) > 1 else {}
    variants = {
        name: _variant(grid, runs[runs["variant"] == name], tested, averaged, name)
        for name in grid.variants
    }
    records: Sequence[Any] = runs.to_dict("records")
    return summary.Spread(
        **grid.facts(),
        stages=list(grid.stages),
        variants=variants,
        comparison=compare_recipes(grid, runs, tested, variants),
        runs=[summary.RunScores(**record) for record in records],
    )


def by_split(predictions: Mapping[int, pd.DataFrame], classes: int) -> pd.DataFrame:
    """What was tested on each split.

    Args:
        predictions: by split seed, those of all training seeds together.
        classes: number of classes C.

    Returns:
        A column a statistic, cycles and patients; a row a split seed, which is the index.
    """
    rows = {
        seed: values(tested, classes)
        | {
            "cycles": len(tested) // (tested["seed"].nunique() if "seed" in tested else 1),
            "patients": known(tested["patient"]).nunique(),
        }
        for seed, tested in predictions.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("split_seed")


def baselines(grid: Grid, variant: str) -> dict[str, pd.DataFrame]:
    """Each baseline ``by_split``, fitted as a variant trains; training seeds share them."""
    predictions: dict[str, dict[int, pd.DataFrame]] = {}
    for at in grid.studies:
        if at.variant == variant and at.seed == grid.extent.seeds[0]:
            for baseline, rows in grid.run_of(at).baseline_predictions().groupby("baseline"):
                predictions.setdefault(str(baseline), {})[at.split_seed] = rows
    classes = len(grid.variants[variant].recipe.classes)
    return {baseline: by_split(tested, classes) for baseline, tested in predictions.items()}


def _variant(
    grid: Grid, runs: pd.DataFrame, tested: Tested, averaged: Tested, name: str
) -> summary.VariantSpread:
    """All that is said of one variant by itself."""
    seeds = sorted(set(runs["split_seed"]))
    splits = [
        replace(
            _split(grid, runs, tested, name, seed), averaged=_averaged(grid, averaged, name, seed)
        )
        for seed in seeds
    ]
    sizes, last = sizes_of(splits), grid.stages[-1]
    devices = next(study.devices for at, study in grid.studies.items() if at.variant == name)
    scores = [split.scores[last].score for split in splits]
    order = np.argsort(scores, kind="stable")
    variance = {
        stage: {metric: _decomposed(runs, stage, metric, sizes) for metric in NAMES}
        for stage in grid.stages
    }
    return summary.VariantSpread(
        recipe=grid.variants[name].recipe,
        stratify=grid.variants[name].cut.stratify,
        splits=splits,
        variance=variance,
        coverage=_coverage(variance[last]["score"]),
        baselines={
            baseline: _baseline(of_baseline, scores)
            for baseline, of_baseline in baselines(grid, name).items()
        },
        composition={
            share: correlate(scores, [split.amount(share) for split in splits])
            for share in ("cycles", *shares(devices))
        },
        ends={
            end: _end(tested, name, splits[index].split_seed, last)
            for end, index in (("lowest", order[0]), ("highest", order[-1]))
        },
        along_prior=_along_prior(grid, name),
        selection_cost=_selection_cost(runs, sizes),
    )


def _along_prior(grid: Grid, name: str) -> dict[str, float]:
    """The last stage's mean test Score under some priors, told and not a choice."""
    classes, stage = len(grid.variants[name].recipe.classes), grid.stages[-1]
    scores = [
        along(grid.run_of(at).undecided(stage), SHOWN_PRIORS, classes)
        for at in grid.studies
        if at.variant == name
    ]
    means = np.mean(scores, axis=0).tolist()
    return {f"{prior:g}": mean for prior, mean in zip(SHOWN_PRIORS, means, strict=True)}


def _end(tested: Tested, name: str, split_seed: int, stage: str) -> summary.EndOfRange:
    rows = tested[name, split_seed, stage]
    patients = by_patient(rows.loc[known(rows["patient"]).index]).itertuples(index=False)
    return summary.EndOfRange(split_seed, [summary.Patient(*patient) for patient in patients])


def _split(
    grid: Grid, runs: pd.DataFrame, tested: Tested, name: str, split_seed: int
) -> summary.SplitSpread:
    """One split: what its test side is made of, and the mean over its training seeds."""
    study = grid.studies[Coordinates(name, split_seed, int(runs["seed"].iloc[0]))]
    cycles = study.cycles
    test = cycles[cycles["recording"].isin(study.split.test)]
    held = math.nan
    if no_interval(test) is None:
        # What is predicted plays no part in it.
        held = coverage.over_patients(test.assign(predicted=NORMAL), split_seed)
    ours = runs[runs["split_seed"] == split_seed]
    scores = {}
    for stage in grid.stages:
        interval = over_patients(tested[name, split_seed, stage])
        means = ours.loc[ours["stage"] == stage, list(EVERY)].mean(skipna=False)
        scores[stage] = summary.StageMeans(
            **{name: float(means[name]) for name in EVERY},
            interval=None if interval is None else summary.Covered(**vars(interval), coverage=held),
        )
    made_of = composition(test, study.devices)
    return summary.SplitSpread(
        split_seed=split_seed,
        cycles=len(test),
        patients=int(made_of["patients"]),
        both_cycles=int(made_of["both_cycles"]),
        shares={name: made_of[name] for name in shares(study.devices)},
        patients_off_test=int(cycles["patient"].nunique() - test["patient"].nunique()),
        scores=scores,
    )


def _averaged(
    grid: Grid, averaged: Tested, name: str, split_seed: int
) -> dict[str, Measured] | None:
    """What the training seeds' mean probabilities are worth on one split; None with one seed."""
    classes = len(grid.variants[name].recipe.classes)
    return (
        {
            stage: Measured(**values(averaged[name, split_seed, stage], classes))
            for stage in grid.stages
        }
        if averaged
        else None
    )


def _decomposed(runs: pd.DataFrame, stage: str, metric: str, sizes: Sizes) -> Decomposition | None:
    """None with a single split or seed, which has no spread."""
    values = values_by_split(runs, stage, metric)
    return decompose(values, **sizes) if min(values.shape) > 1 else None


def _coverage(spread: Decomposition | None) -> dict[str, float] | None:
    """How often intervals of so many splits and seeds hold what they should."""
    if spread is None or spread.share is None:
        return None
    return coverage.over_splits(spread.splits, spread.seeds, spread.share.value, seed=0)


def _baseline(scores: pd.DataFrame, ours: Sequence[float]) -> summary.BaselineSpread:
    """A baseline's mean over the splits, and on how many the variant beats it."""
    score = scores["score"].to_numpy()
    return summary.BaselineSpread(
        **{metric: float(scores[metric].to_numpy().mean()) for metric in EVERY},
        standard_deviation=float(np.std(score, ddof=1)) if len(score) > 1 else None,
        splits=len(score),
        beaten_on=int((np.array(ours) > score).sum()),
    )


def _selection_cost(runs: pd.DataFrame, sizes: Sizes) -> summary.SelectionCost | None:
    """What stage 1 scores on test at the chosen, the last and the test-best epoch; never used.

    None unless the recipe watches test.
    """
    if runs[WATCHED[0]].isna().all():
        return None
    columns = dict(zip(WATCHED, ("chosen", "last", "best"), strict=True))
    table = runs[runs["stage"] == STAGE1].rename(columns=columns)
    gains = table.assign(gain=table["best"] - table["chosen"]).groupby("split_seed")["gain"].mean()
    return summary.SelectionCost(
        runs=len(table),
        **{epoch: float(table[epoch].mean()) for epoch in ("chosen", "last", "best")},
        best_less_chosen=compare(gains.to_numpy(), **sizes) if len(gains) > 1 else None,
    )
