"""Proposing recipes: samplers, and what Optuna is told, on a cheap stand-in for training."""

import math
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import optuna
import pytest
import torch
from scipy import stats

from respire.errors import InputError
from respire.experiments.search.objective import gain, importance, study_of
from respire.experiments.search.samplers import check_sampler, sampler_of
from respire.experiments.search.space import SPACE, apply, read_space, suggest
from respire.experiments.search.summary import (
    FAILED,
    FINISHED,
    OUT_OF_MEMORY,
    STOPPED,
    Trial,
)
from respire.experiments.search.trials import Progress, _is_whole, failure
from respire.recipe.presets import small
from respire.runtime.storage import Storage

optuna.logging.set_verbosity(optuna.logging.ERROR)

BEST_WINDOW, BEST_RATE = 5.0, 2e-3
TEXTS = (
    "features.window_seconds=1:9",
    "optimisation.learning_rate=0.0001:0.03:log",
    "features.padding=smart|zero",
)
RECIPE = small()
SPLITS = 3


def trained(values: dict[str, Any], split: int, seed: int) -> float:
    """What training would score: window and rate matter, padding does not, splits differ."""
    recipe = apply(RECIPE, values)
    window = recipe.features.window_seconds - BEST_WINDOW
    rate = math.log10(recipe.optimisation.learning_rate / BEST_RATE)
    luck = np.random.default_rng([split, seed, round(1e6 * recipe.features.window_seconds)])
    easy = 0.1 * split
    return 0.4 + easy - 0.01 * window**2 - 0.08 * rate**2 + 0.003 * luck.standard_normal()


def searched(sampler: str, seed: int, trials: int = 40) -> dict[str, Any]:
    """The values of the best trial of one seeded search."""
    space = read_space(RECIPE, TEXTS)
    default = [trained({}, split, seed) for split in range(SPLITS)]
    study = optuna.create_study(direction="maximize", sampler=sampler_of(sampler, seed))
    for _ in range(trials):
        trial = study.ask()
        values = suggest(trial, space, RECIPE)
        scores = [trained(values, split, seed) for split in range(SPLITS)]
        study.tell(trial, gain(scores, default))
    return study.best_params


def in_the_better_region(values: dict[str, Any]) -> bool:
    near = abs(values["features.window_seconds"] - BEST_WINDOW) < 0.5
    return near and abs(math.log10(values["optimisation.learning_rate"] / BEST_RATE)) < 0.15


def test_tpe_finds_the_better_region_more_often_than_random_search() -> None:
    hits = {
        sampler: sum(in_the_better_region(searched(sampler, seed)) for seed in range(25))
        for sampler in ("tpe", "random")
    }
    table = [[hits["tpe"], 25 - hits["tpe"]], [hits["random"], 25 - hits["random"]]]
    assert stats.fisher_exact(table, alternative="greater").pvalue < 0.01, hits


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_the_same_seed_proposes_the_same_recipes(sampler: str) -> None:
    pytest.importorskip("torch")
    assert searched(sampler, 3, trials=12) == searched(sampler, 3, trials=12)
    assert searched(sampler, 3, trials=12) != searched(sampler, 4, trials=12)


