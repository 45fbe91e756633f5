"""Study: all that a run's numbers follow from."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import pandas as pd
import pyarrow as pa

from respire.data.corpora.corpus import Corpus
from respire.data.cycles import CyclesApart, PreparedCycles
from respire.data.splits.draw import devices_of
from respire.data.splits.split import Cut, Split
from respire.metrics import check_scorable
from respire.models.network import Weights, fingerprint
from respire.recipe.fields import Features
from respire.recipe.identity import digest, recipe_identity
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute
from respire.runtime.run_folder import RunFolder
from respire.runtime.session import crowded_store
from respire.runtime.storage import Storage
from respire.study.place import Place

AFTER_STAGE_1 = ("finetune", "decision")
"""Parts of a recipe that stage 1 does not know."""
DECISIONS = "decisions.json"
"""Beside stage 1: which priors were given before its model was tested, and whether it was."""
MUCH = 0.05
"""Of the annotated seconds: more that is not heard is warned of."""
LATE = "the prior was chosen after test was read"


@dataclass(frozen=True)
class Study:
    """A recipe, a corpus and a split: all that a run's numbers follow from.

    Attributes:
        recipe: every choice that changes a number.
        cycles: the catalogue (data/catalogue.py).
        prepared: the same cycles, cut and in storage.
        skipped: recordings left out because of ``--skip-bad``, one line each.
        warnings: what a reader must know about corpus, recipe and split.
        split: who is on which side.
        seed: training seed.
        initial: state dict of the untrained network.
        compute: device and precision.
        workers: stage 1's training workers.
        storage: where everything is kept.
        patients: who they are, as far as the corpus tells (data/corpora/corpus.py); no part of the
            study's identity.
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
    patients: pd.DataFrame = field(default_factory=pd.DataFrame)

    @cached_property
    def devices(self) -> tuple[str, ...]:
        """That the recordings were made with, the most used first."""
        return devices_of(self.cycles)

    def read(self, *sides: str) -> pa.Table:
        """Rows of the recordings on these sides of the split (data/cycles.py), sorted by name."""
        return self.prepared.read([name for side in sides for name in getattr(self.split, side)])

    @property
    def stamps(self) -> tuple[str, ...]:
        """What every result must carry, loudly."""
        late = (LATE,) if self.decided_late else ()
        return (*self.recipe.stamps, *self.split.stamps, *late)

    @cached_property
    def decided_late(self) -> bool:
        """Whether the prior to decide under was given once stage 1's model had been tested."""
        given = self.recipe.decision.prior
        if given is None or given == self.recipe.optimisation.prior:
            return False
        noted = self._noted()
        return noted["test_read"] and given not in noted["priors"]

    def declare_decision(self) -> None:
        """Note the prior that is given to decide under, if test was not read yet."""
        if (given := self.recipe.decision.prior) is not None and not self.decided_late:
            noted = self._noted()
            self._note(noted | {"priors": sorted({*noted["priors"], given})})

    def note_test_read(self) -> None:
        """Note that stage 1's model is tested: what is decided from now on is decided late."""
        if not (noted := self._noted())["test_read"]:
            self._note(noted | {"test_read": True})

    def _noted(self) -> dict[str, Any]:
        file = self.stage1.storage / DECISIONS
        return file.read_json() if file.exists() else {"priors": [], "test_read": False}

    def _note(self, noted: dict[str, Any]) -> None:
        (self.stage1.storage / DECISIONS).write_json(noted)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that can change stage 1's numbers."""
        recipe = recipe_identity(self.recipe)
        del recipe["preset"], recipe["finetune"], recipe["decision"]
        recipe["model"]["weights"] = self.recipe.model.weights_kind  # ``initial``: what is in them
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
            **({"deterministic": True} if self.compute.deterministic else {}),
        }

    @property
    def stage1(self) -> RunFolder:
        """Where stage 1 is kept."""
        return RunFolder(self.storage, {"stage": "stage 1", **self.identity})

    @property
    def stage2_identity(self) -> dict[str, Any]:
        """What the identities of all fine-tuning trials have in common."""
        finetune = recipe_identity(self.recipe.finetune)
        del finetune["trials_per_device"], finetune["learning_rate"]
        return {"stage": "stage 2", "stage 1": self.stage1.key, "finetune": finetune}

    @cached_property
    def selector(self) -> tuple[str, ...]:
        """Recordings whose Score chooses the epoch; none where it is the last."""
        selection = self.recipe.selection
        return () if selection == "none" else getattr(self.split, selection)

    @property
    def whole(self) -> RunFolder:
        """The experiment: both stages and their evaluation."""
        after = {part: recipe_identity(getattr(self.recipe, part)) for part in AFTER_STAGE_1}
        return RunFolder(self.storage, {"stage": "both", **self.identity, **after})


def unheard(features: Features, cycles: pd.DataFrame) -> tuple[str, ...]:
    """A warning where much of what is annotated lies beyond the windows that are heard of it."""
    if features.long_cycles != "clip":
        return ()
    seconds = cycles["end_s"] - cycles["start_s"]
    beyond = float((seconds - features.window_seconds).clip(lower=0).sum() / seconds.sum())
    if beyond <= MUCH:
        return ()
    return (
        f"{beyond:.0%} of what is annotated lies beyond windows of {features.window_seconds:g} s "
        f"and is not heard; --recipe.features.long-cycles windows hears all of it",
    )


def cut_study(
    recipe: Recipe,
    cut: Cut,
    seed: int,
    place: Place,
    corpus: Corpus,
    prepared: PreparedCycles,
    initial: Weights,
    compute: Compute,
) -> Study:
    """Cut the recordings that could be prepared.

    Args:
        recipe: every choice that changes a number.
        cut: who is held out.
        seed: training seed.
        place: where everything is.
        corpus: the recordings.
        prepared: their cycles.
        initial: weights of the untrained network.
        compute: what trains.

    Raises:
        InputError: the split cannot be had, or a side that is learnt from, that selects or that is
            tested lacks normal or abnormal cycles.
    """
    whole = corpus.cycles["recording"].isin(prepared.recordings())
    official = corpus.official if cut.needs_list else None
    cycles = cut.units(corpus.cycles[whole].reset_index(drop=True), official)
    if cut.cycles_apart:
        prepared = CyclesApart.of(prepared)
    if recipe.selection == "none" and cut.validation is None:
        cut = replace(cut, validation=False)
    split = cut.on(cycles, official)
    scored = ("validation",) if cut.validation else ()
    selects = () if recipe.selection == "none" else (recipe.selection,)
    for side in dict.fromkeys(("train", *selects, *scored, "test")):
        on_side = cycles["recording"].isin(getattr(split, side))
        check_scorable(cycles.loc[on_side, "label"].to_numpy(), side)
    seconds = (cycles["end_s"] - cycles["start_s"]).sum()
    crowd = crowded_store(round(2 * seconds * recipe.preprocess.sample_rate_hz))
    return Study(
        recipe=recipe,
        cycles=cycles,
        prepared=prepared,
        skipped=(*corpus.skipped, *prepared.skipped),
        warnings=(
            *corpus.warnings,
            *prepared.warnings,
            *recipe.warnings,
            *split.warnings,
            *unheard(recipe.features, cycles),
            *([crowd] if crowd else []),
        ),
        split=split,
        seed=seed,
        initial=initial,
        compute=compute,
        workers=place.workers,
        storage=place.home,
        patients=corpus.patients,
    )
