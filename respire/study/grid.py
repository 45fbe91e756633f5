"""A grid of runs: variants, splits and training seeds, to predictions."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain, product
from typing import Any, NamedTuple

import pyarrow as pa

from respire.data.corpora.corpus import Corpus
from respire.data.splits.split import Cut
from respire.evaluation.assess import LABELS, values
from respire.evaluation.evaluate import STAGE1, STAGE2
from respire.metrics import percent
from respire.recipe.identity import digest
from respire.recipe.recipe import Recipe
from respire.runtime.actors import run_grid
from respire.runtime.tracking import Tracker
from respire.study.experiment import Experiment, Planned, open_setting
from respire.study.one_run import Run, rounds, train_and_test, unreported
from respire.study.place import Place
from respire.study.progress import EpochReport
from respire.study.study import Study
from respire.training.loop import OnEpoch


@dataclass(frozen=True)
class Variant:
    """What is compared with others over the same split seeds.

    Attributes:
        recipe: how to train.
        cut: who is held out on the first split; the others are ``cut.at(1)`` and so on.
        stage2: whether its models are fine-tuned for every device too, whatever the grid says.
    """

    recipe: Recipe
    cut: Cut = field(default_factory=Cut)
    stage2: bool = False

    @property
    def has_one_split(self) -> bool:
        """Whether all its splits are the same: of one test side, and with nobody in validation."""
        return self.cut.listed_test and self.recipe.selection == "none" and not self.cut.validation


@dataclass(frozen=True)
class Extent:
    """How much of a grid is run.

    Attributes:
        splits: how many.
        seeds: training seeds on each split.
        stage2: whether every model is fine-tuned for every device too.
        per_gpu: how many runs share a GPU; without GPUs each gets a core.
    """

    splits: int
    seeds: tuple[int, ...]
    stage2: bool = False
    per_gpu: int = 2


class Coordinates(NamedTuple):
    """Where in a grid a run stands."""

    variant: str
    split_seed: int
    seed: int

    @property
    def name(self) -> str:
        """What a user reads."""
        return f"{self.variant}, split {self.split_seed}, seed {self.seed}"


ONE_SPLIT = (
    "an official split is one split where nobody is in validation: it is trained once for each "
    "training seed, however many splits were asked for"
)


@dataclass(frozen=True)
class Grid:
    """A grid under way, in a Ray session.

    Attributes:
        experiment: what it is run for.
        variants: what is compared, by name.
        extent: how much is run.
        nested: the MLflow run of each run that has begun.
    """

    experiment: Experiment
    variants: Mapping[str, Variant]
    extent: Extent
    nested: dict[Coordinates, Tracker] = field(default_factory=dict)

    @property
    def studies(self) -> Mapping[Coordinates, Study]:
        """By coordinates: variants, within them splits, within them seeds."""
        return self.experiment.setting.studies

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that every run has at least."""
        return (STAGE1, STAGE2) if self.extent.stage2 else (STAGE1,)

    @property
    def split_seeds(self) -> list[int]:
        """Of its splits, in order."""
        return sorted({at.split_seed for at in self.studies})

    def run_of(self, at: Coordinates) -> Run:
        """The run at these coordinates, where its results are or will be kept."""
        stage2 = self.extent.stage2 or self.variants[at.variant].stage2
        return Run(at.name, self.studies[at], stage2)

    @property
    def runs(self) -> dict[Coordinates, Run]:
        """All of them."""
        return {at: self.run_of(at) for at in self.studies}

    def run(self) -> None:
        """Run every cell that no experiment has finished, as many at once as there is room for.

        Raises:
            FloatingPointError: some cells failed; all others are finished.
        """
        finished = [at for at in self.studies if self.run_of(at).finished]
        waiting = [at for at in self.studies if at not in finished]
        print(f"{len(waiting)} of {len(self.studies)} runs to do", flush=True)
        try:
            for at in finished:
                self._begin(at)
                self._log(at)
            with self.experiment.setting.stopwatch.part("runs"):
                failures = self._run(waiting)
        except BaseException as error:
            for run in self.nested.values():
                run.__exit__(type(error), error, None)
            raise
        if failures:
            raise FloatingPointError(
                f"{len(failures)} of {len(self.studies)} runs failed: {'; '.join(failures)}"
            )

    def facts(self) -> dict[str, Any]:
        """What results.json has of every grid beside its header, whatever it asks."""
        cut = next(iter(self.variants.values())).cut
        return {
            "split": cut.kind,
            "split_seeds": self.split_seeds,
            "seeds": sorted({at.seed for at in self.studies}),
            "inner_seed": cut.inner_seed,
        }

    def _run(self, waiting: list[Coordinates]) -> list[str]:
        """Run these cells; why some failed."""
        failures, began = [], time.monotonic()
        by_name = {at.name: at for at in waiting}
        gpu = any(self.studies[at].compute.device == "cuda" for at in waiting)
        ended = chain.from_iterable(
            run_grid(train_and_test, self._jobs(cells), gpu=gpu, per_gpu=self.extent.per_gpu)
            for cells in rounds({at: self.run_of(at) for at in waiting})
        )
        for done, (cell, failure) in enumerate(ended, 1):
            at = by_name[cell.name]
            if failure is None:
                said = self._log(at)
            else:
                said = f"failed: {failure}"
                failures.append(f"{cell.name}: {failure}")
                self.nested.pop(at).finish("FAILED")
            left = (time.monotonic() - began) / done * (len(waiting) - done)
            print(
                f"{cell.name}: {said}; {done} of {len(waiting)} runs done, "
                f"about {left / 60:.0f} min left",
                flush=True,
            )
        return failures

    def _jobs(self, waiting: list[Coordinates]) -> Iterator[tuple[Run, pa.Table]]:
        """Each cell with the cycles it needs, begun when it is asked for."""
        tables: dict[str, pa.Table] = {}
        for at in waiting:
            study = self.studies[at]
            if study.prepared.key not in tables:
                tables[study.prepared.key] = study.prepared.read(
                    sorted(study.prepared.recordings())
                )
            report = EpochReport(
                at.name,
                study.recipe.optimisation.epochs,
                study.recipe.selection,
                self._begin(at).epochs,
                self.experiment.setting.lines,
            )
            yield replace(self.run_of(at), on_epoch=_Reports(report)), tables[study.prepared.key]

    def _begin(self, at: Coordinates) -> Tracker:
        run = self.nested[at] = self.experiment.tracker.child(at.name)
        run.log_recipe(self.studies[at].recipe)
        run.log_params(at._asdict())
        return run

    def _log(self, at: Coordinates) -> str:
        """End a finished cell's MLflow run with its metrics; says what they are."""
        run, cell = self.nested.pop(at), self.run_of(at)
        said = ""
        for stage, predictions in cell.predictions().groupby("stage"):
            measured = values(predictions, len(cell.study.recipe.classes))
            run.log_metrics({f"{stage}.{name}": value for name, value in measured.items()})
            said = ", ".join(f"{of} {percent(measured[name])}%" for name, of in LABELS.items())
        run.finish("FINISHED")
        return said


