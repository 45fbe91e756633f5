"""What a finished grid says: how far Scores spread, over what, and what sets recipes apart."""

from dataclasses import asdict
from typing import Any, TypedDict

import numpy as np
import pandas as pd

from respire.evaluation.assess import NAMES, values
from respire.labels import NORMAL
from respire.statistics import coverage
from respire.statistics.composition import (
    Correlation,
    by_patient,
    composition,
    correlate,
    shares,
)
from respire.statistics.intervals import (
    Intervals,
    PatientDifference,
    bootstrap,
    bootstrap_difference,
    no_interval,
)
from respire.statistics.paired import compare, differences
from respire.statistics.variance import decompose
from respire.study.grid import Coordinates, Grid, Tested


def summarise(grid: Grid) -> dict[str, Any]:
    """What results.json has beside its header (experiments/results/SCHEMA.md)."""
    runs, tested = grid.table(), grid.tested()
    variants = {
        name: _variant(grid, runs[runs["variant"] == name], tested, name) for name in grid.variants
    }
    return {
        **grid.facts(),
        "stages": list(grid.stages),
        "variants": variants,
        "comparison": _comparison(grid, runs, tested, variants),
        "runs": runs.to_dict("records"),
    }


def _variant(grid: Grid, runs: pd.DataFrame, tested: Tested, name: str) -> dict[str, Any]:
    """All that is said of one variant by itself."""
    coordinates = [at for at in grid.studies if at.variant == name]
    splits = [_split(grid, runs, tested, name, seed) for seed in grid.split_seeds]
    sizes = _sizes(splits)
    devices = grid.studies[coordinates[0]].devices
    last = grid.stages[-1]
    scores = [split["scores"][last]["score"] for split in splits]
    by_score = sorted(splits, key=lambda split: split["scores"][last]["score"])
    variance = {
        stage: {metric: _decomposed(runs, stage, metric, sizes) for metric in NAMES}
        for stage in grid.stages
    }
    return {
        "recipe": asdict(grid.variants[name].recipe),
        "stratify": grid.variants[name].cut.stratify,
        "splits": splits,
        "variance": variance,
        "coverage": _coverage(variance[last]["score"]),
        "baselines": _baselines(grid, splits, name),
        "composition": {
            share: _json(correlate(scores, [split[share] for split in splits]))
            for share in ("cycles", *shares(devices))
        },
        "ends": {
            end: {
                "split_seed": split["split_seed"],
                "patients": by_patient(tested[name, split["split_seed"], last]).to_dict("records"),
            }
            for end, split in (("lowest", by_score[0]), ("highest", by_score[-1]))
        },
        "selection_cost": _selection_cost(grid, coordinates, sizes),
    }


def _split(
    grid: Grid, runs: pd.DataFrame, tested: Tested, name: str, split_seed: int
) -> dict[str, Any]:
    """One split: what its test side is made of, and the mean over its training seeds."""
    study = grid.studies[Coordinates(name, split_seed, int(runs["seed"].iloc[0]))]
    cycles = study.cycles
    test = cycles[cycles["recording"].isin(study.split.test)]
    known = None
    if no_interval(test) is None:
        # What is predicted plays no part in it.
        known = coverage.over_patients(test.assign(predicted=NORMAL), split_seed)
    ours = runs[runs["split_seed"] == split_seed]
    scores = {}
    for stage in grid.stages:
        interval = _json(bootstrap(tested[name, split_seed, stage], split_seed))
        scores[stage] = ours.loc[ours["stage"] == stage, list(NAMES)].mean().to_dict() | {
            "interval": None if interval is None else interval | {"coverage": known}
        }
    return {
        "split_seed": split_seed,
        **composition(test, study.devices),
        "patients_off_test": int(cycles["patient"].nunique() - test["patient"].nunique()),
        "scores": scores,
    }


def _values(runs: pd.DataFrame, stage: str, metric: str) -> np.ndarray:
    """A metric by split and training seed, float64 [J, K]."""
    of_stage = runs[runs["stage"] == stage]
    return of_stage.pivot(index="split_seed", columns="seed", values=metric).to_numpy()


class Sizes(TypedDict):
    """Patients on the test side of a split and off it, means over the splits."""

    n_test: float
    n_train: float


def _sizes(splits: list[dict[str, Any]]) -> Sizes:
    return Sizes(
        n_test=float(np.mean([split["patients"] for split in splits])),
        n_train=float(np.mean([split["patients_off_test"] for split in splits])),
    )


