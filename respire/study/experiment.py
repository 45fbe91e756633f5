"""Run an experiment on one split: everything around its two stages, from options to report."""

import json
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import pandas as pd
import pyarrow as pa

from respire.command.command import Options
from respire.data.corpora.corpus import Corpus
from respire.data.cycles import PreparedCycles, prepare_cycles
from respire.errors import InputError
from respire.evaluation.evaluate import STAGES
from respire.experiments.full.report import write_report
from respire.experiments.full.summary import Outcome, histories, run_stages, summarise
from respire.models.network import initial_weights
from respire.recipe.fields import Preprocess
from respire.recipe.identity import NUMERICS_VERSION, flatten
from respire.runtime.resources import PeakMemory, Stopwatch
from respire.runtime.run_folder import dump_state
from respire.runtime.session import (
    Queue,
    check_shared,
    cluster_memory,
    console,
    missing_room,
    session,
    wait_for_gpus,
)
from respire.runtime.storage import Storage
from respire.runtime.tracking import Tracker
from respire.runtime.tracking_store import preflight, resolve_uri
from respire.study.progress import EpochReport
from respire.study.study import Study, choose_compute, open_corpus, open_study
from respire.training.loop import OnEpoch
from respire.training.sampling import share_of_batch
from respire.training.stage2 import trial_name

PREDICTIONS = "predictions.parquet"
KEPT = (PREDICTIONS, "models", "results.json", "report.md", "report.html")
"""What a run's folder holds beside figures, and MLflow gets."""


@dataclass(frozen=True)
class Setting:
    """What all runs of an experiment have in common, in a Ray session.

    Attributes:
        options: from the command line.
        corpus: the recordings.
        storage: where everything is kept.
        uri: MLflow's store.
        children: ends nested MLflow runs with the experiment.
        lines: what the user sees (session.console).
        stopwatch: times the parts.
        memory: the most that was needed so far.
    """

    options: Options
    corpus: Corpus
    storage: Storage
    uri: str
    children: ExitStack
    lines: Queue
    stopwatch: Stopwatch
    memory: PeakMemory

    def prepare(self, recipe: Preprocess) -> PreparedCycles:
        """Cut the recordings into cycles, unless that was done before."""
        with self.stopwatch.part("cycles"):
            return prepare_cycles(
                self.corpus.cycles,
                recipe,
                self.corpus.fingerprint,
                self.storage,
                self.options.skip_bad,
            )

    def warn(self, warnings: Iterable[str]) -> None:
        """Say what a reader of the results must know."""
        for warning in warnings:
            print(f"warning: {warning}", flush=True)

    def announce(self, report: Storage, tracker: Tracker) -> None:
        """Say where the results can be looked at."""
        print(f"report: {report.shown}\nMLflow: {tracker.where}", flush=True)

    @property
    def environment(self) -> dict[str, Any]:
        """What results.json says of the cluster, and which versions ran."""
        packages = {package: version(package) for package in ("ray", "torch", "mlflow")}
        return {**cluster_memory(), **packages, "python": platform.python_version()}


@contextmanager
def open_setting(experiment: str, options: Options) -> Iterator[Setting]:
    """Check storage and MLflow, find the recordings, and open Ray.

    Raises:
        InputError: bad input or an unusable setting.
    """
    storage = Storage.at(options.storage)
    storage.check_writable()
    uri = resolve_uri(options.tracking_uri)
    preflight(uri, experiment)
    stopwatch = Stopwatch()
    with PeakMemory() as memory:
        with stopwatch.part("catalogue"):
            corpus = open_corpus(options)
        with session(), console() as lines, ExitStack() as children:
            if options.gpu == "required":
                wait_for_gpus(options.workers)
            check_shared(storage, uri)
            yield Setting(options, corpus, storage, uri, children, lines, stopwatch, memory)


