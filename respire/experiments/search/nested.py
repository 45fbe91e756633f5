"""A nested search: test patients set apart, recipes tried on the rest, the best read once."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa

from respire.data.splits.split import Cut
from respire.errors import InputError, RunError
from respire.experiments.search.objective import best_of, gain, importance, study_of
from respire.experiments.search.space import Space, apply
from respire.experiments.search.summary import (
    FAILED,
    OUT_OF_MEMORY,
    Default,
    OuterSplit,
    SearchPlan,
    Trial,
    Winner,
)
from respire.experiments.search.trials import Trials, run_trials
from respire.metrics import overall
from respire.recipe.recipe import Recipe
from respire.runtime.actors import run_grid
from respire.runtime.storage import Storage
from respire.statistics.intervals import difference_over_patients
from respire.study.experiment import Experiment
from respire.study.grid import Coordinates
from respire.study.one_run import Run, rounds, train_and_test, train_and_validate
from respire.study.study import Study
from respire.study.tested import keep_all_predictions

DEFAULT, WINNER = "default", "winner"


def search_split(
    experiment: Experiment, studies: Sequence[Study], whole: Study, space: Space, plan: SearchPlan
) -> OuterSplit:
    """Search on all but an outer seed's test patients, and read those once, at the end.

    Both recipes are refitted on everybody else, to their last epoch: nobody is left to choose one
    by.

    Args:
        experiment: what it is run for.
        studies: the default recipe's, one an inner split.
        whole: the default recipe's with nobody in validation, which it is refitted on.
        space: what varies.
        plan: how to search.

    Raises:
        FloatingPointError: the default recipe, or a winner refitted, diverged.
        RunError: every trial failed.
    """
    first, setting = studies[0], experiment.setting
    split_seed = first.split.cut.split_seed
    outer = f"outer split {split_seed}"
    known, tracker = first.read("train", "validation"), experiment.tracker.child(outer)
    inner_seeds = tuple(study.split.cut.inner_seed for study in studies)
    with setting.stopwatch.part(f"default recipe, {outer}"):
        runs = [
            Run(f"default recipe, inner split {seed}", study, plan.stage2)
            for seed, study in zip(inner_seeds, studies, strict=True)
        ]
        _train(train_and_validate, runs, known, plan.per_gpu)
        default = tuple(run.validation().score for run in runs)
    with tracker, setting.stopwatch.part(f"trials, {outer}"):
        trials = run_trials(
            Trials(tuple(studies), space, plan, default, tracker, setting.lines),
            known,
            experiment.folder / f"outer-{split_seed}",
        )
    if all(trial.state in (FAILED, OUT_OF_MEMORY) for trial in trials):
        why = trials[0].reason or trials[0].state
        raise RunError(f"{outer}: all {len(trials)} trials failed, the first because: {why}")
    _keep_study(experiment.folder / f"optuna-{split_seed}.db", trials, space)
    with setting.stopwatch.part(f"refit, {outer}"):
        recipes = {DEFAULT: first.recipe}
        if best := best_of(trials):
            recipes[WINNER] = apply(first.recipe, best.values)
        refits = {
            name: Run(f"{name}, {outer}", replace(whole, recipe=recipe), plan.stage2)
            for name, recipe in recipes.items()
        }
        for part in rounds(refits):
            runs = [refits[name] for name in part]
            _train(train_and_test, runs, whole.read("train", "test"), plan.per_gpu)
        keep_all_predictions(
            experiment.folder / f"predictions-{split_seed}.parquet",
            {Coordinates(name, split_seed, whole.seed): run for name, run in refits.items()},
        )
        predicted = {name: run.predictions(plan.stage) for name, run in refits.items()}
        baselines = refits[DEFAULT].baseline_predictions()
    matters = importance(study_of(trials, space), split_seed)
    classes = len(first.recipe.classes)
    return summarise(
        *(split_seed, inner_seeds, default, trials, predicted, baselines, classes, matters)
    )


def check_honest(recipe: Recipe, cut: Cut, space: Space, outer_seeds: Sequence[int] = (0,)) -> None:
    """Refuse a search in which test, or labels of those who are scored, would choose.

    Raises:
        InputError: the recipe is stamped or watches test, a dimension leads to one that is,
            patients are not apart, or all outer seeds have one test side.
    """
    if not cut.patients_apart:
        raise InputError(f"--split {cut.kind}: a search needs patients apart; use --split 80-20")
    if cut.listed_test and len(outer_seeds) > 1:
        raise InputError(
            f"--split {cut.kind} has one test side; use --split 80-20, or one outer seed"
        )
    if recipe.watch_test:
        raise InputError("a search must not read test: leave out --recipe.watch-test")
    stamped = [f"the recipe is stamped {stamp!r}" for stamp in recipe.stamps]
    for dimension in space:
        for choice in dimension.choices:
            try:
                stamps = apply(recipe, {dimension.field: choice}).stamps
            except InputError:
                continue  # impossible by itself: its trials fail and say so
            stamped += [f"{str(dimension)!r} leads to {stamp!r}" for stamp in stamps]
    if stamped:
        raise InputError(
            f"a search must not be led by what is tested: {stamped[0]}; use --recipe.selection "
            f"validation and a --recipe.features.evaluation-padding that reads no labels"
        )


def summarise(
    split_seed: int,
    inner_seeds: tuple[int, ...],
    default: tuple[float, ...],
    trials: Sequence[Trial],
    predicted: Mapping[str, pd.DataFrame],
    baselines: pd.DataFrame,
    classes: int,
    importance: Mapping[str, float],
) -> OuterSplit:
    """What an outer split is said to have gained.

    Args:
        split_seed: of the outer split.
        inner_seeds: of the validation splits.
        default: the default recipe's validation Scores on them, fractions.
        trials: every recipe that was tried, ranked by its gain.
        predicted: test predictions of DEFAULT and, where one is best, WINNER, a row a cycle.
        baselines: those of the baselines, a row a cycle and ``baseline``.
        classes: number of classes.
        importance: share of the gain's variance by field.
    """
    test = {name: overall(rows, classes) for name, rows in predicted.items()}
    winner = None
    if best := best_of(trials):
        winner = Winner(
            *(best.name, gain(best.scores, default), test[WINNER]),
            test[WINNER].score - test[DEFAULT].score,
            difference_over_patients(predicted[WINNER], predicted[DEFAULT]),
        )
    told = (replace(t, gain=gain(t.scores, default) if t.scores else None) for t in trials)
    return OuterSplit(
        split_seed,
        inner_seeds,
        Default(default, test[DEFAULT]),
        {str(name): overall(rows, classes) for name, rows in baselines.groupby("baseline")},
        tuple(told),
        winner,
        importance,
        sum(trial.seconds for trial in trials),
    )


def _keep_study(file: Storage, trials: Sequence[Trial], space: Space) -> None:
    """Write the trials as an Optuna study, a database of its own, for optuna-dashboard."""
    with tempfile.TemporaryDirectory() as temporary:
        database = Path(temporary) / "optuna.db"
        study_of(trials, space, f"sqlite:///{database}")
        file.write_bytes(database.read_bytes())


def _train(
    train: Callable[[Run, pa.Table], None], runs: Sequence[Run], cycles: pa.Table, per_gpu: int
) -> None:
    """Train all of these, as many at once as there is room for."""
    gpu = runs[0].study.compute.device == "cuda"
    failures = []
    for run, failure in run_grid(train, ((run, cycles) for run in runs), gpu=gpu, per_gpu=per_gpu):
        print(f"{run.name}: {failure or 'done'}", flush=True)
        failures += [f"{run.name}: {failure}"] if failure else []
    if failures:
        raise FloatingPointError("; ".join(failures))
