"""Who proposes the recipes that a search tries: Optuna's samplers, and what each can search."""

import importlib.util
import warnings

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler

from respire.errors import InputError
from respire.experiments.search.space import Space, is_flat


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
