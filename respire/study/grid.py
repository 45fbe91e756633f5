"""A grid of runs: variants of a recipe, splits and training seeds, from options to predictions."""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

import respire
from respire.command.command import OFFICIAL, GridOptions
from respire.errors import InputError
from respire.evaluation.evaluate import STAGE1, STAGE2
from respire.experiments.paper_tables.question import Variant
from respire.metrics import overall, percent
from respire.models.network import initial_weights
from respire.recipe.identity import NUMERICS_VERSION, digest
from respire.runtime.actors import run_grid
from respire.runtime.storage import Storage
from respire.runtime.tracking import Tracker
from respire.study.experiment import Setting, claim, open_setting
from respire.study.one_run import GridCell, run_cell, unreported
from respire.study.progress import EpochReport
from respire.study.study import Study, choose_compute, open_study
from respire.training.loop import OnEpoch


class Place(NamedTuple):
    """Where in a grid a cell stands."""

    variant: str
    split_seed: int
    seed: int

    @property
    def name(self) -> str:
        """What a user reads."""
        return f"{self.variant}, split {self.split_seed}, seed {self.seed}"


Tested = Mapping[tuple[str, int, str], pd.DataFrame]
"""Test predictions by variant, split seed and stage."""


@dataclass(frozen=True)
class Grid:
    """A grid under way, in a Ray session.

    Attributes:
        setting: what it shares with other experiments.
        options: from the command line.
        name: the experiment's own.
        folder: where its results go.
        tracker: its MLflow run.
        variants: what is compared, by name.
        studies: by place: variants, within them splits, within them seeds.
        nested: the MLflow run of each cell that has begun.
    """

    setting: Setting
    options: GridOptions
    name: str
    folder: Storage
    tracker: Tracker
    variants: Mapping[str, Variant]
    studies: Mapping[Place, Study]
    nested: dict[Place, Tracker] = field(default_factory=dict)

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that every cell has at least."""
        return (STAGE1, STAGE2) if self.options.stage2 else (STAGE1,)

    @property
    def split_seeds(self) -> list[int]:
        """Of its splits, in order."""
        return sorted({place.split_seed for place in self.studies})

    def cell(self, place: Place) -> GridCell:
        """The cell of a place, where its results are or will be kept."""
        stage2 = self.options.stage2 or self.variants[place.variant].stage2
        return GridCell(place.name, self.studies[place], stage2)

    def run(self) -> None:
        """Run every cell that no experiment has finished, as many at once as there is room for.

        Raises:
            FloatingPointError: some cells failed; all others are finished.
        """
        finished = [place for place in self.studies if self.cell(place).finished]
        waiting = [place for place in self.studies if place not in finished]
        print(f"{len(waiting)} of {len(self.studies)} runs to do", flush=True)
        try:
            for place in finished:
                self._begin(place)
                self._log(place)
            failures = self._run(waiting)
        except BaseException as error:
            for run in self.nested.values():
                run.__exit__(type(error), error, None)
            raise
        if failures:
            raise FloatingPointError(
                f"{len(failures)} of {len(self.studies)} runs failed: {'; '.join(failures)}"
            )

    def table(self) -> pd.DataFrame:
        """A row a run and stage.

        Returns:
            Columns variant, split_seed, seed, stage; se, sp, score (fractions); cycles and patients
            of the test side; epoch, the chosen one; key, that of stage 1's cell.
        """
        rows = []
        for place in self.studies:
            cell = self.cell(place)
            fit = cell.fit()
            for stage, predictions in cell.predictions().groupby("stage"):
                scores = overall(predictions, len(cell.study.recipe.classes))
                rows.append(
                    {
                        **place._asdict(),
                        "stage": stage,
                        **scores.fractions,
                        "cycles": scores.n,
                        "patients": predictions["patient"].nunique(),
                        "epoch": fit.epoch,
                        "key": cell.study.stage1.key,
                    }
                )
        return pd.DataFrame(rows)

    def tested(self) -> Tested:
        """Test predictions of all training seeds, the seed within the recording's name.

        Se, Sp and Score of them are the means over the seeds, whose cycles are the same.
        """
        frames: dict[tuple[str, int, str], list[pd.DataFrame]] = {}
        for place in self.studies:
            for stage, rows in self.cell(place).predictions().groupby("stage"):
                seeded = f"{place.seed}:" + rows["recording"].astype(str)
                key = place.variant, place.split_seed, str(stage)
                frames.setdefault(key, []).append(rows.assign(recording=seeded))
        return {key: pd.concat(of, ignore_index=True) for key, of in frames.items()}

    def facts(self) -> dict[str, Any]:
        """What results.json has of every grid, whatever it asks."""
        studies = list(self.studies.values())
        seconds = {part: round(s, 2) for part, s in self.setting.stopwatch.seconds.items()}
        return {
            "name": self.name,
            "respire_version": respire.__version__,
            "numerics_version": NUMERICS_VERSION,
            "split": self.options.split,
            "split_seeds": self.split_seeds,
            "seeds": sorted({place.seed for place in self.studies}),
            "inner_seed": self.options.inner_seed,
            "stamps": sorted({stamp for study in studies for stamp in study.stamps}),
            "warnings": sorted({warning for study in studies for warning in study.warnings}),
            "skipped": sorted({line for study in studies for line in study.skipped}),
            "seconds": seconds | {"total": round(sum(seconds.values()), 2)},
            "peak_memory_mib": round(self.setting.memory.mebibytes, 1),
            "environment": {
                "device": studies[0].compute.name,
                "precision": studies[0].compute.precision,
                **self.setting.environment,
            },
        }

    def _run(self, waiting: list[Place]) -> list[str]:
        """Run these cells; why some failed."""
        failures, began = [], time.monotonic()
        places = {place.name: place for place in waiting}
        gpu = any(self.studies[place].compute.device == "cuda" for place in waiting)
        ended = run_grid(run_cell, self._jobs(waiting), gpu=gpu, per_gpu=self.options.per_gpu)
        for done, (cell, failure) in enumerate(ended, 1):
            place = places[cell.name]
            if failure is None:
                said = self._log(place)
            else:
                said = f"failed: {failure}"
                failures.append(f"{cell.name}: {failure}")
                self.nested.pop(place).finish("FAILED")
            left = (time.monotonic() - began) / done * (len(waiting) - done)
            print(
                f"{cell.name}: {said}; {done} of {len(waiting)} runs done, "
                f"about {left / 60:.0f} min left",
                flush=True,
            )
        return failures

    def _jobs(self, waiting: list[Place]) -> Iterator[tuple[GridCell, pa.Table]]:
        """Each cell with the cycles it needs, begun when it is asked for."""
        tables: dict[str, pa.Table] = {}
        for place in waiting:
            study = self.studies[place]
            if study.prepared.key not in tables:
                tables[study.prepared.key] = study.prepared.read(
                    sorted(study.prepared.recordings())
                )
            report = EpochReport(
                place.name,
                study.recipe.optimisation.epochs,
                study.recipe.selection,
                self._begin(place).epochs,
                self.setting.lines,
            )
            yield replace(self.cell(place), on_epoch=_Reports(report)), tables[study.prepared.key]

    def _begin(self, place: Place) -> Tracker:
        run = self.nested[place] = self.tracker.child(place.name)
        run.log_recipe(self.studies[place].recipe)
        run.log_params(place._asdict())
        return run

    def _log(self, place: Place) -> str:
        """End a finished cell's MLflow run with its metrics; says what they are."""
        run, cell = self.nested.pop(place), self.cell(place)
        said = ""
        for stage, predictions in cell.predictions().groupby("stage"):
            scores = overall(predictions, len(cell.study.recipe.classes))
            run.log_metrics({f"{stage}.{name}": v for name, v in scores.fractions.items()})
            told = ("score", "se", "sp")
            said = ", ".join(f"{name} {percent(scores.fractions[name])}%" for name in told)
        run.finish("FINISHED")
        return said