def test_samplers_that_would_draw_at_random_are_refused_by_the_dimension() -> None:
    conditional = read_space(small(), SPACE)
    for sampler in ("cmaes", "gp"):
        with pytest.raises(InputError, match=r"multiple_of_normal.*for it has a condition"):
            check_sampler(sampler, conditional)
    with pytest.raises(InputError, match=r"features\.padding.*for it is no number"):
        check_sampler("cmaes", read_space(small(), TEXTS))
    for sampler, space in (
        ("tpe", conditional),
        ("random", conditional),
        ("gp", read_space(small(), TEXTS)),
    ):
        check_sampler(sampler, space)


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        # Ray's monitor; Tune hands such an error over as text.
        (
            "Failure # 1 (occurred at 07-43-27)\n1 worker(s) were killed due to the node "
            "running low on memory. Memory on the node was 6.29GB used\nOOM kill reason: usage",
            OUT_OF_MEMORY,
            "1 worker(s) were killed due to the node running low on memory. Memory on the node was "
            "6.29GB used",
        ),
        (torch.OutOfMemoryError("CUDA out of memory."), OUT_OF_MEMORY, "CUDA out of memory."),
        (
            "Traceback\n  File\nnumpy.core._exceptions._ArrayMemoryError: Unable to allocate 7 GiB",
            OUT_OF_MEMORY,
            "numpy.core._exceptions._ArrayMemoryError: Unable to allocate 7 GiB",
        ),
        (
            "Traceback\n  File\nFloatingPointError: loss is nan",
            FAILED,
            "FloatingPointError: loss is nan",
        ),
        (ValueError(), FAILED, "ValueError"),
    ],
)
def test_a_trial_that_ran_out_of_memory_is_told_from_one_that_failed(
    error: BaseException | str, state: str, reason: str
) -> None:
    assert failure(error) == (state, reason)


def tried(number: int, values: dict[str, Any], value: float | None, state: str) -> Trial:
    scores = () if value is None else (0.5 + value,)
    return Trial(f"t{number}", values, scores, value, state, "", 1.0)


def test_optuna_is_told_every_trial_with_its_values_gain_and_state(tmp_path) -> None:
    space = read_space(small(), SPACE)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    trials = [
        tried(n, suggest(study.ask(), space, small()), value, state)
        for n, (value, state) in enumerate(
            [(0.01, FINISHED), (0.05, STOPPED), (None, FAILED), (0.03, FINISHED)]
        )
    ]
    storage = f"sqlite:///{tmp_path}/optuna.db"
    study_of(trials, space, storage)
    told = optuna.load_study(study_name="search", storage=storage)
    assert [t.params for t in told.trials] == [t.values for t in trials]
    assert [t.user_attrs["state"] for t in told.trials] == [t.state for t in trials]
    assert [t.value for t in told.trials if t.state.name == "COMPLETE"] == [0.01, 0.05, 0.03]
    assert told.best_trial.user_attrs["name"] == "t3"  # t1 came to one split only


def test_importance_finds_what_matters_and_says_nothing_of_too_few_trials() -> None:
    space = read_space(RECIPE, TEXTS)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(1))
    trials = []
    for number in range(60):
        values = suggest(study.ask(), space, RECIPE)
        trials.append(tried(number, values, trained(values, 0, 0) - 0.4, FINISHED))
    found = importance(study_of(trials, space), seed=0)
    assert set(found) == {d.field for d in space}
    assert min(found, key=lambda field: found[field]) == "features.padding"
    assert sum(found.values()) == pytest.approx(1)
    assert found == importance(study_of(trials, space), seed=0)
    assert importance(study_of(trials[:7], space), seed=0) == {}


def test_a_search_goes_on_only_from_a_snapshot_that_is_whole(tmp_path: Path) -> None:
    kept = Storage.at(tmp_path)
    assert not _is_whole(kept)
    (tmp_path / "tuner.pkl").write_bytes(b"Tune writes it before any snapshot")
    assert not _is_whole(kept)
    (tmp_path / "experiment_state-2026-01-01_00-00-00.json").write_text('{"trial_data": []}')
    assert _is_whole(kept)
    (tmp_path / "experiment_state-2026-01-02_00-00-00.json").write_text('{"trial_data": [')
    assert not _is_whole(kept)


def test_a_callback_that_tune_kept_comes_back_as_that_of_this_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = Progress(None, splits=2, samples=4)  # type: ignore[arg-type]
    monkeypatch.setattr(Progress, "now", before, raising=False)
    kept = cloudpickle.dumps([before])
    now = Progress(None, splits=2, samples=4)  # type: ignore[arg-type]
    monkeypatch.setattr(Progress, "now", now)
    (back,) = cloudpickle.loads(kept)
    assert back is now
