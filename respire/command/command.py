"""The command line that all experiments share."""

import argparse
import dataclasses
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, NoReturn, Self, TypeVar, cast, get_args

import tyro

from respire.data.corpora.corpus import SYNTHETIC
from respire.errors import InputError, without_credentials
from respire.recipe.presets import PRESETS, paper
from respire.recipe.recipe import Recipe

SplitKind = Literal["80-20", "60-40", "60-40-disjoint", "by-cycle"]
OFFICIAL: tuple[SplitKind, ...] = ("60-40", "60-40-disjoint")
Gpu = Literal["auto", "none", "required"]
RECIPES = f"{{{','.join(PRESETS)}}}|FILE.toml"
"""What a recipe can be called by."""
Sampler = Literal["tpe", "random", "cmaes", "gp"]
QUICK_TRIALS, QUICK_INNER_SPLITS = 6, 2
QUICK_SPLITS, QUICK_SEEDS, QUICK_EPOCHS = 4, 2, 4
"""A grid that is done in minutes, and concludes nothing."""
QUICK_TABLE_SPLITS = 2


def _gpu_from_environment() -> Gpu:
    gpu = os.environ.get("RESPIRE_GPU", "auto")
    if gpu not in get_args(Gpu):
        raise InputError(f"RESPIRE_GPU: {gpu!r} is none of {', '.join(get_args(Gpu))}")
    return cast(Gpu, gpu)


@dataclass(frozen=True)
class Options:
    """What every experiment can be told; defaults come from RESPIRE_* and MLFLOW_TRACKING_URI."""

    data: str | None = field(default_factory=lambda: os.environ.get("RESPIRE_DATA"))
    """Folder or s3:// URI in ICBHI's layout, searched recursively, or "synthetic"; left out, the
    published data set is downloaded (2 GB) into the cache."""
    preset: Annotated[str, tyro.conf.arg(name="recipe", metavar=RECIPES)] = "paper"
    """Recipe to start from; any field of it can be overridden below."""
    recipe: Recipe = field(default_factory=paper)
    """The recipe's fields."""
    quick: tyro.conf.FlagCreatePairsOff[bool] = False
    """Minutes on two cores, no download: synthetic data and the quick recipe."""
    split: SplitKind = "80-20"
    """80-20: random patients; 60-40: the official list, two patients on both sides;
    60-40-disjoint: the same without those patients' test recordings; by-cycle: random cycles, their
    patients on all sides (stamped)."""
    stratify: tyro.conf.FlagCreatePairsOff[bool] = False
    """Draw an 80-20 split's patients stratified by device and class."""
    split_seed: int = 0
    """Who is in test (not of the official list)."""
    inner_seed: int = 0
    """Who is in validation."""
    seed: int = 0
    """Training seed: initialisation, sampling, augmentation."""
    workers: int = 1
    """Training workers; on GPUs, one a GPU."""
    gpu: Gpu = field(default_factory=_gpu_from_environment)
    """auto: GPUs where there are any at the start; none; required: as many as --workers are asked
    of the cluster and waited for, and nothing is trained without."""
    storage: str = field(default_factory=lambda: os.environ.get("RESPIRE_STORAGE", "runs"))
    """Folder for everything that is kept; on several nodes s3://, gs:// or, for a folder that every
    node sees, file://."""
    name: str | None = None
    """Name of the run; the same name resumes it. Left out, it is made of recipe, split and key."""
    tracking_uri: str = field(
        default_factory=lambda: os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    )
    """Where MLflow keeps the runs: a server's address, or an sqlite file."""
    skip_bad: tyro.conf.FlagCreatePairsOff[bool] = False
    """Leave recordings with errors out, and list them in the report."""

    def shortened(self) -> Self:
        """The options that ``--quick`` stands for."""
        return dataclasses.replace(self, data=SYNTHETIC)

    def check_counts(self, *names: str) -> None:
        """Refuse options of these names that are below 1.

        Raises:
            InputError: one is.
        """
        for name in names:
            if getattr(self, name) < 1:
                option = name.replace("_", "-")
                raise InputError(f"--{option} {getattr(self, name)}: must be at least 1")


@dataclass(frozen=True)
class GridOptions(Options):
    """What every experiment can be told that compares many runs."""

    splits: int = 10
    """How many splits; --split-seed is the first one's seed, the others follow."""
    seeds: int = 3
    """How many training seeds on each split; --seed is the first."""
    stage2: tyro.conf.FlagCreatePairsOff[bool] = False
    """Fine-tune each model for every device too."""
    per_gpu: int = 2
    """How many runs share a GPU; without GPUs each gets a core."""

    def shortened(self) -> Self:
        """The options that ``--quick`` stands for."""
        return dataclasses.replace(
            super().shortened(),
            recipe=_shortly_trained(self.recipe),
            splits=QUICK_SPLITS,
            seeds=QUICK_SEEDS,
        )

    def __post_init__(self) -> None:
        self.check_counts("splits", "seeds", "per_gpu")
        if self.workers != 1:
            raise InputError("--workers: each run of a grid trains on one; leave it out")
        if self.splits > 1 and self.split in OFFICIAL:
            raise InputError(
                f"--split {self.split} is the same for every seed; use --split 80-20, or --splits 1"
            )


@dataclass(frozen=True)
class TableOptions(GridOptions):
    """What every grid can be told, and which rows of the table to fill."""

    splits: int = 5
    """How many splits; --split-seed is the first one's seed, the others follow."""
    seeds: int = 1
    """How many training seeds on each split; --seed is the first."""
    rows: tuple[str, ...] | None = None
    """Names of rows to fill, with those that they are compared with; left out, all."""

    def shortened(self) -> Self:
        """The options that ``--quick`` stands for."""
        return dataclasses.replace(super().shortened(), splits=QUICK_TABLE_SPLITS, seeds=1)


