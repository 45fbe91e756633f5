"""RespireNet on one split: both stages, their report, and models that are kept."""

from dataclasses import asdict

from respire.data.splits.split import Cut
from respire.evaluation.assess import NAMES
from respire.evaluation.evaluate import STAGE1, STAGE2
from respire.experiments.full import report, summary
from respire.recipe.recipe import Recipe
from respire.runtime.run_folder import dump_state
from respire.runtime.storage import Storage
from respire.runtime.tracking import Tracker
from respire.study.experiment import Planned, open_setting
from respire.study.one_run import PREDICTIONS, Run, keep_predictions
from respire.study.place import Place
from respire.study.study import Study
from respire.training.loop import OnEpoch
from respire.training.sampling import share_of_batch
from respire.training.stage2 import trial_name

MODELS = "models"


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
            return setting.on_epoch(experiment.tracker, run, recipe, stage.epochs)

        run = Run("full", study, stage2=True, on_epoch=on_epoch)
        outcome = summary.run_stages(run, setting.stopwatch)
        found = summary.summarise(study, outcome)
        _keep(experiment.folder, study, outcome)
        _log_results(experiment.tracker, study, outcome, found)
        results = experiment.finish(
            found,
            lambda results: report.page(results, summary.histories(outcome)),
            files=(PREDICTIONS, MODELS),
            warnings=outcome.warnings,
        )
    return report.summary(results)


def _keep(folder: Storage, study: Study, outcome: summary.Outcome) -> None:
    """Write predictions and models; a model says what it started from and how to use it."""
    keep_predictions(folder / PREDICTIONS, outcome.predictions, "stage")
    tuned = {device: model.learnt for device, model in outcome.devices.items()}
    for device, learnt in {"stage1": outcome.stage1.learnt, **tuned}.items():
        if learnt is None:
            continue
        state = {
            "weights": learnt.weights,
            "trained_on": learnt.counts.tolist(),
            "recipe": asdict(study.recipe),
            "classes": list(study.recipe.classes),
            "initial_weights": study.recipe.model.weights,
            "initial_weights_fingerprint": study.identity["initial"],
            "key": study.whole.key,
        }
        (folder / MODELS / f"{device}.pt").write_bytes(dump_state(state))


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
    return {f"{part}.{name}": scores[name] for name in NAMES}
