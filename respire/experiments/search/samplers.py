"""Who proposes the recipes that a search tries: Optuna's samplers, and what each can search."""

import importlib.util
import warnings

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler

from respire.errors import InputError
from respire.experiments.search.space import Space


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
    for why, unfit, theirs, others in (
        ("has a condition", [d for d in space if d.when], ("cmaes", "gp"), "tpe"),
        ("is no number", [d for d in space if len(d.choices) > 1], ("cmaes",), "tpe or gp"),
    ):
        if unfit and name in theirs:
            raise InputError(
                f"--sampler {name}: would draw {str(unfit[0])!r} at random, for it {why}; leave "
                f"{len(unfit)} such out with --only, or use {others}"
            )
    if name == "cmaes" and importlib.util.find_spec("cmaes") is None:
        raise InputError("--sampler cmaes: needs the package cmaes; pip install cmaes")
