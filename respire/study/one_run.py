"""One run: a recipe trained on one split with one seed, and tested."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from respire.data.rows import pick
from respire.evaluation.assess import assess
from respire.evaluation.decided import decided
from respire.evaluation.evaluate import STAGE1, STAGES, baseline_predictions, predict_stages
from respire.features.bank import CycleBank
from respire.metrics import Measure, Scores, overall
from respire.models.network import Learnt, network_of
from respire.runtime.run_folder import RunFolder
from respire.runtime.storage import Storage
from respire.study.study import Study
from respire.training.checkpoint import Checkpoints
from respire.training.finetune import DeviceModel
from respire.training.loop import Fit, OnEpoch, Row, fit
from respire.training.stage2 import each_device, train_stage2

K = TypeVar("K", bound=Hashable)
PREDICTIONS, VALIDATION = "predictions.parquet", "validation.parquet"


def unreported(_: str) -> OnEpoch:
    """Of a training nobody follows: what is called with each epoch's row."""
    return _ignore


def _ignore(_: Row) -> None:
    pass


@dataclass(frozen=True)
class Run:
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
        return self.predicted and (self.baselines / PREDICTIONS).exists()

    @property
    def predicted(self) -> bool:
        """Whether stage 1's run and what its last stage predicts are there."""
        return self.study.stage1.exists("fit") and (self.home / PREDICTIONS).exists()

    @property
    def baselines(self) -> Storage:
        """Where the predictions of the baselines lie; training seeds of a split share them."""
        identity = self.study.identity
        recipe = {part: identity["recipe"][part] for part in ("preprocess", "features", "task")}
        shared = {name: identity[name] for name in ("data", "split", "device")}
        cell = RunFolder(self.study.storage, {"stage": "baselines", "recipe": recipe, **shared})
        return cell.storage

    @property
    def stages(self) -> tuple[str, ...]:
        """Those that it has; the last is what it is worth."""
        return STAGES if self.stage2 else STAGES[:1]

    def undecided(self, stage: str | None = None) -> pd.DataFrame:
        """Test predictions as they are kept (training/predict.py), with a column ``stage``.

        Args:
            stage: the only one that is wanted; None for all.
        """
        rows = (self.home / PREDICTIONS).read_table().to_pandas()
        return rows if stage is None else rows[rows["stage"] == stage]

    def predictions(self, stage: str | None = None) -> pd.DataFrame:
        """The same decided as the recipe says, a row a test cycle and stage."""
        return decided(self.undecided(stage), self.study.recipe.prior)

    def measures(self, stage: str | None = None) -> tuple[Measure, ...]:
        """What its test predictions are worth, those of the last stage if none is named."""
        rows = self.predictions(stage or self.stages[-1])
        return assess(rows, len(self.study.recipe.classes))

    def baseline_predictions(self) -> pd.DataFrame:
        """A row a test cycle and baseline, decided alike, with a column ``baseline``."""
        rows = (self.baselines / PREDICTIONS).read_table().to_pandas()
        return decided(rows, self.study.recipe.prior)

    @property
    def validated(self) -> bool:
        """Whether what its last stage predicts of the validation side is there."""
        return (self.home / VALIDATION).exists()

    def validation(self) -> Scores:
        """Scores of the validation side after its last stage (``train_and_validate``)."""
        rows = (self.home / VALIDATION).read_table().to_pandas()
        return overall(decided(rows, self.study.recipe.prior), len(self.study.recipe.classes))

    def fit(self) -> Fit:
        """Stage 1's run."""
        finished = self.study.stage1.load("fit")
        assert finished is not None
        return Fit.from_state(finished)

    def fine_tune(
        self, stage1: Learnt, train: pa.Table, selector: pa.Table, *, here: bool
    ) -> dict[str, DeviceModel]:
        """Stage 2: every device's model, learnt from its own rows (``train_stage2``).

        Args:
            stage1: stage 1's model.
            train: rows to learn from.
            selector: rows whose Score chooses the epoch; none where it is fixed.
            here: whether in this process, and not on Ray Tune.
        """
        study = self.study
        return train_stage2(
            study.recipe,
            stage1,
            each_device(train, selector, study.devices),
            study.compute,
            study.storage,
            study.stage2_identity,
            seed=study.seed,
            on_epoch=self.on_epoch,
            here=here,
        )


