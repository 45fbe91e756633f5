"""Options that several commands share; each command has those that it reads, and no others."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Self, cast, get_args

import tyro

from respire.data.splits.kinds import LISTED, SHARING, Kind
from respire.errors import InputError
from respire.recipe.presets import PRESETS, paper
from respire.recipe.recipe import Recipe
from respire.runtime.choices import Gpu, check_name

if TYPE_CHECKING:  # what they are made of takes seconds to import
    from respire.data.splits.split import Cut
    from respire.study.grid import Extent
    from respire.study.place import Place

SYNTHETIC = "synthetic"
RECIPES = f"{{{','.join(PRESETS)}}}|FILE.toml"
"""What a recipe can be called by."""
QUICK_SPLITS, QUICK_SEEDS, QUICK_EPOCHS = 4, 2, 4
"""A grid that is done in minutes, and concludes nothing."""
QUICK_TABLE_SPLITS = 2
MOST = 10**6
"""Of anything that is counted."""


def data_from_environment() -> str | None:
    """What RESPIRE_DATA says."""
    return os.environ.get("RESPIRE_DATA")


def gpu_from_environment() -> Gpu:
    """What RESPIRE_GPU says.

    Raises:
        InputError: nothing that is known.
    """
    gpu = os.environ.get("RESPIRE_GPU", "auto")
    if gpu not in get_args(Gpu):
        raise InputError(f"RESPIRE_GPU: {gpu!r} is none of {', '.join(get_args(Gpu))}")
    return cast(Gpu, gpu)


@dataclass(frozen=True)
class StoredOptions:
    """A recipe, and where results are kept; defaults come from RESPIRE_STORAGE."""

    preset: Annotated[str, tyro.conf.arg(name="recipe", metavar=RECIPES)] = "paper"
    """Recipe to start from; any field of it can be overridden below."""
    recipe: Recipe = field(default_factory=paper)
    """The recipe's fields."""
    storage: str = field(default_factory=lambda: os.environ.get("RESPIRE_STORAGE", "runs"))
    """Folder for everything that is kept; on several nodes s3://, gs:// or, for a folder that every
    node sees, file://."""
    name: str | None = None
    """Name of the run; the same name resumes it. Left out, it is made of recipe, split and key."""

    def __post_init__(self) -> None:
        if not self.storage:
            raise InputError("--storage: is empty (is a variable unset?); name a folder")
        if self.name is not None:
            check_name(self.name)

    def check_counts(self, *names: str) -> None:
        """Refuse options of these names that are below 1, or more than anyone waits for.

        Raises:
            InputError: one is.
        """
        self.check(names, lambda value: 1 <= value <= MOST, f"must be at least 1, at most {MOST:,}")

    def check(self, names: Sequence[str], allowed: Callable[[Any], bool], said: str) -> None:
        """Refuse options of these names, or one of their values, that are not allowed.

        Raises:
            InputError: one is not; what is said stands behind it.
        """
        for name in names:
            given = getattr(self, name)
            for value in given if isinstance(given, tuple) else (given,):
                if value is not None and not allowed(value):
                    raise InputError(f"--{name.replace('_', '-')} {value}: {said}")