@contextmanager
def start_grid(
    question: str,
    variants: Mapping[str, Variant],
    extent: Extent,
    place: Place,
    name: str | None = None,
    check: Callable[[Sequence[str]], None] = lambda _: None,
    corpus: Corpus | None = None,
) -> Iterator[Grid]:
    """Check everything, prepare the cycles, and lay out the runs.

    Args:
        question: the experiment's.
        variants: what is compared, by the names that reports call them.
        extent: how much is run.
        place: where things are.
        name: the experiment's own; None for one made of variants and key.
        check: refuses recordings of devices that the question cannot be asked of.
        corpus: the recordings, where the question itself hung on them; None for the place's.

    Raises:
        InputError: bad input or an unusable setting, found before anything is trained.
    """
    planned = {
        Coordinates(variant, of.cut.split_seed + number, seed): Planned(
            of.recipe, of.cut.at(number), seed
        )
        for variant, of in variants.items()
        for number, seed in product(range(1 if of.has_one_split else extent.splits), extent.seeds)
    }
    with open_setting(question, place, planned, check, corpus) as setting:
        identity = {at.name: study.whole.key for at, study in setting.studies.items()}
        identity["stages"] = STAGE2 if extent.stage2 else STAGE1
        identity |= {variant: STAGE2 for variant, of in variants.items() if of.stage2}
        key = digest(identity)
        alike = extent.splits > 1 and any(of.has_one_split for of in variants.values())
        experiment = setting.begin(
            *(name, "-".join(variants), identity, key), cautions=(ONE_SPLIT,) if alike else ()
        )
        yield Grid(experiment, variants, extent)


@dataclass(frozen=True)
class _Reports:
    """Given a training of a cell, what reports its epochs: stage 1's, not the fine-tunings'."""

    stage1: EpochReport

    def __call__(self, run: str) -> OnEpoch:
        return self.stage1 if run == STAGE1 else unreported(run)
