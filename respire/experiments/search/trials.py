"""Trials of a search on Ray Tune: a recipe each, scored on one inner split after the other."""

import json
import logging
import os
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import optuna
import pyarrow as pa
from pyarrow import fs
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from respire.experiments.search.objective import gain
from respire.experiments.search.samplers import sampler_of
from respire.experiments.search.space import Space, apply, suggest
from respire.experiments.search.summary import (
    FAILED,
    FINISHED,
    OUT_OF_MEMORY,
    STOPPED,
    SearchPlan,
    Trial,
)
from respire.recipe.recipe import Recipe
from respire.runtime.actors import slots
from respire.runtime.resources import set_up_torch
from respire.runtime.session import Queue, interruptible, share
from respire.runtime.storage import Storage
from respire.runtime.tracking import Tracker
from respire.study.one_run import Run, train_and_validate
from respire.study.study import Study

optuna.logging.set_verbosity(optuna.logging.WARNING)  # trials are told of in our own words

KEEP = 2
"""After each inner split the better one in so many trials goes on."""
SNAPSHOT_SECONDS = 2
RETRIES = 2
"""How often a trial is begun again that failed or was lost with its node; it goes on from its last
checkpoint. Tune cannot tell the two apart, so an impossible recipe is tried as often."""
METRIC = "gain"
MEMORY_SIGNS = ("running low on memory", "out of memory", "MemoryError")
"""What Ray's monitor, a GPU and Python say."""


@dataclass(frozen=True)
class Trials:
    """What all trials of a search have in common; picklable.

    Attributes:
        studies: the default recipe's on each inner split.
        space: what varies.
        plan: how to search.
        default: the default recipe's validation Scores on each.
        tracker: the MLflow run that the trials are nested in.
        lines: what the user sees (session.console).
    """

    studies: tuple[Study, ...]
    space: Space
    plan: SearchPlan
    default: tuple[float, ...]
    tracker: Tracker
    lines: Queue


class Progress(tune.Callback):
    """Ends each trial's MLflow run, and tells how far the search is.

    Tune keeps its callbacks with the search. What comes back of this one is the present process's.

    Attributes:
        now: that of the search which runs in this process.
    """

    now: ClassVar["Progress"]

    def __init__(self, tracker: Tracker, splits: int, samples: int):
        self.tracker, self.splits, self.samples = tracker, splits, samples
        self.began, self.ended_here = time.monotonic(), 0

    def __reduce__(self) -> Any:
        return getattr, (Progress, "now")

    def on_trial_complete(self, *_: Any, trials: list[Any], trial: Any, **__: Any) -> None:
        """A trial came to its end, or was stopped."""
        splits = trial.last_result.get("splits", 0)
        self._end(trials, trial, FINISHED if splits == self.splits else STOPPED)

    def on_trial_error(self, *_: Any, trials: list[Any], trial: Any, **__: Any) -> None:
        """A trial failed."""
        state, reason = failure(trial.get_error())
        self._end(trials, trial, state, f" ({reason})")

    def _end(self, trials: list[Any], trial: Any, state: str, why: str = "") -> None:
        run = self.tracker.child(f"trial {trial.trial_id}")
        run.log_tags({"respire.state": state})
        run.finish("FINISHED" if state in (FINISHED, STOPPED) else "FAILED")
        self.ended_here += 1
        done = len({one.trial_id for one in trials if one.is_finished()} | {trial.trial_id})
        left = (time.monotonic() - self.began) / self.ended_here * (self.samples - done)
        print(
            f"trial {trial.trial_id}: {state}{why}; {done} of {self.samples} trials done, "
            f"about {left / 60:.0f} min left",
            flush=True,
        )


