"""Study: from options to all that a run's numbers follow from."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from respire.command.command import OFFICIAL, Options
from respire.data.corpora import icbhi
from respire.data.corpora.corpus import SYNTHETIC, SYNTHETIC_WARNING, Corpus, locate
from respire.data.cycles import CyclesApart, PreparedCycles
from respire.data.splits.by_cycle import split_by_cycle, take_apart
from respire.data.splits.split import Split, split
from respire.errors import InputError
from respire.metrics import check_scorable
from respire.models.network import Weights, fingerprint
from respire.recipe.identity import digest
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute
from respire.runtime.run_folder import Cell
from respire.runtime.session import cluster_gpus, crowded_store, on_worker
from respire.runtime.storage import Storage


@dataclass(frozen=True)
class Study:
    """A recipe, a corpus and a split: all that a run's numbers follow from.

    Attributes:
        recipe: every choice that changes a number.
        cycles: the catalogue (data/corpora/icbhi.py).
        prepared: the same cycles, cut and in storage.
        skipped: recordings left out because of ``--skip-bad``, one line each.
        warnings: what a reader must know about corpus and split.
        split: who is on which side.
        seed: training seed.
        initial: state dict of the untrained network.
        compute: device and precision.
        workers: stage 1's training workers.
        storage: where everything is kept.
    """

    recipe: Recipe
    cycles: pd.DataFrame
    prepared: PreparedCycles
    skipped: tuple[str, ...]
    warnings: tuple[str, ...]
    split: Split
    seed: int
    initial: Weights
    compute: Compute
    workers: int
    storage: Storage

    @property
    def stamps(self) -> tuple[str, ...]:
        """What every result must carry, loudly."""
        return (*self.recipe.stamps, *self.split.stamps)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that can change stage 1's numbers."""
        recipe = asdict(self.recipe)
        del recipe["preset"], recipe["finetune"]
        sides = {
            side: digest(getattr(self.split, side)) for side in ("train", "validation", "test")
        }
        return {
            "recipe": recipe,
            "data": self.prepared.key,
            "split": sides,
            "seed": self.seed,
            "initial": fingerprint(self.initial),
            "precision": self.compute.precision,
            "device": self.compute.device,
            "workers": self.workers,
        }

    @property
    def stage1(self) -> Cell:
        """Where stage 1 is kept."""
        return Cell(self.storage, {"stage": "stage 1", **self.identity})

    @property
    def stage2(self) -> Cell:
        """What the cells of all fine-tuning trials have in common."""
        finetune = asdict(self.recipe.finetune)
        del finetune["trials_per_device"], finetune["learning_rate"]
        return Cell(
            self.storage, {"stage": "stage 2", "stage 1": self.stage1.key, "finetune": finetune}
        )

    @property
    def whole(self) -> Cell:
        """The experiment: both stages and their evaluation."""
        finetune = asdict(self.recipe.finetune)
        return Cell(self.storage, {"stage": "both", **self.identity, "finetune": finetune})


def open_corpus(options: Options) -> Corpus:
    """Find and check the recordings, synthesised or downloaded if need be.

    Raises:
        InputError: a file or annotation is bad, and ``--skip-bad`` was not given.
    """
    directory = locate(options.data)
    catalogue = icbhi.read_catalogue(directory, options.skip_bad)
    synthetic = options.data == SYNTHETIC
    corpus = Corpus(
        cycles=catalogue.cycles,
        skipped=catalogue.skipped,
        warnings=(SYNTHETIC_WARNING,) if synthetic else (),
        directory=directory,
        fingerprint=icbhi.fingerprint(catalogue.cycles),
    )
    if options.split in OFFICIAL:
        _ = corpus.official  # a missing list is told before anything is decoded
    return corpus


def choose_compute(options: Options, recipe: Recipe) -> Compute:
    """The processor that trains, in the cluster; the driver's machine may have no GPU.

    Raises:
        InputError: the recipe's precision cannot be had on it, or a GPU is required and gone.
    """
    precision = recipe.optimisation.precision
    if options.gpu == "required" or (options.gpu == "auto" and cluster_gpus() > 0):
        return on_worker(Compute.resolve, options.gpu, precision, gpu=True)
    return Compute.resolve("none", precision)


def open_study(
    options: Options,
    corpus: Corpus,
    prepared: PreparedCycles,
    initial: Weights,
    compute: Compute,
    heard: Sequence[str] | None = None,
) -> Study:
    """Cut the split of the recordings that could be prepared.

    Args:
        options: recipe, split and seeds.
        corpus: the recordings.
        prepared: their cycles.
        initial: weights of the untrained network.
        compute: what trains.
        heard: devices that training and validation are restricted to; None for all.

    Raises:
        InputError: the split cannot be had, or lacks normal or abnormal cycles where it needs both.
    """
    whole = corpus.cycles["recording"].isin(prepared.recordings())
    cycles = corpus.cycles[whole].reset_index(drop=True)
    if options.split == "by-cycle":
        if options.stratify:
            raise InputError(
                "--stratify: draws patients, which --split by-cycle does not; drop one"
            )
        cycles, prepared = take_apart(cycles), CyclesApart.of(prepared)
        cut = split_by_cycle(cycles, options.split_seed, options.inner_seed)
    else:
        cut = split(
            cycles,
            options.split,
            options.split_seed,
            options.inner_seed,
            corpus.official if options.split in OFFICIAL else None,
            options.stratify,
        )
    cut = cut if heard is None else cut.heard_on(heard)
    for side in ("train", options.recipe.selection):
        on_side = cycles["recording"].isin(getattr(cut, side))
        check_scorable(cycles.loc[on_side, "label"].to_numpy(), side)
    seconds = (cycles["end_s"] - cycles["start_s"]).sum()
    crowd = crowded_store(round(2 * seconds * options.recipe.preprocess.sample_rate_hz))
    return Study(
        recipe=options.recipe,
        cycles=cycles,
        prepared=prepared,
        skipped=(*corpus.skipped, *prepared.skipped),
        warnings=(*corpus.warnings, *cut.warnings, *([crowd] if crowd else [])),
        split=cut,
        seed=options.seed,
        initial=initial,
        compute=compute,
        workers=options.workers,
        storage=Storage.at(options.storage),
    )