def _decomposed(runs: pd.DataFrame, stage: str, metric: str, sizes: Sizes) -> dict[str, Any] | None:
    """None with a single split or seed, which has no spread."""
    values = _values(runs, stage, metric)
    return decompose(values, **sizes).to_json() if min(values.shape) > 1 else None


def _coverage(found: dict[str, Any] | None) -> dict[str, float] | None:
    """How often intervals of so many splits and seeds hold what they should."""
    if found is None or found["share"] is None:
        return None
    return coverage.over_splits(found["splits"], found["seeds"], found["share"]["value"], seed=0)


def _baselines(grid: Grid, splits: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Each baseline's mean over the splits, and on how many the variant beats it."""
    last = grid.stages[-1]
    scored: dict[str, list[dict[str, float]]] = {}
    for split in splits:
        at = next(p for p in grid.studies if p[:2] == (name, split["split_seed"]))
        classes = len(grid.studies[at].recipe.classes)
        for baseline, rows in grid.run_of(at).baseline_predictions().groupby("baseline"):
            scored.setdefault(str(baseline), []).append(values(rows, classes))
    return {
        baseline: {
            **{metric: float(np.mean([s[metric] for s in of])) for metric in NAMES},
            "standard_deviation": float(np.std([s["score"] for s in of], ddof=1))
            if len(of) > 1
            else None,
            "splits": len(of),
            "beaten_on": sum(
                split["scores"][last]["score"] > s["score"]
                for split, s in zip(splits, of, strict=True)
            ),
        }
        for baseline, of in scored.items()
    }


def _comparison(
    grid: Grid, runs: pd.DataFrame, tested: Tested, variants: dict[str, dict[str, Any]]
) -> dict[str, Any] | None:
    """Two recipes on the same plain splits, A less B; None where there is one."""
    plain = [name for name, variant in grid.variants.items() if not variant.cut.stratify]
    if len(plain) != 2:
        return None
    a, b = plain
    split_seeds = grid.split_seeds
    by_stage = {}
    sizes = _sizes(variants[a]["splits"])
    for stage in grid.stages:
        values = {
            name: {m: _values(runs[runs["variant"] == name], stage, m) for m in NAMES}
            for name in plain
        }
        apart = {m: differences(values[a][m], values[b][m]) for m in NAMES}
        patients = {
            str(seed): _json(
                bootstrap_difference(tested[a, seed, stage], tested[b, seed, stage], seed)
            )
            for seed in split_seeds
        }
        by_stage[stage] = {
            "differences": {metric: d.tolist() for metric, d in apart.items()},
            "patients": patients,
            **{
                metric: compare(d, **sizes).to_json() if len(d) > 1 else None
                for metric, d in apart.items()
            },
        }
    overlap = sizes["n_test"] / (sizes["n_test"] + sizes["n_train"])
    return {
        "a": a,
        "b": b,
        "split_seeds": split_seeds,
        "stages": by_stage,
        "coverage": [
            {
                "correlation": correlation,
                "coverage": coverage.of_differences(len(split_seeds), correlation, **sizes, seed=0),
            }
            for correlation in (0.0, overlap, 0.5)
            if len(split_seeds) > 1
        ],
    }


def _selection_cost(
    grid: Grid, coordinates: list[Coordinates], sizes: Sizes
) -> dict[str, Any] | None:
    """What stage 1 scores on test at the chosen, the last and the test-best epoch; never used.

    None unless the recipe watches test.
    """
    if not grid.studies[coordinates[0]].recipe.watch_test:
        return None
    rows = []
    for at in coordinates:
        fit = grid.run_of(at).fit()
        seen = np.array([row["test_score"] for row in fit.history])
        rows.append((at.split_seed, seen[fit.epoch - 1], seen[-1], seen.max()))
    table = pd.DataFrame(rows, columns=["split_seed", "chosen", "last", "best"])
    gains = table.assign(gain=table["best"] - table["chosen"]).groupby("split_seed")["gain"].mean()
    return {
        "runs": len(table),
        **{name: float(table[name].mean()) for name in ("chosen", "last", "best")},
        "best_less_chosen": compare(gains.to_numpy(), **sizes).to_json()
        if len(gains) > 1
        else None,
    }


def _json(found: Intervals | PatientDifference | Correlation | None) -> dict[str, Any] | None:
    return None if found is None else found.to_json()
