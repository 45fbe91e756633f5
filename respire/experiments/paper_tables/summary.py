"""What a finished grid says of a paper's table: each row's Scores, and what sets rows apart."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from respire.evaluation.assess import NAMES, values
from respire.evaluation.evaluate import STAGE1, STAGE2
from respire.experiments.paper_tables.question import Question, Row
from respire.metrics import overall
from respire.statistics.composition import correlate
from respire.statistics.paired import compare
from respire.statistics.thresholds import SPLITS_FOR_INTERVAL, t_interval
from respire.study.grid import Grid
from respire.study.study import Study

BySplit = Mapping[int, pd.DataFrame]
"""Test predictions by split seed, those of all training seeds together."""


def summarise(grid: Grid, question: Question) -> dict[str, Any]:
    """What results.json has beside its header (experiments/results/SCHEMA.md)."""
    contrasts = _Contrasts(grid, question)
    return {
        **grid.facts(),
        "title": question.title,
        "note": question.note,
        "axis": question.axis,
        "confusions": list(question.confusions),
        "rows": [contrasts.row(row) for row in question.rows],
        "baselines": contrasts.baselines(),
        "training_size": contrasts.training_size() if question.by_device else None,
        "recipes": {name: asdict(variant.recipe) for name, variant in grid.variants.items()},
        "runs": grid.table().to_dict("records"),
    }


@dataclass(frozen=True)
class _Contrasts:
    """A finished grid, and what is asked of it."""

    grid: Grid
    question: Question

    @cached_property
    def predictions(self) -> Mapping[str, BySplit]:
        """By row."""
        tested = self.grid.tested()
        return {
            row.name: {
                seed: tested[row.variant, seed, STAGE2 if row.stage2 else STAGE1]
                for seed in self.grid.split_seeds
            }
            for row in self.question.rows
        }

    def study(self, variant: str) -> Study:
        """The first of a variant."""
        return next(s for at, s in self.grid.studies.items() if at.variant == variant)

    def kind(self, variant: str) -> str:
        """Of its splits."""
        return self.grid.variants[variant].cut.kind

    def row(self, row: Row) -> dict[str, Any]:
        """All that is said of one row."""
        variant, study = self.grid.variants[row.variant], self.study(row.variant)
        by_split = self.predictions[row.name]
        classes = len(study.recipe.classes)
        pooled = pd.concat(by_split.values())
        scores = _scores(by_split, classes)
        everything = overall(pooled, classes).to_json()
        return {
            "name": row.name,
            "along": self.question.along.get(row.name),
            "variant": row.variant,
            "stage": STAGE2 if row.stage2 else STAGE1,
            "split": self.kind(row.variant),
            "task": study.recipe.task,
            "stamps": list(study.stamps),
            "heard": None if variant.cut.heard is None else list(variant.cut.heard),
            "splits": scores.reset_index().to_dict("records"),
            **{metric: float(scores[metric].mean()) for metric in NAMES},
            "interval": t_interval(scores["score"]),
            "recall": everything["recall"],
            "confusion": everything["confusion"],
            "printed": asdict(row.printed) | {"gain": self.question.gain(row)},
            "against": row.against or None,
            "difference": self.difference(row, scores) if row.against else None,
            "by_device": self.by_device(row, classes) if self.question.by_device else None,
        }

    def difference(self, row: Row, ours: pd.DataFrame) -> dict[str, Any]:
        """What a row is better by than the one it is compared with, over the same splits."""
        study = self.study(row.variant)
        apart = ours - _scores(self.predictions[row.against], len(study.recipe.classes))
        told: dict[str, Any] = {
            "mean": {metric: float(apart[metric].mean()) for metric in NAMES},
            "splits": apart["score"].tolist(),
            "these_patients": t_interval(apart["score"]),
            "new_patients": None,
        }
        # The overlap of random test sides says nothing of replicates on a single one, nor of sides
        # that all have the same patients.
        if len(apart) >= SPLITS_FOR_INTERVAL and study.split.cut.random_test:
            n_test = float(ours["patients"].mean())
            everybody = float(study.cycles["patient"].nunique())
            if n_test < everybody:
                compared = compare(
                    apart["score"].to_numpy(), n_test=n_test, n_train=everybody - n_test
                )
                told["new_patients"] = compared.to_json()["new_patients"]
        return told

    def by_device(self, row: Row, classes: int) -> dict[str, Any]:
        """Scores on each device's test cycles, of all splits together, and the mean difference."""
        ours = self.predictions[row.name]
        theirs = self.predictions[row.against] if row.against else {}
        told = {}
        for device in self.study(row.variant).devices:
            cycles = pd.concat(_of(device, ours).values())
            if not len(cycles):
                continue
            gains = pd.Series(dtype=float)
            if row.against:
                a, b = (_scores(_of(device, of), classes)["score"] for of in (ours, theirs))
                gains = (a - b).dropna()
            told[device] = {
                **overall(cycles, classes).to_json(),
                "patients": int(cycles["patient"].nunique()),
                "printed": asdict(row.devices[device]) if device in row.devices else None,
                "difference": float(gains.mean()) if len(gains) else None,
                "interval": t_interval(gains),
                "splits": len(gains),
            }
        return told

    def training_size(self) -> dict[str, Any]:
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
                    points.append((str(device), at.split_seed, int(count), se))
        table = pd.DataFrame(points, columns=["device", "split_seed", "training_cycles", "se"])
        found = correlate(table["se"].to_list(), table["training_cycles"].to_list())
        return {
            "row": row.name,
            "points": table.to_dict("records"),
            "correlation": None if found is None else found.to_json(),
        }

    def baselines(self) -> list[dict[str, Any]]:
        """Each baseline's means over splits, on every kind of split and task.

        They are fitted as the first of the variants there trains: on what it hears.
        """
        first: dict[tuple[str, str], str] = {}
        for name, variant in self.grid.variants.items():
            first.setdefault((self.kind(name), variant.recipe.task), name)
        told = []
        for (split, task), name in first.items():
            by_split: dict[str, dict[int, pd.DataFrame]] = {}
            for at in self.grid.studies:
                if at.variant == name:
                    predicted = self.grid.run_of(at).baseline_predictions()
                    for baseline, rows in predicted.groupby("baseline"):
                        by_split.setdefault(str(baseline), {})[at.split_seed] = rows
            for baseline, of in by_split.items():
                scores = _scores(of, len(self.study(name).recipe.classes))
                told.append(
                    {
                        "name": baseline,
                        "split": split,
                        "task": task,
                        **{metric: float(scores[metric].mean()) for metric in NAMES},
                        "interval": t_interval(scores["score"]),
                        "splits": scores["score"].tolist(),
                    }
                )
        return told


def _scores(by_split: BySplit, classes: int) -> pd.DataFrame:
    """Columns se, sp, score, cycles and patients; a row a split seed."""
    return pd.DataFrame.from_dict(
        {
            seed: values(predictions, classes)
            | {
                "cycles": len(predictions.drop_duplicates(["recording", "cycle"])),
                "patients": predictions["patient"].nunique(),
            }
            for seed, predictions in by_split.items()
        },
        orient="index",
    ).rename_axis("split_seed")


def _of(device: str, by_split: BySplit) -> dict[int, pd.DataFrame]:
    return {seed: of[of["device"] == device] for seed, of in by_split.items()}
