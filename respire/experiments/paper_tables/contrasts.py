"""A finished grid to a paper's table: each row's measures, and what sets rows apart."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from respire.data.rows import known
from respire.evaluation.assess import EVERY
from respire.evaluation.decided import decided
from respire.evaluation.evaluate import STAGE1, STAGE2
from respire.evaluation.seams import ALONE, hear_seams
from respire.experiments.paper_tables import summary
from respire.experiments.paper_tables.question import Question, Row
from respire.labels import NORMAL, Task
from respire.metrics import overall
from respire.runtime.session import on_worker
from respire.statistics.composition import correlate
from respire.statistics.paired import Comparison, compare
from respire.statistics.thresholds import t_interval
from respire.statistics.verdicts import (
    Detectable,
    Verdict,
    detectable_by,
    of_new_patients,
    verdicts,
)
from respire.study.contrast import of_test_patients, over_one_test_side
from respire.study.grid import Grid
from respire.study.one_run import Run
from respire.study.spread import baselines, by_split
from respire.study.spread_summary import RunScores
from respire.study.study import Study
from respire.study.tested import runs_of, tested_by

SEAMS = "seams.parquet"
BySplit = Mapping[int, pd.DataFrame]
"""Test predictions by split seed, those of all training seeds together."""


def summarise(grid: Grid, question: Question) -> summary.TableSummary:
    """What a finished grid says of a question."""
    contrasts = _Contrasts(grid, question)
    runs: Any = runs_of(grid).to_dict("records")
    return summary.TableSummary(
        **grid.facts(),
        title=question.title,
        note=question.note,
        axis=question.axis,
        confusions=tuple(question.confusions),
        rows=tuple(map(contrasts.row, question.rows)),
        baselines=tuple(contrasts.baselines()),
        training_size=contrasts.training_size() if question.by_device else None,
        seams=tuple(seam for seam in map(contrasts.seam, question.seams) if seam.cycles),
        primary=question.primary,
        detectable=contrasts.detectable(),
        recipes={name: asdict(variant.recipe) for name, variant in grid.variants.items()},
        runs=tuple(RunScores(**run) for run in runs),
    )


@dataclass(frozen=True)
class _Contrasts:
    """A finished grid, and what is asked of it."""

    grid: Grid
    question: Question

    @cached_property
    def predictions(self) -> Mapping[str, BySplit]:
        """By row."""
        tested = tested_by(self.grid)
        return {
            row.name: {
                seed: rows
                for (variant, seed, stage), rows in tested.items()
                if (variant, stage) == (row.variant, STAGE2 if row.stage2 else STAGE1)
            }
            for row in self.question.rows
        }

    def study(self, variant: str) -> Study:
        """The first of a variant."""
        return next(s for at, s in self.grid.studies.items() if at.variant == variant)

    def stamps(self, variant: str) -> tuple[str, ...]:
        """What a variant's results must carry, whichever split they are of."""
        each = (study.stamps for at, study in self.grid.studies.items() if at.variant == variant)
        return tuple(dict.fromkeys(chain.from_iterable(each)))

    @cached_property
    def scores(self) -> Mapping[str, pd.DataFrame]:
        """What each row has on each split (``by_split``)."""
        return {
            row.name: by_split(
                self.predictions[row.name], len(self.study(row.variant).recipe.classes)
            )
            for row in self.question.rows
        }

    def row(self, row: Row) -> summary.TableRow:
        """All that is said of one row."""
        study, tested = self.study(row.variant), self.predictions[row.name]
        cut, classes = self.grid.variants[row.variant].cut, len(study.recipe.classes)
        scores = self.scores[row.name]
        splits: Any = scores.reset_index().to_dict("records")
        return summary.TableRow(
            **_means(scores),
            name=row.name,
            along=self.question.along.get(row.name),
            variant=row.variant,
            stage=STAGE2 if row.stage2 else STAGE1,
            split=cut.kind,
            task=study.recipe.task,
            stamps=self.stamps(row.variant),
            heard=cut.heard,
            splits=tuple(summary.TestedSplit(**split) for split in splits),
            interval=t_interval(scores["score"]),
            **_pooled(pd.concat(tested.values()), classes),
            printed=replace(row.printed, gain=self.question.gain(row)),
            against=row.against or None,
            difference=self.difference(row) if row.against else None,
            by_device=dict(self.by_device(row, classes)) if self.question.by_device else None,
        )

    def apart(self, row: Row) -> pd.DataFrame:
        """What a row is better by than the one it is compared with, by split (``by_split``)."""
        return self.scores[row.name] - self.scores[row.against]

    def difference(self, row: Row) -> summary.Difference:
        """What a row is better by than the one it is compared with, over the same splits."""
        apart, compared = self.apart(row), self.compared.get(row.name)
        return summary.Difference(
            *(_means(apart), tuple(apart["score"]), t_interval(apart["score"])),
            new_patients=None if compared is None else compared.new_patients,
            verdict=self.verdicts.get(row.name),
        )

    @cached_property
    def compared(self) -> dict[str, Comparison]:
        """Rows compared for new patients.

        The overlap of random test sides says nothing of replicates on a single one, nor of sides
        that all have the same patients.
        """
        return {
            row.name: compare(score.to_numpy(), **sizes)
            for row in self.question.rows
            if row.against and self.study(row.variant).split.cut.random_test
            if (sizes := self.sizes(row))["n_train"] > 0
            if t_interval(score := self.apart(row)["score"]) is not None
        }

    def sizes(self, row: Row) -> dict[str, float]:
        """Patients on the test side of a row's splits, a mean, and off it."""
        sides = self.predictions[row.name].values()
        n_test = float(np.mean([rows["patient"].nunique() for rows in sides]))
        everybody = float(self.study(row.variant).cycles["patient"].nunique())
        return {"n_test": n_test, "n_train": everybody - n_test}

    @cached_property
    def verdicts(self) -> dict[str, Verdict]:
        """On every row that is compared for new patients, or over those of a listed test side."""
        known = {name: of_new_patients(of) for name, of in self.compared.items()}
        rows = {row.name: row for row in self.question.rows}
        for row in self.question.rows:
            cuts = [
                self.grid.variants[rows[name].variant].cut
                for name in (row.name, row.against)
                if name
            ]
            if row.against and cuts[0].listed_test and cuts[0].kind == cuts[1].kind:
                sides = (self.predictions[name] for name in (row.name, row.against))
                apart = over_one_test_side(*sides)
                if apart is not None:
                    known[row.name] = of_test_patients(apart, "score")
        return verdicts(known, self.question.primary)

    def detectable(self) -> Detectable | None:
        """What the differences on random splits can see; None without any."""
        rows = [row for row in self.question.rows if row.name in self.compared]
        if not rows:
            return None
        samples = [self.apart(row)["score"].tolist() for row in rows]
        return detectable_by(samples, **self.sizes(rows[0]))

    def by_device(self, row: Row, classes: int) -> Iterator[tuple[str, summary.TestedDevice]]:
        """Each device's test cycles, of all splits together, and the mean difference."""
        ours = self.predictions[row.name]
        theirs = self.predictions[row.against] if row.against else {}
        for device in self.study(row.variant).devices:
            cycles = pd.concat(_of(device, ours).values())
            if not len(cycles):
                continue
            gains = pd.Series(dtype=float)
            if row.against:
                a, b = (
                    {seed: overall(of, classes).score for seed, of in _of(device, by).items()}
                    for by in (ours, theirs)
                )
                gains = (pd.Series(a) - pd.Series(b)).dropna()
            yield (
                device,
                summary.TestedDevice(
                    **_pooled(cycles, classes) | overall(cycles, classes).fractions,
                    n=len(cycles),
                    patients=known(cycles["patient"]).nunique(),
                    printed=row.devices.get(device),
                    difference=float(gains.mean()),
                    interval=t_interval(gains),
                    splits=len(gains),
                ),
            )

    def training_size(self) -> summary.TrainingSize:
        """Abnormal cycles recognised on each device against its training cycles (paper 2.1).

        Of the first row, before any fine-tuning; a point is a device on one split.
        """
        row = self.question.rows[0]
        classes = len(self.study(row.variant).recipe.classes)
        points = []
        for at, study in self.grid.studies.items():
            if at.variant != row.variant or at.seed != self.grid.extent.seeds[0]:
                continue
            of_training = study.cycles[study.cycles["recording"].isin(study.split.train)]
            for device, count in of_training["device"].value_counts().items():
                cycles = self.predictions[row.name][at.split_seed]
                se = overall(cycles[cycles["device"] == device], classes).se
                if np.isfinite(se):
                    points.append(summary.Point(str(device), at.split_seed, int(count), se))
        sizes = [point.training_cycles for point in points]
        correlation = correlate([point.se for point in points], sizes)
        return summary.TrainingSize(row.name, tuple(points), correlation)

    def seam(self, variant: str) -> summary.Seam:
        """What a seam means to a variant's models, of the first training seed on each split."""
        cycles, normal = 0, dict[str, list[float]]()
        for at, study in self.grid.studies.items():
            if (at.variant, at.seed) == (variant, self.grid.extent.seeds[0]):
                heard = self._seams(self.grid.run_of(at))
                if heard.empty:
                    continue
                cycles += int(heard["partner"].eq(ALONE).sum())
                for partner, rows in decided(heard, study.recipe.prior).groupby("partner"):
                    share = float((rows["predicted"] == NORMAL).mean())
                    normal.setdefault(str(partner), []).append(share)
        return summary.Seam(variant, cycles, {name: tuple(of) for name, of in normal.items()})

    def _seams(self, run: Run) -> pd.DataFrame:
        """Predictions of joined cycles (evaluation/seams.py), kept beside the run."""
        file, study = run.home / SEAMS, run.study
        if not file.exists():
            given = (study.recipe, study.read("test"), run.fit().learnt, study.compute)
            gpu = study.compute.device == "cuda"
            heard = on_worker(hear_seams, *given, study.split.cut.split_seed, gpu=gpu)
            file.write_table(pa.Table.from_pandas(heard, preserve_index=False))
        return file.read_table().to_pandas()

    def baselines(self) -> Iterator[summary.Baseline]:
        """Each baseline's means over splits, on every kind of split and task.

        They are fitted as the first of the variants there trains: on what it hears.
        """
        first: dict[tuple[str, Task], str] = {}
        for variant, of in self.grid.variants.items():
            first.setdefault((of.cut.kind, of.recipe.task), variant)
        for (split, task), variant in first.items():
            for name, scores in baselines(self.grid, variant).items():
                yield summary.Baseline(
                    **_means(scores),
                    name=name,
                    split=split,
                    task=task,
                    interval=t_interval(scores["score"]),
                    splits=tuple(scores["score"]),
                )


def _means(scores: pd.DataFrame) -> dict[str, Any]:
    """Of every statistic over splits, by its name."""
    return {name: float(scores[name].mean(skipna=False)) for name in EVERY}


def _pooled(cycles: pd.DataFrame, classes: int) -> dict[str, Any]:
    """Recall and confusion of all splits together."""
    scores = overall(cycles, classes)
    confusion = tuple(map(tuple, scores.confusion.tolist()))
    return {"recall": tuple(scores.recall.tolist()), "confusion": confusion}


def _of(device: str, tested: BySplit) -> dict[int, pd.DataFrame]:
    return {seed: rows[rows["device"] == device] for seed, rows in tested.items()}
