"""Both stages of a study, from cycles to results; what every experiment on one split shares."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from respire.data.manifest import UNKNOWN
from respire.evaluation.assess import described, described_by_device, intervals
from respire.evaluation.beyond import Beyond, look_beyond
from respire.evaluation.decided import PRIORS, along, averaged, decided
from respire.evaluation.evaluate import STAGE1, STAGE2, STAGES, baseline_predictions, predict_stages
from respire.evaluation.subgroups import Subgroups, subgroups
from respire.evaluation.windows import OnWindows
from respire.metrics import Scores
from respire.report.reproduction import STAGES as TITLES
from respire.report.typed import Number
from respire.runtime.resources import Stopwatch
from respire.runtime.session import on_worker
from respire.statistics.coverage import over_patients
from respire.statistics.intervals import no_interval
from respire.study.one_run import Run
from respire.study.study import Study
from respire.training.finetune import DeviceModel
from respire.training.loop import Fit
from respire.training.stage1 import train_stage1

HOST_BANK_WARNING = (
    "the recordings were too large for the GPU's memory: they stayed in host memory, and every "
    "batch was sent from there; the numbers are the same, the speed may not be"
)


@dataclass(frozen=True)
class Outcome:
    """Both trained stages and what they predict on the test side.

    Attributes:
        stage1: the common model's run.
        devices: each device's model.
        predictions: for "stage1" and "stage2", of the test side (training/predict.py).
        validated: the same of the validation side; empty where nobody is on it.
        baselines: for each baseline, of the test side.
    """

    stage1: Fit
    devices: Mapping[str, DeviceModel]
    predictions: Mapping[str, pd.DataFrame]
    validated: Mapping[str, pd.DataFrame]
    baselines: Mapping[str, pd.DataFrame]

    @property
    def fits(self) -> dict[str, Fit]:
        """Stage 1's run and each device's chosen trial."""
        tuned = {d: m.trial.fit for d, m in self.devices.items() if m.trial is not None}
        return {"stage1": self.stage1, **tuned}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know of how they were trained."""
        crowded = any(fit.from_host_memory for fit in self.fits.values())
        return (HOST_BANK_WARNING,) if crowded else ()


StoredScores = Mapping[str, Any]
"""What results.json says of predictions (evaluation/assess.py, ``described``)."""


@dataclass(frozen=True)
class Model:
    """Test Scores: over all cycles, with their interval or why there is none, and by device."""

    overall: StoredScores
    by_device: Mapping[str, StoredScores]


@dataclass(frozen=True)
class Stage1(Model):
    """The common model: the chosen epoch, and its Scores on the side that chose it."""

    epoch: int
    selecting: StoredScores | None


@dataclass(frozen=True)
class TunedDevice:
    """What became of a device in stage 2: Scores are of its cycles on the selecting side."""

    decision: str
    reason: str
    epoch: int | None
    learning_rate: float | None
    selecting_before: StoredScores | None
    selecting_after: StoredScores | None


@dataclass(frozen=True)
class Stage2(Model):
    """The devices' models, each on its own cycles."""

    devices: Mapping[str, TunedDevice]


@dataclass(frozen=True)
class Stages:
    """Both stages, in their order."""

    stage1: Stage1
    stage2: Stage2


@dataclass(frozen=True)
class AlongPrior:
    """The fine-tuned models' Score under each prior: of validation, if anybody is, and of test."""

    priors: Sequence[float]
    validation: Sequence[Number] | None
    test: Sequence[Number]


@dataclass(frozen=True)
class SplitSummary:
    """How the recordings were split, and what each side is made of (``Split.describe``)."""

    kind: str
    holds_out: bool
    split_seed: int
    inner_seed: int
    training_seed: int
    sides: Mapping[str, Any]


@dataclass(frozen=True)
class Seeds:
    """Several trainings: each seed's Scores by stage, and those of their mean probabilities."""

    members: Mapping[str, Mapping[str, StoredScores]]
    averaged: Mapping[str, Model]


@dataclass(frozen=True)
class Summary:
    """What results.json has beside its header (experiments/results/SCHEMA.md).

    With several training seeds, all but ``seeds`` is the first one's. ``beyond`` is what figures
    show of stage 2's predictions, ``subgroups`` the Score they have, ``windows`` that of windows.
    """

    recipe: Mapping[str, Any]
    split: SplitSummary
    stages: Stages
    baselines: Mapping[str, Model]
    along_prior: AlongPrior
    beyond: Beyond
    subgroups: Subgroups
    seeds: Seeds | None = None
    windows: OnWindows | None = None

    @property
    def models(self) -> dict[str, Model]:
        """Stages, then baselines, as tables call them."""
        return {
            TITLES[STAGE1]: self.stages.stage1,
            TITLES[STAGE2]: self.stages.stage2,
            **{f"baseline: {name}": model for name, model in self.baselines.items()},
        }