@dataclass(frozen=True)
class DataOptions(StoredOptions):
    """Recordings too; defaults come from RESPIRE_*."""

    data: str | None = field(default_factory=data_from_environment)
    """Manifest (.csv, .parquet), folder or s3:// URI in ICBHI's layout or with a CSV of cycles, or
    "synthetic"; left out, the published data set is downloaded (2 GB) into the cache."""
    skip_bad: tyro.conf.FlagCreatePairsOff[bool] = False
    """Leave recordings with errors out, and list them in the report."""
    quick: tyro.conf.FlagCreatePairsOff[bool] = False
    """Minutes on two cores, no download: synthetic data and, unless --recipe names another, recipe
    quick."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.data == "":
            raise InputError(
                "--data: is empty (is a variable unset?); name a folder, or leave it and "
                "RESPIRE_DATA out for the published data set"
            )

    def shortened(self) -> Self:
        """The options that ``--quick`` stands for."""
        return dataclasses.replace(self, **self._quick())

    def _quick(self) -> dict[str, Any]:
        return {"data": SYNTHETIC}


@dataclass(frozen=True)
class TrainingOptions(DataOptions):
    """What every experiment that trains can be told.

    Defaults come from RESPIRE_* and MLFLOW_TRACKING_URI.
    """

    split: Kind = "80-20"
    """80-20: random patients; 60-40: the official list, two patients on both sides;
    60-40-disjoint: the same without those patients' test recordings; 60-40-train: random patients
    of the official training side, to choose a recipe by; by-recording, by-cycle: random ones, their
    patients on all sides (stamped). What compares runs on several splits takes those of random
    patients; with --splits 1 the official lists too."""
    stratify: tyro.conf.FlagCreatePairsOff[bool] = False
    """Draw random patients stratified by device and class."""
    split_seed: int = 0
    """Who is in test (not of the official list)."""
    inner_seed: int = 0
    """Who is in validation."""
    seed: int = 0
    """Training seed: initialisation, sampling, augmentation."""
    gpu: Gpu = field(default_factory=gpu_from_environment)
    """auto: GPUs where there are any at the start; none; required: asked of the cluster and waited
    for, and nothing is trained without."""
    deterministic: tyro.conf.FlagCreatePairsOff[bool] = False
    """The same bits again on the same kind of GPU, after a kill too, more slowly; a CPU gives them
    anyway."""
    tracking_uri: str = field(
        default_factory=lambda: os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    )
    """Where MLflow keeps the runs: a server's address, or an sqlite file."""

    def __post_init__(self) -> None:
        super().__post_init__()
        counts = (getattr(self, name, 1) for name in ("splits", "seeds", "inner_splits"))
        self.check_seeds("split_seed", "inner_seed", "seed", following=max(counts) - 1)

    def check_seeds(self, *names: str, following: int = 0) -> None:
        """Refuse options of these names that are no seeds, or the last that follows is none.

        Raises:
            InputError: one is below 0, or needs more than 63 bits.
        """
        said = f"seeds, and the {following} that follow one, lie between 0 and 2**63 - 1"
        self.check(names, lambda seed: 0 <= seed < 2**63 - following, said)

    @property
    def cut(self) -> "Cut":
        """Who is held out."""
        from respire.data.splits.split import Cut

        return Cut(self.split, self.split_seed, self.inner_seed, self.stratify)

    @property
    def place(self) -> "Place":
        """Where things are."""
        from respire.study.place import Place

        return Place(
            self.data,
            self.storage,
            self.tracking_uri,
            self.skip_bad,
            self.gpu,
            deterministic=self.deterministic,
        )


@dataclass(frozen=True)
class GridOptions(TrainingOptions):
    """What every experiment can be told that compares many runs."""

    splits: int = 10
    """How many splits; --split-seed is the first one's seed, the others follow."""
    seeds: int = 3
    """How many training seeds on each split; --seed is the first."""
    stage2: tyro.conf.FlagCreatePairsOff[bool] = False
    """Fine-tune each model for every device too."""
    per_gpu: int = 2
    """How many runs share a GPU; without GPUs each gets a core."""

    def _quick(self) -> dict[str, Any]:
        recipe = shortly_trained(self.recipe)
        return super()._quick() | {"recipe": recipe, "splits": QUICK_SPLITS, "seeds": QUICK_SEEDS}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_counts("splits", "seeds", "per_gpu")
        if self.splits > 1 and self.split in LISTED:
            raise InputError(
                f"--split {self.split} is the same for every seed; use --split 80-20, or --splits 1"
            )
        if self.split in SHARING:
            raise InputError(
                f"--split {self.split}: runs are compared on patients apart; use --split 80-20 "
                "(leakage.py says what that split is worth)"
            )

    @property
    def extent(self) -> "Extent":
        """How much of the grid is run."""
        from respire.study.grid import Extent

        seeds = tuple(range(self.seed, self.seed + self.seeds))
        return Extent(self.splits, seeds, self.stage2, self.per_gpu)


@dataclass(frozen=True)
class TableOptions(GridOptions):
    """What every grid can be told, and which rows of the table to fill."""

    splits: int = 5
    """How many splits; --split-seed is the first one's seed, the others follow."""
    seeds: int = 1
    """How many training seeds on each split; --seed is the first."""
    rows: tuple[str, ...] | None = None
    """Names of rows to fill, with those that they are compared with; left out, all."""

    def _quick(self) -> dict[str, Any]:
        return super()._quick() | {"splits": QUICK_TABLE_SPLITS, "seeds": 1}


def shortly_trained(recipe: Recipe) -> Recipe:
    """The recipe with as few epochs as a quick grid has."""
    optimisation = dataclasses.replace(recipe.optimisation, epochs=QUICK_EPOCHS)
    return dataclasses.replace(recipe, optimisation=optimisation)