@dataclass(frozen=True)
class SearchOptions(Options):
    """What every experiment can be told, and how to search."""

    trials: int = 40
    """How many recipes to try."""
    inner_splits: int = 3
    """Validation splits that each is scored on; --inner-seed is the first one's seed."""
    outer_seeds: tuple[int, ...] = (0,)
    """Split seeds that set test patients apart; the search is repeated for each of them."""
    sampler: Sampler = "tpe"
    """Who proposes recipes; cmaes and gp need a space without conditions, cmaes numbers only."""
    caution: float = 0.0
    """Standard errors that are taken off a recipe's gain."""
    vary: tuple[str, ...] = ()
    """Dimensions FIELD=LOW:HIGH[:log|:STEP] or FIELD=A|B|C, each with " if FIELD[=VALUE]" after it
    where it depends on another; they replace those of the same field, or come on top."""
    only: tuple[str, ...] | None = None
    """Fields of the space that are varied; left out, all."""
    stage2: tyro.conf.FlagCreatePairsOff[bool] = False
    """Score recipes after device-specific fine-tuning, and vary its learning rate too."""
    per_gpu: int = 2
    """How many trials share a GPU; without GPUs each gets a core."""

    def shortened(self) -> Self:
        """The options that ``--quick`` stands for."""
        return dataclasses.replace(
            super().shortened(),
            recipe=_shortly_trained(self.recipe),
            trials=QUICK_TRIALS,
            inner_splits=QUICK_INNER_SPLITS,
            only=("features.window_seconds", "optimisation.learning_rate"),
        )

    def __post_init__(self) -> None:
        self.check_counts("trials", "inner_splits", "per_gpu")
        if self.workers != 1:
            raise InputError("--workers: each trial trains on one; leave it out")
        if not self.outer_seeds or len(set(self.outer_seeds)) < len(self.outer_seeds):
            raise InputError(f"--outer-seeds {self.outer_seeds}: give one or more, each once")
        if self.split in OFFICIAL and len(self.outer_seeds) > 1:
            raise InputError(
                f"--split {self.split} has one test side; use --split 80-20, or one outer seed"
            )
        if self.split == "by-cycle":
            raise InputError("--split by-cycle: a search needs patients apart; use --split 80-20")
        if self.recipe.selection != "validation" or self.recipe.watch_test:
            raise InputError("a search must not read test: --recipe.selection and .watch-test")


def _shortly_trained(recipe: Recipe) -> Recipe:
    optimisation = dataclasses.replace(recipe.optimisation, epochs=QUICK_EPOCHS)
    return dataclasses.replace(recipe, optimisation=optimisation)


O = TypeVar("O", bound=Options)  # noqa: E741


def parse(options: type[O], arguments: Sequence[str], description: str) -> O:
    """Read the command line: the preset first, since it gives the other options' defaults.

    Raises:
        InputError: the options contradict each other, or a recipe is impossible.
        SystemExit: --help, or an unknown option.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument("--recipe")
    first.add_argument("--quick", action="store_true")
    try:
        early, _ = first.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise InputError(f"--recipe: {error.message}") from error
    preset = early.recipe or ("quick" if early.quick else options.preset)
    default = options(preset=preset, recipe=recipe_named(preset))
    if early.quick:
        default = default.shortened()
    return tyro.cli(options, args=arguments, default=default, description=description)


def recipe_named(name: str) -> Recipe:
    """A preset by its name, or the recipe in a TOML file (recipe/toml_file.py) by its path.

    Raises:
        InputError: neither, or a file that is no recipe.
    """
    if name.endswith(".toml"):
        from respire.recipe.toml_file import read_recipe  # pydantic takes long to import

        return read_recipe(Path(name))
    if name not in PRESETS:
        raise InputError(
            f"recipe {name!r} is neither one of {', '.join(PRESETS)} nor a file that ends in .toml"
        )
    return PRESETS[name]()


def recipe_of(text: str, base: Recipe) -> Recipe:
    """A recipe as ``--compare`` names it.

    Args:
        text: a preset or file, one with overrides, or overrides of ``base``, separated by commas,
            such as ``small,features.padding=zero``.
        base: the recipe that is overridden where none is named.

    Raises:
        InputError: neither a preset nor a field and its value.
        SystemExit: no such field, or not one of its values; the message says which there are.
    """
    arguments = []
    for position, word in enumerate(text.split(",")):
        field_, equals, value = word.strip().partition("=")
        if equals:
            arguments += [f"--recipe.{field_}", *value.split()]
        elif position == 0 and (field_ in PRESETS or field_.endswith(".toml")):
            base = recipe_named(field_)
        else:
            raise InputError(
                f"--compare {text}: {field_!r} is neither a recipe ({', '.join(PRESETS)}, or a "
                f"file that ends in .toml) nor an override such as features.padding=zero"
            )
    # As the recipe of Options, for by itself its --task would clash with the alias.
    default, words = Options(recipe=base), (tyro.conf.FlagConversionOff,)
    return tyro.cli(Options, args=arguments, default=default, prog="--compare", config=words).recipe


def command(options: type[O], question: Callable[[O], None], description: str) -> NoReturn:
    """Run an experiment from the command line.

    Exits with 0 only if all was done, with 1 after an error, with 2 after bad input, told in one
    line, and with 130 when interrupted (the same command goes on from there).
    """
    try:
        question(parse(options, sys.argv[1:], description))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; the same command resumes it", file=sys.stderr)
        sys.exit(130)
    except Exception:
        sys.stderr.write(without_credentials(traceback.format_exc()))
        sys.exit(1)
    sys.exit(0)