@contextmanager
def start_grid(
    experiment: str, options: GridOptions, variants: Mapping[str, Variant]
) -> Iterator[Grid]:
    """Check everything, prepare the cycles, and lay out the cells.

    Args:
        experiment: its name.
        options: from the command line.
        variants: what is compared, by the names that reports call them.

    Raises:
        InputError: bad input or an unusable setting, found before anything is trained.
    """
    if options.split == "by-cycle":
        raise InputError(
            "--split by-cycle: runs are compared on patients apart; use --split 80-20 (leakage.py "
            "says what that split is worth)"
        )
    split_seeds = range(options.split_seed, options.split_seed + options.splits)
    seeds = range(options.seed, options.seed + options.seeds)
    initial = {
        (name, seed): initial_weights(variant.recipe, seed)
        for (name, variant), seed in product(variants.items(), seeds)
    }
    with open_setting(experiment, options) as setting:
        studies = {}
        for name, variant in variants.items():
            recipe = variant.recipe
            prepared = setting.prepare(recipe.preprocess)
            compute = choose_compute(options, recipe)
            for split_seed, seed in product(split_seeds, seeds):
                own = replace(
                    options,
                    splits=1,
                    recipe=recipe,
                    stratify=variant.stratify,
                    split=variant.split or options.split,
                    split_seed=split_seed,
                    seed=seed,
                )
                if own.split in OFFICIAL:
                    # There is one such test side: what can differ is who is in validation.
                    own = replace(own, inner_seed=own.inner_seed + split_seed - options.split_seed)
                studies[Place(name, split_seed, seed)] = open_study(
                    own, setting.corpus, prepared, initial[name, seed], compute, variant.heard
                )
        identity = {place.name: study.whole.key for place, study in studies.items()}
        identity["stages"] = STAGE2 if options.stage2 else STAGE1
        identity |= {name: STAGE2 for name, variant in variants.items() if variant.stage2}
        key = digest(identity)
        name = options.name or re.sub(r"[^\w.=-]+", "-", f"{'-'.join(variants)}-{key[:8]}")
        folder = setting.storage / experiment / name
        claim(folder, identity)
        stamps = {stamp for study in studies.values() for stamp in study.stamps}
        warnings = {warning for study in studies.values() for warning in study.warnings}
        setting.warn((*sorted(stamps), *sorted(warnings)))
        tracker = setting.children.enter_context(Tracker.start(setting.uri, experiment, name, key))
        yield Grid(setting, options, name, folder, tracker, variants, studies)


@dataclass(frozen=True)
class _Reports:
    """Given a training of a cell, what reports its epochs: stage 1's, not the fine-tunings'."""

    stage1: EpochReport

    def __call__(self, run: str) -> OnEpoch:
        return self.stage1 if run == STAGE1 else unreported(run)
