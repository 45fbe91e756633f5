"""The one beginning and the one ending of every experiment."""

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from types import MappingProxyType
from typing import Any, NamedTuple

from respire.data.corpora.corpus import Corpus, open_corpus
from respire.data.cycles import PreparedCycles, prepare_cycles
from respire.data.splits.draw import devices_of
from respire.data.splits.split import Cut
from respire.errors import InputError
from respire.models.network import initial_weights
from respire.models.pretrained import weights_sha256
from respire.recipe.fields import Preprocess
from respire.recipe.recipe import Recipe
from respire.report.page import Page
from respire.report.wording import worded
from respire.runtime.address import check_ray
from respire.runtime.choices import run_name
from respire.runtime.resources import PeakMemory, Stopwatch
from respire.runtime.run_folder import claim
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
from respire.study.place import Place
from respire.study.progress import EpochReport
from respire.study.study import Study, cut_study
from respire.study.survey import content
from respire.training.check import check_network

PAGE = ("results.json", "report.md", "report.html")
"""What every experiment's folder holds beside figures, and MLflow gets."""


class Planned(NamedTuple):
    """A study that an experiment needs."""

    recipe: Recipe
    cut: Cut
    seed: int


@dataclass(frozen=True)
class Setting:
    """What all runs of an experiment have in common, in a Ray session.

    Attributes:
        question: the experiment's.
        place: where things are.
        corpus: the recordings.
        storage: where everything is kept.
        uri: MLflow's store; "" for none.
        children: ends MLflow runs with the experiment.
        lines: what the user sees (session.console).
        stopwatch: times the parts.
        memory: the most that was needed so far.
        studies: those that were planned.
    """

    question: str
    place: Place
    corpus: Corpus
    storage: Storage
    uri: str
    children: ExitStack
    lines: Queue
    stopwatch: Stopwatch
    memory: PeakMemory
    studies: Mapping[Any, Study]

    def begin(
        self,
        name: str | None,
        what: str,
        identity: Mapping[str, Any],
        key: str,
        cautions: tuple[str, ...] = (),
    ) -> "Experiment":
        """Claim the experiment's name, say what a reader must know, and open MLflow.

        Args:
            name: as the user gave it.
            what: is run, by which it is called otherwise.
            identity: JSON-able; all that can change the experiment's numbers.
            key: of the identity, by which MLflow finds the run again.
            cautions: what a reader must know beside what the studies say.

        Raises:
            InputError: the name is none, or belongs to another experiment or process.
        """
        if not self.uri:
            raise InputError("tracking None: an experiment keeps its runs in MLflow; name a store")
        name = run_name(name, what, key)
        folder = self.storage / self.question / name
        claim(folder, identity)
        tracker = Tracker.start(self.uri, self.question, name, key)
        self.children.enter_context(tracker)
        gpu = next(iter(self.studies.values())).compute.device == "cuda"
        room = missing_room(self.place.workers, gpu)
        cautions += (room,) if room else ()
        experiment = Experiment(self, name, key, folder, tracker, cautions)
        for warning in (*experiment.stamps, *experiment.warnings):
            print(f"warning: {warning}", flush=True)
        tracker.log_stamps(experiment.stamps, experiment.warnings)
        return experiment

    @property
    def environment(self) -> dict[str, Any]:
        """What results.json says of the cluster, and which versions ran."""
        packages = {package: version(package) for package in ("ray", "torch", "mlflow")}
        return {**cluster_memory(), **packages, "python": platform.python_version()}

    def on_epoch(self, tracker: Tracker, name: str, recipe: Recipe, epochs: int) -> EpochReport:
        """What reports the epochs of one training, as an MLflow run of that name in another's."""
        child = tracker.child(name, {"respire.run": name})
        child.log_recipe(recipe)
        self.children.enter_context(child)
        return EpochReport(name, epochs, recipe.selection, child.epochs, self.lines)


