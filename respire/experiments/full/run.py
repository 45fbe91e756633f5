"""RespireNet on one split: both stages, their report, and models that are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import pandas as pd

from respire.data.manifest import UNKNOWN
from respire.data.splits.split import Cut
from respire.evaluation.assess import EVERY
from respire.evaluation.decided import decided
from respire.evaluation.evaluate import STAGE1, STAGE2, STAGES
from respire.experiments.full import report, summary
from respire.experiments.full.windows import can_hear_windows, hear_windows
from respire.inference.model_folder import COMMON, Card, write_model
from respire.inference.whole import RULE
from respire.models.network import Learnt
from respire.recipe.identity import digest
from respire.recipe.recipe import Recipe
from respire.runtime.storage import Storage
from respire.runtime.tracking import Tracker
from respire.study.experiment import Planned, open_setting
from respire.study.one_run import PREDICTIONS, Run, keep_predictions
from respire.study.place import Place
from respire.study.study import Study
from respire.training.loop import OnEpoch
from respire.training.sampling import share_of_batch
from respire.training.stage2 import trial_name

MODEL = "model"
"""Folder of the first seed's model; the others' have the seed in their name."""


def full(
    recipe: Recipe,
    cut: Cut,
    seeds: Sequence[int],
    place: Place,
    name: str | None = None,
    register: str | None = None,
) -> str:
    """Run both stages on one split and write the report; the same arguments resume.

    Args:
        recipe: every choice that changes a number.
        cut: who is held out.
        seeds: training seeds, each of which is trained; the report is of the first, and of all
            their predictions averaged.
        place: where things are.
        name: the run's own; None for one made of recipe, split and key.
        register: name in MLflow's registry, of which the models become versions; None for none.

    Returns:
        The report's table.

    Raises:
        InputError: bad input or an unusable setting, found before anything is trained.
    """
    share_of_batch(recipe.optimisation.batch_size, place.workers)
    planned = {seed: Planned(recipe, cut, seed) for seed in seeds}
    with open_setting("full", place, planned) as setting:
        study = setting.studies[seeds[0]]
        identity, key = study.whole.identity, study.whole.key
        if len(seeds) > 1:
            identity = {str(seed): of.whole.key for seed, of in setting.studies.items()}
            key = digest(identity)
        experiment = setting.begin(name, f"{recipe.preset}-{cut.kind}", identity, key)
        _log_study(experiment.tracker, study)

        def on_epoch(seed: int, run: str) -> OnEpoch:
            stage = recipe.optimisation if run == STAGE1 else recipe.finetune
            name = run if seed == study.seed else f"{run}, seed {seed}"
            return setting.on_epoch(experiment.tracker, name, recipe, stage.epochs)

        outcomes = {
            seed: summary.run_stages(
                Run("full", of, stage2=True, on_epoch=partial(on_epoch, seed)), setting.stopwatch
            )
            for seed, of in setting.studies.items()
        }
        outcome = outcomes[study.seed]
        for seed, of in setting.studies.items():
            model = MODEL if of is study else f"{MODEL}-seed-{seed}"
            write_model(experiment.folder / model, *_model(of, outcomes[seed]))
            experiment.tracker.log_model(experiment.folder / model, model, of.whole.key, register)
        found = summary.summarise(study, outcomes)
        if can_hear_windows(study):
            final = decided(outcome.predictions[STAGE2], recipe.prior)
            with setting.stopwatch.part("windows"):
                told = hear_windows(study, *_model(study, outcome), final, setting.lines)
            found = replace(found, windows=told)
        _keep_predictions(experiment.folder / PREDICTIONS, outcomes)
        _log_results(experiment.tracker, study, outcome, found)
        results = experiment.finish(
            found,
            lambda results: report.page(results, summary.histories(outcome)),
            files=(PREDICTIONS,),
            warnings=tuple(dict.fromkeys(w for of in outcomes.values() for w in of.warnings)),
        )
    return report.summary(results)


def _keep_predictions(file: Storage, outcomes: Mapping[int, summary.Outcome]) -> None:
    """Write test predictions of all training seeds, the seed in a column of its own."""
    by_stage = {
        stage: pd.concat([of.predictions[stage].assign(seed=s) for s, of in outcomes.items()])
        for stage in STAGES
    }
    keep_predictions(file, by_stage, "stage")


def _model(study: Study, outcome: summary.Outcome) -> tuple[Card, dict[str, Learnt]]:
    """Both stages' models as one that travels (inference/model_folder.py)."""
    tuned = {device: model.learnt for device, model in outcome.devices.items()}
    learnt = {COMMON: outcome.stage1.learnt, **tuned}
    card = Card(
        recipe=study.recipe,
        classes=study.recipe.classes,
        devices={device: model.decision for device, model in outcome.devices.items()},
        locations=tuple(sorted({*study.cycles["location"]} - {UNKNOWN})),
        prior=study.recipe.prior,
        rule=RULE,
        training={
            "key": study.whole.key,
            "data": study.prepared.key,
            "split": vars(study.split.cut),
            "sides": study.split.describe(study.cycles),
            "seed": study.seed,
            "initial_weights": study.recipe.model.weights,
            "initial_weights_fingerprint": study.identity["initial"],
            "stamps": study.stamps,
            "warnings": (*study.warnings, *outcome.warnings),
        },
    )
    return card, {name: of for name, of in learnt.items() if of is not None}


