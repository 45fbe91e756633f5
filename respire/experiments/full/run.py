"""RespireNet on one split: both stages, their report, and models that are kept."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd
import pyarrow as pa

from respire.data.splits.split import Cut
from respire.evaluation.evaluate import STAGES
from respire.experiments.full.report import table, write_report
from respire.experiments.full.summary import Outcome, histories, run_stages, summarise
from respire.recipe.recipe import Recipe
from respire.runtime.run_folder import dump_state
from respire.runtime.storage import Storage
from respire.runtime.tracking import Tracker
from respire.study.experiment import Planned, open_setting
from respire.study.place import Place
from respire.study.study import Study
from respire.training.loop import OnEpoch
from respire.training.sampling import share_of_batch
from respire.training.stage2 import trial_name

PREDICTIONS, MODELS = "predictions.parquet", "models"


def full(recipe: Recipe, cut: Cut, seed: int, place: Place, name: str | None = None) -> str:
    """Run both stages on one split and write the report; the same arguments resume.

    Args:
        recipe: every choice that changes a number.
        cut: who is held out.
        seed: training seed.
        place: where things are.
        name: the run's own; None for one made of recipe, split and key.

    Returns:
        The report's table.

    Raises:
        InputError: bad input or an unusable setting, found before anything is trained.
    """
    share_of_batch(recipe.optimisation.batch_size, place.workers)
    with open_setting("full", place, {"whole": Planned(recipe, cut, seed)}) as setting:
        study = setting.studies["whole"]
        key = study.whole.key
        default_name = f"{recipe.preset}-{cut.kind}-{key[:8]}"
        experiment = setting.begin(name, default_name, study.whole.identity, key)
        _log_study(experiment.tracker, study)

        def on_epoch(run: str) -> OnEpoch:
            stage = recipe.optimisation if run == "stage1" else recipe.finetune
            return setting.on_epoch(experiment.tracker, run, stage.epochs, recipe.selection)

        outcome = run_stages(study, setting.stopwatch, on_epoch)
        found = summarise(study, outcome)
        _keep(experiment.folder, study, outcome)
        results = experiment.finish(
            found,
            lambda results: write_report(results, histories(outcome), experiment.folder),
            {},
            files=(PREDICTIONS, MODELS),
            warnings=outcome.warnings,
        )
        _log_results(experiment.tracker, study, outcome, results)
    return table(results)


def _keep(folder: Storage, study: Study, outcome: Outcome) -> None:
    """Write predictions and models; a model says what it started from and how to use it."""
    stages = [outcome.predictions[stage].assign(stage=stage) for stage in STAGES]
    table = pa.Table.from_pandas(pd.concat(stages, ignore_index=True), preserve_index=False)
    (folder / PREDICTIONS).write_table(table)
    tuned = {device: model.weights for device, model in outcome.devices.items()}
    for device, weights in {"stage1": outcome.stage1.weights, **tuned}.items():
        if weights is None:
            continue
        state = {
            "weights": weights,
            "recipe": asdict(study.recipe),
            "classes": list(study.recipe.classes),
            "initial_weights": study.recipe.model.weights,
            "initial_weights_fingerprint": study.identity["initial"],
            "key": study.whole.key,
        }
        (folder / "models" / f"{device}.pt").write_bytes(dump_state(state))


def _log_study(run: Tracker, study: Study) -> None:
    """What is known before training."""
    run.log_recipe(study.recipe)
    cut = study.split.cut
    name = f"{cut.kind} split {cut.split_seed}"
    run.log_split(study.cycles, study.split.side_of(study.cycles), name)


def _log_results(
    parent: Tracker,
    study: Study,
    outcome: Outcome,
    results: Mapping[str, Any],
) -> None:
    """Final metrics on the parent, where the UI compares runs, and what became of each device."""
    parent.log_results(results)
    for device, model in outcome.devices.items():
        if model.trial is not None:
            run = parent.child(trial_name(device, model.trial.learning_rate, study.recipe))
            run.log_tags({"respire.decision": model.decision, "respire.reason": model.reason})