def rounds(runs: Mapping[K, Run]) -> list[list[K]]:
    """Runs of one stage 1 in a round each: at once, they would train it in one folder."""
    parts: list[list[K]] = []
    begun = Counter[str]()
    for name, run in runs.items():
        key = run.study.stage1.key
        if begun[key] == len(parts):
            parts.append([])
        parts[begun[key]].append(name)
        begun[key] += 1
    return parts


def train_and_test(run: Run, cycles: pa.Table) -> None:
    """Train and test a run; what is there already is not done again, what was begun goes on.

    Args:
        run: the run; its results are kept where it says.
        cycles: rows of all its recordings (data/cycles.py), sorted by recording.

    Raises:
        FloatingPointError: training diverged.
    """
    recipe, compute = run.study.recipe, run.study.compute
    if not run.predicted:
        run.study.note_test_read()
        keep_predictions(run.home / PREDICTIONS, _predicted(run, cycles, "test"), "stage")
    if not (run.baselines / PREDICTIONS).exists():
        split = run.study.split
        train, test = (_rows(cycles, names) for names in (split.train, split.test))
        predicted = baseline_predictions(recipe, train, test, compute)
        keep_predictions(run.baselines / PREDICTIONS, predicted, "baseline")


def train_and_validate(run: Run, cycles: pa.Table) -> None:
    """Train a run as ``train_and_test`` does, and hear its validation side; test is not read.

    Args:
        run: the run; its results are kept where it says.
        cycles: rows of its recordings in train and validation at least.

    Raises:
        FloatingPointError: training diverged.
    """
    if not run.validated:
        last = run.stages[-1]
        predicted = {last: _predicted(run, cycles, "validation")[last]}
        keep_predictions(run.home / VALIDATION, predicted, "stage")


def keep_predictions(file: Storage, predictions: Mapping[str, pd.DataFrame], column: str) -> None:
    """Write predictions as one Parquet file, their names in a column more."""
    frames = [frame.assign(**{column: name}) for name, frame in predictions.items()]
    table = pa.Table.from_pandas(pd.concat(frames, ignore_index=True), preserve_index=False)
    file.write_table(table)


def _predicted(run: Run, cycles: pa.Table, side: str) -> dict[str, pd.DataFrame]:
    """What each stage predicts on a side, trained in this process where it is not trained yet."""
    study, recipe = run.study, run.study.recipe
    train, selector, rows = (
        _rows(cycles, names)
        for names in (study.split.train, study.selector, getattr(study.split, side))
    )
    watched = _rows(cycles, study.split.test) if recipe.watch_test else None
    stage1, own = _train_stage1(run, train, selector, watched).learnt, {}
    if run.stage2:
        tuned = run.fine_tune(stage1, train, selector, here=True)
        own = {device: model.learnt for device, model in tuned.items()}
    predicted = predict_stages(recipe, rows, stage1, own, study.compute)
    return {stage: predicted[stage] for stage in run.stages}


def _train_stage1(run: Run, train: pa.Table, selector: pa.Table, watched: pa.Table | None) -> Fit:
    """Stage 1 in this process, or as some experiment has run it before."""
    study, recipe = run.study, run.study.recipe
    if study.stage1.exists("fit"):
        return run.fit()

    def bank(rows: pa.Table) -> CycleBank:
        return CycleBank.from_table(rows, recipe.task, study.compute.device)

    checkpoints = Checkpoints(study.stage1, run.on_epoch(STAGE1))
    trained = fit(
        network_of(recipe, study.initial),
        bank(train),
        bank(selector) if len(selector) else None,
        recipe,
        recipe.optimisation,
        study.compute,
        seed=study.seed,
        watched=bank(watched) if watched is not None and len(watched) else None,
        start=checkpoints.start(),
        after_epoch=checkpoints,
    )
    checkpoints.finish("fit", trained, trained.state)
    return trained


def _rows(cycles: pa.Table, recordings: Sequence[str]) -> pa.Table:
    wanted = pa.array(recordings, pa.string())
    return pick(cycles, np.flatnonzero(pc.is_in(cycles.column("recording"), wanted)))
