"""Every question's command: its options, and what they are handed down as.

What computes takes seconds to import, and --help does not: it is imported where it is needed.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import tyro

from respire.command.main import asked_with
from respire.command.options import (
    RECIPES,
    DataOptions,
    GridOptions,
    TableOptions,
    TrainingOptions,
    shortly_trained,
)
from respire.command.parse import recipe_of
from respire.errors import InputError
from respire.recipe.presets import scratch
from respire.recipe.recipe import Recipe

if TYPE_CHECKING:
    from respire.experiments.search.summary import SearchPlan

QUICK_TRIALS, QUICK_INNER_SPLITS = 6, 2
QUICK_SIZES = (1, 2)


@dataclass(frozen=True)
class FullOptions(TrainingOptions):
    """What every experiment that trains can be told, and with how many workers."""

    workers: int = 1
    """Training workers; on GPUs, one a GPU."""
    seeds: int = 1
    """How many training seeds; --seed is the first. Their predictions are averaged too."""
    register: str | None = None
    """Name in MLflow's model registry, of which the model becomes a version."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_counts("seeds")


@asked_with(FullOptions)
def full(options: FullOptions) -> str:
    """``experiments/full.py``."""
    from respire.experiments.full.run import full

    place = dataclasses.replace(options.place, workers=options.workers)
    seeds = range(options.seed, options.seed + options.seeds)
    return full(options.recipe, options.cut, seeds, place, options.name, options.register)


@dataclass(frozen=True)
class SeedVarianceOptions(GridOptions):
    """What every grid can be told, and what to compare."""

    stratify: tyro.conf.FlagCreatePairsOff[bool] = False
    """Run splits stratified by device and class beside the plain ones."""
    compare: tuple[str, str] | None = None
    """Two recipes A B to compare: each a name, or a name and overrides, such as
    small,features.padding=zero. The name given to --recipe means that recipe with what is
    overridden below, and so do overrides without a name."""
    describe: tyro.conf.FlagCreatePairsOff[bool] = False
    """Draw 1,000 splits, say what their test sides are made of, and train nothing."""
    folds: str | None = None
    """With --describe: the released code's list of patients and folds (patient_list_foldwise.txt),
    each of which is placed among the random splits."""

    @property
    def recipes(self) -> dict[str, Recipe]:
        """What is trained, by the names that the report calls them.

        Raises:
            InputError: recipes that cannot be compared.
        """
        if self.compare is None:
            return {self.recipe.preset: self.recipe}
        recipes = {name: recipe_of(name, self.recipe) for name in self.compare}
        if len({dataclasses.replace(recipe, preset="") for recipe in recipes.values()}) == 1:
            raise InputError(f"--compare {' '.join(self.compare)}: both are the same recipe")
        return recipes


@asked_with(SeedVarianceOptions)
def seed_variance(options: SeedVarianceOptions) -> str:
    """``experiments/seed_variance.py``."""
    if options.describe:
        from respire.experiments.split_ranges.run import describe

        return describe(options.cut, options.place, options.folds, options.name)
    from respire.experiments.seed_variance.run import seed_variance

    return seed_variance(options.recipes, options.cut, options.extent, options.place, options.name)


@dataclass(frozen=True)
class WindowLengthOptions(TableOptions):
    """What every table can be told, and which windows."""

    windows: tuple[float, ...] = (1, 2, 3, 4, 5, 6, 7, 8, 9)
    """Lengths to try beside the recipe's own (seconds)."""


@dataclass(frozen=True)
class ImageSizeOptions(TableOptions):
    """What every table can be told, and which sizes."""

    preset: Annotated[str, tyro.conf.arg(name="recipe", metavar=RECIPES)] = "scratch"
    """Recipe to start from; any field of it can be overridden below."""
    recipe: Recipe = field(default_factory=scratch)
    """The recipe's fields; features.upsample is what is compared."""
    sizes: tuple[int, ...] = (1, 2, 3)
    """How many times the spectrogram is enlarged."""

    def _quick(self) -> dict[str, Any]:
        return super()._quick() | {"sizes": QUICK_SIZES}


