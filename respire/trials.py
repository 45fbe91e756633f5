"""Trials of a search on Ray Tune: a recipe each, scored on one inner split after the other."""

import importlib.util
import logging
import os
import time
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import pyarrow as pa
import ray
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from respire.cells import GridCell, validate_cell
from respire.errors import InputError
from respire.evaluation.objective import gain
from respire.recipe import Recipe
from respire.resources import set_up_torch
from respire.search_space import Space, apply, is_flat, suggest
from respire.session import Queue, share
from respire.storage import Storage
from respire.study import Study
from respire.tracking import Tracker

optuna.logging.set_verbosity(optuna.logging.WARNING)  # trials are told of in our own words

KEEP = 2
"""After each inner split the better one in so many trials goes on."""
SNAPSHOT_SECONDS = 5
METRIC = "gain"
MIN_TRIALS = 8
"""Trials that importance needs: a forest grown on fewer tells noise."""
FINISHED, STOPPED, FAILED, OUT_OF_MEMORY = "finished", "stopped early", "failed", "out of memory"


@dataclass(frozen=True)
class Trial:
    """A recipe that was tried.

    Attributes:
        name: short and unique in its search.
        values: what it varies, by field.
        scores: validation Score on each inner split it came to, fractions.
        gain: over the default recipe on those splits (evaluation/objective.py); None for none.
        state: FINISHED (all splits), STOPPED (worse than others on the first ones), FAILED or
            OUT_OF_MEMORY.
        reason: why it failed, "" where it did not.
        seconds: of its trainings, those that an earlier invocation had finished left out.
    """

    name: str
    values: Mapping[str, Any]
    scores: tuple[float, ...]
    gain: float | None
    state: str
    reason: str
    seconds: float


@dataclass(frozen=True)
class Trials:
    """What all trials of a search have in common; picklable.

    Attributes:
        recipe: the default recipe.
        space: what varies.
        studies: the default recipe's on each inner split.
        default: its validation Scores there.
        caution: standard errors that are taken off the gain.
        stage2: whether stage 2 is scored, and not stage 1.
        tracker: the MLflow run that the trials are nested in.
        lines: what the user sees (session.console).
        parallel: trials at once.
    """

    recipe: Recipe
    space: Space
    studies: tuple[Study, ...]
    default: tuple[float, ...]
    caution: float
    stage2: bool
    tracker: Tracker
    lines: Queue
    parallel: int


def sampler_of(name: str, seed: int) -> BaseSampler:
    """Optuna's sampler of a name: tpe, random, cmaes or gp.

    TPE is multivariate, groups the dimensions that are there together, and keeps its distance from
    trials that still run.
    """
    samplers = optuna.samplers
    if name == "tpe":
        warnings.filterwarnings("ignore", "Argument ``group``", ExperimentalWarning)
        return samplers.TPESampler(multivariate=True, group=True, constant_liar=True, seed=seed)
    if name == "random":
        return samplers.RandomSampler(seed)
    return {"cmaes": samplers.CmaEsSampler, "gp": samplers.GPSampler}[name](seed=seed)


def check_sampler(name: str, space: Space) -> None:
    """Refuse a sampler that cannot search a space.

    Raises:
        InputError: Optuna would draw dimensions with conditions, or for cmaes choices, at random.
    """
    if name in ("cmaes", "gp") and not is_flat(space):
        conditional = [str(dimension) for dimension in space if dimension.when]
        raise InputError(
            f"--sampler {name}: would draw {conditional[0]!r} at random, for it has a condition; "
            f"leave {len(conditional)} such out with --only, or use tpe"
        )
    if name == "cmaes" and any(len(dimension.choices) > 1 for dimension in space):
        choice = next(dimension for dimension in space if len(dimension.choices) > 1)
        raise InputError(
            f"--sampler cmaes: would draw {str(choice)!r} at random, for it is no number; leave "
            f"it out with --only, or use tpe or gp"
        )
    if name == "cmaes" and importlib.util.find_spec("cmaes") is None:
        raise InputError("--sampler cmaes: needs the package cmaes; pip install cmaes")


def run_trials(
    trials: Trials,
    cycles: pa.Table,
    *,
    sampler: str,
    seed: int,
    samples: int,
    gpu: bool,
    folder: Storage,
) -> list[Trial]:
    """Try recipes, as many at once as there is room for; a search that was killed goes on.

    Args:
        trials: what they have in common.
        cycles: rows of the recordings in train and validation.
        sampler: as ``sampler_of`` takes it.
        seed: of the sampler.
        samples: recipes to try.
        gpu: whether they compute on GPUs.
        folder: keeps Tune's state.

    Returns:
        Every trial, in the order they began.
    """
    part = share(trials.parallel, gpu)
    trainable = tune.with_resources(
        tune.with_parameters(_try, trials=trials, cycles=cycles),
        {"GPU": part.gpus} if gpu else {"CPU": part.cpus},
    )
    # A failed trial is told of in our own words, and Tune keeps up with those that have ended.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", str(SNAPSHOT_SECONDS))
    path = f"{folder.uri}/tune"
    if tune.Tuner.can_restore(path):
        tuner = tune.Tuner.restore(path, trainable)
    else:
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                metric=METRIC,
                mode="max",
                num_samples=samples,
                max_concurrent_trials=trials.parallel,
                search_alg=OptunaSearch(
                    _Suggest(trials.space, trials.recipe),
                    metric=METRIC,
                    mode="max",
                    sampler=sampler_of(sampler, seed),
                ),
                scheduler=ASHAScheduler(
                    time_attr="splits",
                    max_t=len(trials.studies),
                    grace_period=1,
                    reduction_factor=KEEP,
                ),
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=folder.uri,
                verbose=0,
                callbacks=[_Ends(trials.tracker, len(trials.studies), samples)],
            ),
        )
    return [_told(result, len(trials.studies)) for result in tuner.fit()]