def run_stages(run: Run, stopwatch: Stopwatch) -> Outcome:
    """Stage 1 on Ray Train, the fine-tunings on Ray Tune, and the one reading of the test side.

    Args:
        run: what is trained; what it finds is not kept where grids keep theirs.
        stopwatch: times the parts.
    """
    study, recipe, compute = run.study, run.study.recipe, run.study.compute
    gpu = compute.device == "cuda"
    with stopwatch.part("stage1"):
        stage1 = train_stage1(
            recipe,
            study.prepared,
            study.split.train,
            study.selector,
            study.split.test,
            study.initial,
            compute,
            study.stage1,
            seed=study.seed,
            workers=study.workers,
            on_epoch=run.on_epoch(STAGE1),
        )
    train, selector = study.read("train"), study.prepared.read(study.selector)
    with stopwatch.part("stage2"):
        devices = run.fine_tune(stage1.learnt, train, selector, here=False)
    with stopwatch.part("evaluation"):
        test, validation = study.read("test"), study.read("validation")
        own = {device: model.learnt for device, model in devices.items()}

        def predicted(rows: pa.Table) -> dict[str, pd.DataFrame]:
            return on_worker(predict_stages, recipe, rows, stage1.learnt, own, compute, gpu=gpu)

        validated = predicted(validation) if len(validation) else {}
        study.note_test_read()
        predictions = predicted(test)
        baselines = on_worker(baseline_predictions, recipe, train, test, compute, gpu=gpu)
    return Outcome(stage1, devices, predictions, validated, baselines)


def summarise(study: Study, outcomes: Mapping[int, Outcome]) -> Summary:
    """What both stages and the baselines are worth.

    Args:
        study: of the first training seed.
        outcomes: by training seed.
    """
    outcome = outcomes[study.seed]
    classes, prior = len(study.recipe.classes), study.recipe.prior
    test = decided(outcome.predictions[STAGE1], prior)
    reason = no_interval(test)
    coverage = over_patients(test, study.seed) if reason is None else None

    def model(rows: pd.DataFrame) -> Model:
        predictions = decided(rows, prior)
        found = intervals(predictions, classes)
        interval = None if found is None else found | {"coverage": coverage}
        told = {"interval": interval, "no_interval": reason}
        return Model(
            overall=described(predictions, classes) | told,
            by_device=described_by_device(predictions, classes),
        )

    stage1, stage2 = (model(outcome.predictions[stage]) for stage in STAGES)
    final, cut = decided(outcome.predictions[STAGE2], prior), study.split.cut
    return Summary(
        recipe=asdict(study.recipe),
        split=SplitSummary(
            *(cut.kind, cut.holds_out, cut.split_seed, cut.inner_seed, study.seed),
            sides=study.split.describe(study.cycles),
        ),
        stages=Stages(
            Stage1(
                **vars(stage1), epoch=outcome.stage1.epoch, selecting=_json(outcome.stage1.scores)
            ),
            Stage2(
                **vars(stage2),
                devices={device: _tuned(of) for device, of in outcome.devices.items()},
            ),
        ),
        baselines={name: model(rows) for name, rows in outcome.baselines.items()},
        along_prior=AlongPrior(
            PRIORS,
            along(outcome.validated[STAGE2], PRIORS, classes) if outcome.validated else None,
            along(outcome.predictions[STAGE2], PRIORS, classes),
        ),
        beyond=look_beyond(final),
        subgroups=subgroups(final, study.patients, _locations(study.cycles), classes),
        seeds=None
        if len(outcomes) == 1
        else Seeds(
            members={
                str(seed): {
                    stage: described(decided(rows, prior), classes)
                    for stage, rows in of.predictions.items()
                }
                for seed, of in outcomes.items()
            },
            averaged={
                stage: model(averaged([of.predictions[stage] for of in outcomes.values()]))
                for stage in STAGES
            },
        ),
    )


def _locations(cycles: pd.DataFrame) -> dict[str, str]:
    """Of each recording, its place on the chest, where the corpus tells."""
    told = cycles[cycles["location"] != UNKNOWN]
    return dict(zip(told["recording"], told["location"], strict=True))


def histories(outcome: Outcome) -> pd.DataFrame:
    """A row an epoch of stage 1 and of each device's chosen trial, with a column ``run``."""
    rows = [pd.DataFrame(fit.history).assign(run=run) for run, fit in outcome.fits.items()]
    return pd.concat(rows, ignore_index=True)


def _tuned(model: DeviceModel) -> TunedDevice:
    if (trial := model.trial) is None:
        return TunedDevice(model.decision, model.reason, None, None, None, None)
    before, after = _json(trial.before), _json(trial.fit.scores)
    rate, epoch = trial.learning_rate, trial.fit.epoch
    return TunedDevice(model.decision, model.reason, epoch, rate, before, after)


def _json(scores: Scores | None) -> StoredScores | None:
    return None if scores is None else scores.to_json()