@dataclass(frozen=True)
class Run:
    """An experiment on one split under way.

    Attributes:
        setting: what it shares with others.
        study: recipe, corpus and split.
        name: the run's own.
        folder: where its results go.
        tracker: its MLflow run.
    """

    setting: Setting
    study: Study
    name: str
    folder: Storage
    tracker: Tracker

    def on_epoch(self, name: str, epochs: int) -> EpochReport:
        """What reports the epochs of one training, as a nested MLflow run of that name."""
        child = self.tracker.child(name, {"respire.run": name})
        self.setting.children.enter_context(child)
        return EpochReport(
            name, epochs, self.study.recipe.selection, child.epochs, self.setting.lines
        )


@contextmanager
def start_run(experiment: str, options: Options) -> Iterator[Run]:
    """Check everything that can be checked, prepare the cycles, and open Ray and MLflow.

    Raises:
        InputError: bad input or an unusable setting, found before anything is trained.
    """
    recipe = options.recipe
    share_of_batch(recipe.optimisation.batch_size, options.workers)
    initial = initial_weights(recipe, options.seed)
    with open_setting(experiment, options) as setting:
        prepared = setting.prepare(recipe.preprocess)
        compute = choose_compute(options, recipe)
        study = open_study(options, setting.corpus, prepared, initial, compute)
        name = options.name or f"{recipe.preset}-{study.split.kind}-{study.whole.key[:8]}"
        folder = study.storage / experiment / name
        claim(folder, study.whole.identity)
        room = missing_room(study.workers, compute.device == "cuda")
        setting.warn((*study.stamps, *study.warnings, *([room] if room else [])))
        tracker = Tracker.start(setting.uri, experiment, name, study.whole.key)
        setting.children.enter_context(tracker)
        _log_study(tracker, study)
        yield Run(setting, study, name, folder, tracker)


def run_experiment(experiment: str, options: Options) -> dict[str, Any]:
    """Run both stages on one split and write the report; the same options resume.

    Returns:
        The content of results.json.

    Raises:
        InputError: bad input or an unusable setting, found before anything is trained.
    """
    with start_run(experiment, options) as run:
        study, recipe = run.study, run.study.recipe

        def on_epoch(name: str) -> OnEpoch:
            stage = recipe.optimisation if name == "stage1" else recipe.finetune
            return run.on_epoch(name, stage.epochs)

        outcome = run_stages(study, run.setting.stopwatch, on_epoch)
        results = summarise(
            study,
            outcome,
            experiment=experiment,
            name=run.name,
            stopwatch=run.setting.stopwatch,
            peak_memory_mib=run.setting.memory.mebibytes,
            environment=run.setting.environment,
        )
        _keep(run.folder, study, outcome)
        figures = write_report(results, histories(outcome), run.folder)
        _log_results(run.tracker, study, outcome, results)
        run.tracker.log_files(run.folder, *KEPT, *figures)
        run.setting.announce(run.folder / "report.html", run.tracker)
    return results


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


def _log_study(parent: Tracker, study: Study) -> None:
    """What is known before training."""
    parent.log_recipe(study.recipe)
    cut = study.split
    parent.log_stamps(study.stamps, study.warnings)
    parent.log_split(study.cycles, cut.side_of(study.cycles), f"{cut.kind} split {cut.split_seed}")


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


def claim(folder: Storage, identity: Mapping[str, Any]) -> None:
    """Make a folder a run's own, unless it is so already, and this process the one that runs it.

    Args:
        folder: named as the run is.
        identity: JSON-able; all that can change its numbers.

    Raises:
        InputError: the name belongs to a run that differs, with the differences, or to one that
            another process is running.
    """
    folder.hold()
    kept = folder / "identity.json"
    # As it will be read back: JSON knows no tuples.
    ours = json.loads(json.dumps({**identity, "numerics_version": NUMERICS_VERSION}))
    if kept.exists():
        theirs = flatten(kept.read_json())
        now = flatten(ours)
        changed = [
            f"{field} was {theirs.get(field)}, is {now.get(field)}"
            for field in dict.fromkeys((*now, *theirs))
            if theirs.get(field) != now.get(field)
        ]
        if changed:
            raise InputError(
                f"{folder.uri}: another run has this --name ({'; '.join(changed)}); "
                f"choose another --name"
            )
    else:
        kept.write_json(ours)