def run_trials(trials: Trials, cycles: pa.Table, folder: Storage) -> list[Trial]:
    """Try recipes, as many at once as there is room for; a search that was killed goes on.

    Args:
        trials: what they have in common.
        cycles: rows of the recordings in train and validation.
        folder: keeps Tune's state.

    Returns:
        Every trial, in the order they began.
    """
    first, plan, kept = trials.studies[0], trials.plan, folder / "tune"
    splits, gpu = len(trials.studies), first.compute.device == "cuda"
    parallel = slots(gpu, plan.per_gpu)
    part = share(parallel, gpu)
    Progress.now = Progress(trials.tracker, splits, plan.trials)
    trainable = tune.with_resources(
        tune.with_parameters(_try, trials=trials, parallel=parallel, kept=kept, cycles=cycles),
        {"GPU": part.gpus} if gpu else {"CPU": part.cpus},
    )
    # A failed trial is told of in our own words, and Tune keeps up with those that have ended.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", str(SNAPSHOT_SECONDS))
    filesystem, home = folder.filesystem()
    if _is_whole(kept):
        tuner = tune.Tuner.restore(f"{home}/tune", trainable, storage_filesystem=filesystem)
    else:
        kept.delete()  # killed before the first snapshot was written; cells keep what was trained
        sampler = sampler_of(plan.sampler, (first.seed + first.split.cut.split_seed) % 2**32)
        propose = partial(_suggest, trials.space, first.recipe)
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                metric=METRIC,
                mode="max",
                num_samples=plan.trials,
                max_concurrent_trials=parallel,
                trial_dirname_creator=lambda trial: trial.trial_id,
                search_alg=OptunaSearch(propose, metric=METRIC, mode="max", sampler=sampler),
                scheduler=ASHAScheduler("splits", max_t=splits, reduction_factor=KEEP),
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=home,
                storage_filesystem=filesystem,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=RETRIES),
                callbacks=[Progress.now],
            ),
        )
    with interruptible():
        results = tuner.fit()
    if len(results) < plan.trials:
        raise KeyboardInterrupt  # Tune ends so when it gets SIGUSR1
    return [_ended(result, splits, kept) for result in results]


def _snapshots(folder: Storage) -> list[bytes]:
    """What Tune has kept of a search, the newest last."""
    filesystem, path = folder.filesystem()
    files = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
    paths = sorted(info.path for info in files if "experiment_state" in info.base_name)
    return [filesystem.open_input_stream(path).read() for path in paths]


def _is_whole(folder: Storage) -> bool:
    """Whether Tune can go on from its newest snapshot; a kill may have cut it off."""
    try:
        return bool(json.loads(_snapshots(folder)[-1]))
    except (IndexError, ValueError):
        return False


def _suggest(space: Space, recipe: Recipe, trial: optuna.Trial) -> dict[str, Any]:
    """A trial's values, for OptunaSearch."""
    return {"values": suggest(trial, space, recipe)}


def _try(
    config: dict[str, Any], trials: Trials, parallel: int, kept: Storage, cycles: pa.Table
) -> None:
    """What runs in each trial's process."""
    set_up_torch(parallel)
    name = tune.get_context().get_trial_id()
    # A kill would make Tune forget a trial that its last snapshot lacks, and what it had told.
    while not any(name.encode() in snapshot for snapshot in _snapshots(kept)):
        time.sleep(SNAPSHOT_SECONDS / 10)
    recipe = apply(trials.studies[0].recipe, config["values"])
    run = trials.tracker.child(f"trial {name}")
    run.log_recipe(recipe)
    scores: list[float] = []
    seconds = 0.0
    for number, study in enumerate(trials.studies, 1):
        inner = Run(name, replace(study, recipe=recipe), trials.plan.stage2)
        began = time.monotonic()
        with run.child(f"trial {name}, inner split {study.split.cut.inner_seed}") as child:
            train_and_validate(inner, cycles)
            validation = inner.validation()
            child.log_metrics(validation.fractions)
        seconds += time.monotonic() - began
        scores.append(validation.score)
        better = gain(scores, trials.default, trials.plan.caution)
        run.log_metrics({METRIC: better, "score": sum(scores) / number, "splits": number})
        trials.lines.put_nowait(
            f"trial {name}: split {number}/{len(trials.studies)}, {100 * better:+.1f} points "
            f"from the default recipe"
        )
        tune.report({METRIC: better, "splits": number, "scores": [*scores], "train_s": seconds})


def _ended(result: Any, splits: int, folder: Storage) -> Trial:
    name = Path(result.path).name
    metrics = result.metrics or {}
    scores = tuple(metrics.get("scores", ()))
    state, reason = FINISHED if len(scores) == splits else STOPPED, ""
    if result.error is not None:
        state, reason = failure(result.error)
    # Of a trial that failed before a kill the result itself has forgotten them.
    values = (folder / name / "params.json").read_json()["values"]
    seconds = float(metrics.get("train_s", 0.0))
    return Trial(name, values, scores, metrics.get(METRIC), state, reason, seconds)


def failure(error: BaseException | str) -> tuple[str, str]:
    """FAILED or OUT_OF_MEMORY, and why in one line; Tune keeps some errors as text only."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    for line in lines:
        if any(sign in line for sign in MEMORY_SIGNS):
            return OUT_OF_MEMORY, line.strip()
    return FAILED, lines[-1].strip()