def _log_study(run: Tracker, study: Study) -> None:
    """What is known before training."""
    run.log_recipe(study.recipe)
    cut = study.split.cut
    name = f"{cut.kind} split {cut.split_seed}"
    run.log_split(study.cycles, study.split.side_of(study.cycles), name)


def _log_results(
    run: Tracker, study: Study, outcome: summary.Outcome, found: summary.Summary
) -> None:
    """What the UI compares runs by: Scores of both stages, of every device and every baseline."""
    split = {name: value for name, value in vars(found.split).items() if name != "sides"}
    selection = {"selection": study.recipe.selection}
    run.log_tags({f"split.{name}": value for name, value in split.items()} | selection)
    models = {STAGE1: found.stages.stage1, STAGE2: found.stages.stage2}
    for name, model in (models | {f"baselines.{n}": m for n, m in found.baselines.items()}).items():
        parts = {name: model.overall}
        parts |= {f"{name}.{device}": scores for device, scores in model.by_device.items()}
        for part, scores in parts.items():
            run.log_metrics(_measured(part, scores))
        confusion = {part: scores["confusion"] for part, scores in parts.items()}
        run.log_json({"classes": study.recipe.classes, **confusion}, f"confusion/{name}.json")
    if found.seeds is not None:
        for name, model in found.seeds.averaged.items():
            run.log_metrics(_measured(f"averaged.{name}", model.overall))
    run.child(STAGE1).log_metrics(_measured(STAGE1, found.stages.stage1.overall))
    for device, tuned in outcome.devices.items():
        if tuned.trial is not None:
            rate = tuned.trial.learning_rate
            child = run.child(trial_name(device, rate, study.recipe))
            child.log_params({"device": device, "learning_rate": rate})
            child.log_tags({"respire.decision": tuned.decision, "respire.reason": tuned.reason})
            for stage, tested in models.items():
                if device in tested.by_device:
                    child.log_metrics(_measured(stage, tested.by_device[device]))


def _measured(part: str, scores: summary.StoredScores) -> dict[str, float | None]:
    """Every statistic and, where it has an interval, both its ends."""
    intervals = scores.get("interval") or {}
    ends = {
        f"{part}.{name}.{end}": intervals[name][place]
        for name in EVERY
        for place, end in enumerate(("low", "high"))
        if intervals.get(name)
    }
    return {f"{part}.{name}": scores[name] for name in EVERY} | ends