def study_of(trials: Iterable[Trial], space: Space, storage: str | None = None) -> optuna.Study:
    """The trials as an Optuna study, for its dashboard and what it can say of importance.

    Args:
        trials: those without any Score count as failed.
        space: what they vary.
        storage: as Optuna takes it, such as ``sqlite:///optuna.db``; None keeps it in memory.
    """
    study = optuna.create_study(direction="maximize", study_name="search", storage=storage)
    distributions = {dimension.field: dimension.distribution() for dimension in space}
    states = optuna.trial.TrialState
    for trial in trials:
        study.add_trial(
            optuna.trial.create_trial(
                state=states.FAIL if trial.gain is None else states.COMPLETE,
                value=trial.gain,
                params=dict(trial.values),
                distributions={field: distributions[field] for field in trial.values},
                user_attrs={"name": trial.name, "state": trial.state, "scores": trial.scores},
            )
        )
    return study


def importance(study: optuna.Study, seed: int) -> dict[str, float]:
    """Share of the gain's variance that each field explains by itself (fANOVA, Hutter 2014).

    Returns:
        The fields that every trial has, the most important first; empty where trials with a gain
        are few or all have the same.
    """
    gains = [trial.value for trial in study.trials if trial.value is not None]
    if len(gains) < MIN_TRIALS or len(set(gains)) == 1:
        return {}
    try:
        return optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=seed)
        )
    except (RuntimeError, ValueError):
        return {}


@dataclass(frozen=True)
class _Suggest:
    """A trial's values, for OptunaSearch."""

    space: Space
    recipe: Recipe

    def __call__(self, trial: optuna.Trial) -> dict[str, Any]:
        return {"values": suggest(trial, self.space, self.recipe)}


def _try(config: dict[str, Any], trials: Trials, cycles: pa.Table) -> None:
    """What runs in each trial's process."""
    set_up_torch(trials.parallel)
    name = tune.get_context().get_trial_id()
    values = config["values"]
    recipe = apply(trials.recipe, values)
    run = trials.tracker.child(f"trial {name}")
    run.log_params(recipe.flat())
    scores: list[float] = []
    seconds = 0.0
    for inner, study in enumerate(trials.studies):
        child = run.child(f"trial {name}, inner split {study.split.inner_seed}")
        cell = GridCell(name, replace(study, recipe=recipe), trials.stage2)
        began = time.monotonic()
        with child:
            validate_cell(cell, cycles)
            found = cell.validation()
            child.log_metrics({m: getattr(found, m) for m in ("score", "se", "sp")})
        seconds += time.monotonic() - began
        scores.append(found.score)
        better = gain(scores, trials.default, trials.caution)
        run.log_metrics({METRIC: better, "score": sum(scores) / len(scores), "splits": inner + 1})
        trials.lines.put_nowait(
            f"trial {name}: split {inner + 1}/{len(trials.studies)}, {100 * better:+.1f} points "
            f"from the default recipe"
        )
        tune.report(
            {METRIC: better, "splits": inner + 1, "scores": scores.copy(), "train_s": seconds}
        )


class _Ends(tune.Callback):
    """Ends each trial's MLflow run, and tells how far the search is."""

    def __init__(self, tracker: Tracker, splits: int, samples: int):
        self.tracker, self.splits, self.samples = tracker, splits, samples
        self.began, self.ended = time.monotonic(), 0

    def on_trial_complete(self, *_: Any, trial: Any, **__: Any) -> None:
        """A trial came to its end, or was stopped."""
        splits = trial.last_result.get("splits", 0)
        self._end(trial, FINISHED if splits == self.splits else STOPPED)

    def on_trial_error(self, *_: Any, trial: Any, **__: Any) -> None:
        """A trial failed."""
        self._end(trial, FAILED)

    def _end(self, trial: Any, state: str) -> None:
        run = self.tracker.child(f"trial {trial.trial_id}")
        run.log_tags({"respire.state": state})
        run.finish("FAILED" if state == FAILED else "FINISHED")
        self.ended += 1
        left = (time.monotonic() - self.began) / self.ended * (self.samples - self.ended)
        print(
            f"trial {trial.trial_id}: {state}; {self.ended} of {self.samples} trials done, about "
            f"{left / 60:.0f} min left",
            flush=True,
        )


def _told(result: Any, splits: int) -> Trial:
    metrics = result.metrics or {}
    scores = tuple(metrics.get("scores", ()))
    if result.error is not None:
        memory = isinstance(result.error, ray.exceptions.OutOfMemoryError)
        state = OUT_OF_MEMORY if memory else FAILED
    else:
        state = FINISHED if len(scores) == splits else STOPPED
    return Trial(
        name=metrics.get("trial_id", Path(result.path).name),
        values=result.config["values"],
        scores=scores,
        gain=metrics.get(METRIC),
        state=state,
        reason="" if result.error is None else str(result.error).strip().splitlines()[-1],
        seconds=float(metrics.get("train_s", 0.0)),
    )