@contextmanager
def open_setting(
    question: str,
    place: Place,
    planned: Mapping[Any, Planned],
    check: Callable[[Sequence[str]], None] = lambda _: None,
    corpus: Corpus | None = None,
) -> Iterator[Setting]:
    """Check storage and MLflow, find the recordings, open Ray, prepare the cycles, cut the studies.

    Args:
        question: the experiment's, which names its folder and its MLflow experiment.
        place: where things are.
        planned: the studies it needs, at least one; those with the same recipe share its cycles.
        check: refuses recordings of devices that the question cannot be asked of.
        corpus: the recordings, where the question itself hung on them; None for the place's.

    Raises:
        InputError: bad input or an unusable setting, found before anything is trained.
    """
    check_ray()  # a lost cluster, what cannot train and missing weights are told first
    plans = list(planned.values())
    initial = cache(initial_weights)
    for plan in plans:
        check_network(plan.recipe, place.workers)
        initial(plan.recipe.model, plan.recipe.task, plan.seed)
    storage = place.home
    storage.check_writable()
    uri = "" if place.tracking is None else resolve_uri(place.tracking)
    if uri:
        preflight(uri, question)
    stopwatch = Stopwatch()
    with PeakMemory() as memory:
        with stopwatch.part("catalogue"):
            corpus = corpus or open_corpus(place.data, place.skip_bad)
            check(devices_of(corpus.cycles))
            if any(plan.cut.needs_list for plan in plans):
                _ = corpus.official  # a missing list is told before anything is decoded
        with session(), console() as lines, ExitStack() as children:
            if place.gpu == "required":
                wait_for_gpus(place.workers)
            check_shared(storage, uri)

            @cache
            def prepared(recipe: Preprocess) -> PreparedCycles:
                with stopwatch.part("cycles"):
                    return prepare_cycles(
                        corpus.cycles, recipe, corpus.fingerprint, storage, place.skip_bad
                    )

            compute = cache(place.compute)
            studies = {
                at: cut_study(
                    *(plan.recipe, plan.cut, plan.seed, place, corpus),
                    prepared(plan.recipe.preprocess),
                    initial(plan.recipe.model, plan.recipe.task, plan.seed),
                    compute(plan.recipe.optimisation.precision),
                )
                for at, plan in planned.items()
            }
            for study in studies.values():
                study.declare_decision()
            yield Setting(
                *(question, place, corpus, storage, uri, children, lines, stopwatch, memory),
                studies,
            )


@dataclass(frozen=True)
class Experiment:
    """An experiment that has begun.

    Attributes:
        setting: what its runs have in common.
        name: its own.
        key: of all that can change its numbers.
        folder: where its results go.
        tracker: its MLflow run.
        cautions: what a reader must know beside what the studies say.
    """

    setting: Setting
    name: str
    key: str
    folder: Storage
    tracker: Tracker
    cautions: tuple[str, ...] = ()

    @property
    def stamps(self) -> tuple[str, ...]:
        """What its results must carry, loudly."""
        return _each(study.stamps for study in self.setting.studies.values())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of its results must know."""
        studies = self.setting.studies.values()
        return (*_each(study.warnings for study in studies), *self.cautions)

    def results(self, found: Any, warnings: Sequence[str] = ()) -> dict[str, Any]:
        """The content of results.json: the header, and what was found (see ``finish``)."""
        setting, studies = self.setting, list(self.setting.studies.values())
        return content(
            found,
            experiment=setting.question,
            name=self.name,
            key=self.key,
            selection=" or ".join(sorted({study.recipe.selection for study in studies})),
            stamps=self.stamps,
            warnings=(*self.warnings, *warnings),
            skipped=_each(study.skipped for study in studies),
            seconds=setting.stopwatch.rounded,
            peak_memory_mib=round(setting.memory.mebibytes, 1),
            environment={
                "device": studies[0].compute.name,
                "precision": studies[0].compute.precision,
                "deterministic": setting.place.deterministic,
                "workers": setting.place.workers,
                **setting.environment,
            },
            groups=setting.corpus.groups,
            weights=weights_sha256({study.recipe.model for study in studies}),
        )

    def finish(
        self,
        found: Any,
        page: Callable[[Mapping[str, Any]], Page],
        metrics: Mapping[str, float | None] = MappingProxyType({}),
        *,
        files: Sequence[str] = (),
        warnings: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Write results.json and report, and tell MLflow and the user of them.

        Args:
            found: the summary of what it found: a dataclass, its fields the keys of results.json.
            page: the report, given the content of results.json.
            metrics: what MLflow compares runs by.
            files: what else of the folder MLflow gets.
            warnings: what turned out only while it ran.

        Returns:
            The content of results.json.
        """
        results = self.results(found, warnings)
        figures = worded(page(results), results["groups"]).write(self.folder)
        self.tracker.log_stamps(results["stamps"], results["warnings"])
        seconds = {f"seconds.{part}": took for part, took in results["seconds"].items()}
        peak = {"peak_memory_mib": results["peak_memory_mib"]}
        self.tracker.log_metrics({**metrics, **seconds, **peak})
        self.tracker.log_files(self.folder, *files, *PAGE, *figures)
        report = (self.folder / "report.html").shown
        print(f"report: {report}\nMLflow: {self.tracker.where}", flush=True)
        return results


def _each(lines: Any) -> tuple[str, ...]:
    """All lines, each once, in order."""
    return tuple(dict.fromkeys(line for some in lines for line in some))