def _table(
    name: str, options: type[TableOptions] = TableOptions, *along: str
) -> Callable[[str], NoReturn]:
    """A table of the paper, whose question asks for a recipe, a cut and what it goes along."""

    @asked_with(options)
    def table(given: TableOptions) -> str:
        from respire.experiments.paper_tables.run import run_table

        module = import_module(f"respire.experiments.paper_tables.{name}")
        asked = module.question(given.recipe, given.cut, *(getattr(given, what) for what in along))
        return run_table(name, asked, given.rows, given.extent, given.place, given.name)

    return table


ablation = _table("ablation")
device_finetuning = _table("device_finetuning")
leakage = _table("leakage")
window_length = _table("window_length", WindowLengthOptions, "windows")
image_size = _table("image_size", ImageSizeOptions, "sizes")


@asked_with(TableOptions)
def single_device(options: TableOptions) -> str:
    """``experiments/single_device.py``, whose rows are the recordings' devices."""
    from respire.data.corpora.corpus import open_corpus
    from respire.data.splits.draw import devices_of
    from respire.experiments.paper_tables.run import run_table
    from respire.experiments.paper_tables.single_device import question

    corpus = open_corpus(options.place.data, options.place.skip_bad)
    asked = question(options.recipe, options.cut, devices_of(corpus.cycles))
    told = (options.rows, options.extent, options.place, options.name, corpus)
    return run_table("single_device", asked, *told)


@dataclass(frozen=True)
class AttentionOptions(GridOptions):
    """What every grid can be told; one training of each variant unless more is asked for."""

    splits: int = 1
    """How many splits; --split-seed is the first one's seed, the others follow."""
    seeds: int = 1
    """How many training seeds on each split; --seed is the first."""

    def _quick(self) -> dict[str, Any]:
        # An image just high enough, of few frames.
        image: dict[str, Any] = {"n_mels": 64, "n_fft": 1024, "hop": 512, "upsample": 2}
        features = dataclasses.replace(self.recipe.features, **image)
        recipe = dataclasses.replace(shortly_trained(self.recipe), features=features)
        return super()._quick() | {"recipe": recipe, "splits": 1, "seeds": 1}


@asked_with(AttentionOptions)
def attention_maps(options: AttentionOptions) -> str:
    """``experiments/attention_maps.py``."""
    from respire.experiments.attention_maps.run import attention_maps

    return attention_maps(options.recipe, options.cut, options.extent, options.place, options.name)


@dataclass(frozen=True)
class SearchOptions(TrainingOptions):
    """What every experiment that trains can be told, and how to search."""

    trials: int = 40
    """How many recipes to try."""
    inner_splits: int = 3
    """Validation splits that each is scored on; --inner-seed is the first one's seed."""
    outer_seeds: tuple[int, ...] = ()
    """Split seeds that set test patients apart; the search is repeated for each of them. Left out,
    --split-seed alone."""
    sampler: Literal["tpe", "random", "cmaes", "gp"] = "tpe"
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

    def _quick(self) -> dict[str, Any]:
        return super()._quick() | {
            "recipe": shortly_trained(self.recipe),
            "trials": QUICK_TRIALS,
            "inner_splits": QUICK_INNER_SPLITS,
            "only": ("features.window_seconds", "optimisation.learning_rate"),
        }

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_counts("trials", "inner_splits", "per_gpu")
        self.check_seeds("outer_seeds")
        self.check(["caution"], math.isfinite, "must be finite")
        if len(set(self.outer_seeds)) < len(self.outer_seeds):
            raise InputError(f"--outer-seeds {self.outer_seeds}: give each once")

    @property
    def plan(self) -> "SearchPlan":
        """How to search."""
        from respire.experiments.search.summary import SearchPlan

        told = {f.name: getattr(self, f.name) for f in dataclasses.fields(SearchPlan)}
        return SearchPlan(**told | {"outer_seeds": self.outer_seeds or (self.split_seed,)})


@asked_with(SearchOptions)
def search(options: SearchOptions) -> str:
    """``experiments/search.py``."""
    from respire.experiments.search.run import search

    told = (options.cut, options.seed, options.plan, options.place, options.name)
    return search(options.recipe, *told)


@asked_with(DataOptions)
def audit(options: DataOptions) -> str:
    """``experiments/audit.py``."""
    from respire.experiments.audit.run import audit
    from respire.study.place import Place

    place = Place(options.data, options.storage, skip_bad=options.skip_bad)
    return audit(options.recipe, place, options.name)
