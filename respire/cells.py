"""Cells: a recipe trained on one split with one seed, and tested; what every grid is made of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from respire.data.splits import SIDES
from respire.evaluation.evaluate import (
    STAGE1,
    STAGE2,
    baseline_predictions,
    predict_stages,
)
from respire.features.bank import CycleBank
from respire.models.network import respirenet
from respire.storage import Storage
from respire.study import Study
from respire.training.cell import Cell
from respire.training.checkpoint import Checkpoints
from respire.training.loop import Fit, OnEpoch, Row, fit
from respire.training.stage2 import each_device, train_stage2

PREDICTIONS = "predictions.parquet"


def unreported(_: str) -> OnEpoch:
    """Of a training nobody follows: what is called with each epoch's row."""
    return _ignore


def _ignore(_: Row) -> None:
    pass


@dataclass(frozen=True)
class GridCell:
    """One run of a grid.

    Attributes:
        name: what a user knows it by.
        study: recipe, split and training seed, and where results are kept.
        stage2: whether the model is fine-tuned for every device too.
        on_epoch: given "stage1" or a device (and learning rate), what is called with each epoch's
            row in the process that trains; must be picklable.
    """

    name: str
    study: Study
    stage2: bool
    on_epoch: Callable[[str], OnEpoch] = unreported

    @property
    def home(self) -> Storage:
        """Where its predictions lie."""
        return (self.study.whole if self.stage2 else self.study.stage1).storage

    @property
    def finished(self) -> bool:
        """Whether it need not be run again, whichever experiment ran it."""
        return (self.home / PREDICTIONS).exists() and (self.baselines / PREDICTIONS).exists()

    @property
    def baselines(self) -> Storage:
        """Where the predictions of the baselines lie; training seeds of a split share them."""
        identity = self.study.identity
        recipe = {part: identity["recipe"][part] for part in ("preprocess", "features", "task")}
        shared = {name: identity[name] for name in ("data", "split", "device")}
        cell = Cell(self.study.storage, {"stage": "baselines", "recipe": recipe, **shared})
        return cell.storage

    def predictions(self) -> pd.DataFrame:
        """A row a test cycle and stage (training/predict.py), with a column ``stage``."""
        return (self.home / PREDICTIONS).read_table().to_pandas()

    def baseline_predictions(self) -> pd.DataFrame:
        """A row a test cycle and baseline, with a column ``baseline``."""
        return (self.baselines / PREDICTIONS).read_table().to_pandas()

    def fit(self) -> Fit:
        """Stage 1's run."""
        finished = self.study.stage1.load("fit")
        assert finished is not None
        return Fit.from_state(finished)


def run_cell(cell: GridCell, cycles: pa.Table) -> None:
    """Train and test a cell; what is there already is not done again, what was begun goes on.

    Args:
        cell: the cell; its results are kept where it says.
        cycles: rows of all its recordings (data/cycles.py), sorted by recording.

    Raises:
        FloatingPointError: training diverged.
    """
    study = cell.study
    recipe, compute = study.recipe, study.compute
    rows = {side: _rows(cycles, getattr(study.split, side)) for side in SIDES}
    selector = rows[recipe.selection]
    if not (cell.home / PREDICTIONS).exists():
        stage1 = _train(cell, rows["train"], selector, rows["test"])
        own = {}
        if cell.stage2:
            tuned = train_stage2(
                recipe,
                stage1.weights,
                each_device(rows["train"], selector),
                compute,
                study.stage2,
                seed=study.seed,
                on_epoch=cell.on_epoch,
                here=True,
            )
            own = {device: model.weights for device, model in tuned.items()}
        predicted = predict_stages(recipe, rows["test"], stage1.weights, own, compute)
        stages = (STAGE1, STAGE2) if cell.stage2 else (STAGE1,)
        _keep(cell.home, {stage: predicted[stage] for stage in stages}, "stage")
    if not (cell.baselines / PREDICTIONS).exists():
        baselines = baseline_predictions(recipe, rows["train"], rows["test"], compute)
        _keep(cell.baselines, baselines, "baseline")


def _train(cell: GridCell, train: pa.Table, selector: pa.Table, test: pa.Table) -> Fit:
    """Stage 1 in this process, or as some experiment has run it before."""
    study = cell.study
    recipe, device = study.recipe, study.compute.device
    if study.stage1.exists("fit"):
        return cell.fit()
    network = respirenet(replace(recipe.model, weights="none"), len(recipe.classes))
    network.load_state_dict(study.initial)
    banks = [
        CycleBank.from_table(rows, recipe.task, device)
        for rows in (train, selector, *([test] if recipe.watch_test else []))
    ]
    checkpoints = Checkpoints(study.stage1, cell.on_epoch(STAGE1))
    run = fit(
        network,
        banks[0],
        banks[1],
        recipe,
        recipe.optimisation,
        study.compute,
        seed=study.seed,
        watched=banks[2] if recipe.watch_test else None,
        start=checkpoints.start(),
        after_epoch=checkpoints,
    )
    checkpoints.finish("fit", run, run.state)
    return run


def _rows(cycles: pa.Table, recordings: Sequence[str]) -> pa.Table:
    return cycles.filter(pc.is_in(cycles.column("recording"), pa.array(recordings)))


def _keep(home: Storage, predictions: Mapping[str, pd.DataFrame], column: str) -> None:
    frames = [frame.assign(**{column: name}) for name, frame in predictions.items()]
    table = pa.Table.from_pandas(pd.concat(frames, ignore_index=True), preserve_index=False)
    (home / PREDICTIONS).write_table(table)
