"""Tracking: what a run was and gave, in MLflow.

One parent run an experiment, nested runs for stages, devices, trials and seeds. Everything here
holds only strings and can be pickled, so that Ray workers log for themselves. MLflow is imported
in functions: see tracking_store.
"""

import re
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any, Literal, Self

import pandas as pd
from pyarrow import fs

from respire import __version__
from respire.errors import InputError
from respire.recipe.recipe import Recipe
from respire.runtime.model_registry import log_model, register_model
from respire.runtime.storage import Storage
from respire.runtime.tracking_store import client, preflight, run_page

_KEY, _PARENT = "respire.key", "mlflow.parentRunId"
_MAX_VALUE = 5000
"""Characters of a param or tag that every MLflow server since 2.0 takes."""

Status = Literal["FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True)
class EpochLogger:
    """Logs a run's epochs, one request each.

    An epoch trained again after a resume is logged at the same step: the curve gets a second
    point at that epoch, of the same value where training is deterministic, and nothing is summed.
    """

    uri: str
    run_id: str

    def __call__(self, epoch: int, metrics: Mapping[str, float | None]) -> None:
        """Log an epoch, counted from 1; undefined metrics, NaN or None, are left out."""
        _log_metrics(self.uri, self.run_id, metrics, step=epoch)


@dataclass(frozen=True)
class Tracker:
    """One MLflow run, parent or nested; picklable.

    As a context manager it ends its run: FINISHED, FAILED on an exception, KILLED on Ctrl-C. A
    process that dies without either leaves its run RUNNING, and the same command resumes it.
    """

    uri: str
    experiment_id: str
    run_id: str

    @classmethod
    def start(cls, uri: str, experiment: str, name: str, key: str) -> Self:
        """The parent run of this name and key: resumed if there is one, else new.

        Args:
            uri: as from `tracking_store.resolve_uri`.
            experiment: the MLflow experiment, created if it is new.
            name: the run's name.
            key: digest of all that can change the run's numbers; kept as the tag ``respire.key``.

        Raises:
            InputError: see `tracking_store.preflight`.
        """
        experiment_id = preflight(uri, experiment)
        tags = {_KEY: key, "respire.version": __version__}
        return cls(uri, experiment_id, _resume_or_create(uri, experiment_id, name, _KEY, tags))

    def child(self, name: str, tags: Mapping[str, str] | None = None) -> "Tracker":
        """The nested run of this name: resumed if this run has one, else new."""
        tags = {**(tags or {}), _PARENT: self.run_id}
        run_id = _resume_or_create(self.uri, self.experiment_id, name, _PARENT, tags)
        return Tracker(self.uri, self.experiment_id, run_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.finish("FINISHED")
        else:
            self.finish("KILLED" if issubclass(kind, KeyboardInterrupt) else "FAILED")

    def finish(self, status: Status) -> None:
        """End the run."""
        client(self.uri).set_terminated(self.run_id, status)

    @property
    def epochs(self) -> EpochLogger:
        """What `fit` calls after each epoch."""
        return EpochLogger(self.uri, self.run_id)

    @property
    def where(self) -> str:
        """Where the run can be looked at: its page, or the command that serves it."""
        return run_page(self.uri, self.experiment_id, self.run_id)

    def log_recipe(self, recipe: Recipe) -> None:
        """Log its fields as params.

        Its name, and where the file of its weights lies, are tags: a run may go on under another.
        """
        fields = recipe.flat()
        tags = {"respire.recipe": fields.pop("preset")}
        if recipe.model.weights_kind == "file":
            tags["respire.weights"] = fields.pop("model.weights")
        self.log_tags(tags)
        self.log_params(fields)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log params; once logged they cannot change."""
        from mlflow.entities import Param

        entities = [Param(name, str(value)[:_MAX_VALUE]) for name, value in params.items()]
        for start in range(0, len(entities), 100):
            client(self.uri).log_batch(self.run_id, params=entities[start : start + 100])

    def log_metrics(self, metrics: Mapping[str, float | None]) -> None:
        """Log final metrics; undefined ones, NaN or None, are left out."""
        _log_metrics(self.uri, self.run_id, metrics, step=0)

    def log_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags; a tag set before is replaced."""
        from mlflow.entities import RunTag

        entities = [RunTag(name, str(value)[:_MAX_VALUE]) for name, value in tags.items()]
        client(self.uri).log_batch(self.run_id, tags=entities)

    def log_stamps(self, stamps: Sequence[str], cautions: Sequence[str]) -> None:
        """Say what a reader must know, as tags and, loudly, as the run's description."""
        loud = [f"**{stamp.upper()}**" for stamp in stamps]
        note = "\n\n".join([*loud, *cautions])
        tags = {"respire.stamps": "; ".join(stamps), "respire.warnings": "; ".join(cautions)}
        self.log_tags(tags | {"mlflow.note.content": note})

    def log_split(self, cycles: pd.DataFrame, sides: pd.Series, name: str) -> None:
        """Log who is in train, validation, if anybody, and test as dataset inputs.

        The catalogue's ``audio`` is left out: the digest tells which cycles are there, not where
        they lie. ``sides`` are on its index or part of it; the name is that of data set and split,
        e.g. "icbhi 80-20 split 0".
        """
        from mlflow.data.pandas_dataset import from_pandas
        from mlflow.entities import Dataset, DatasetInput, InputTag

        def dataset_input(side: str) -> DatasetInput:
            members = cycles.loc[sides.index[sides == side]].drop(columns="audio")
            dataset = from_pandas(members, targets="label", name=name)
            context = InputTag("mlflow.data.context", side)
            return DatasetInput(Dataset(**dataset.to_dict()), [context])

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow suspects that integers may go missing
            there = [side for side in ("train", "validation", "test") if (sides == side).any()]
            inputs = [dataset_input(side) for side in there]
        client(self.uri).log_inputs(self.run_id, inputs)

    def log_json(self, value: dict[str, Any], path: str) -> None:
        """Log a value as the JSON artifact of this path."""
        client(self.uri).log_dict(self.run_id, value, path)

    def log_files(self, storage: Storage, *names: str) -> None:
        """Log files or folders of a storage, by name within it, as artifacts."""
        filesystem, root = storage.filesystem()
        with tempfile.TemporaryDirectory() as temporary:
            for name in names:
                source, target = f"{root}/{name}", Path(temporary) / name
                folder_itself = filesystem.get_file_info(source).type == fs.FileType.Directory
                (target if folder_itself else target.parent).mkdir(parents=True, exist_ok=True)
                fs.copy_files(source, str(target), filesystem, fs.LocalFileSystem())
            client(self.uri).log_artifacts(self.run_id, temporary)

    def log_model(self, folder: Storage, name: str, key: str, register: str | None) -> None:
        """Log a model folder, once: what a run resumed has logged before is not logged again.

        Args:
            folder: the model (inference/model_folder.py).
            name: of the model in this run.
            key: of all that can change its numbers.
            register: name in the registry, of which it becomes a version; None for none.

        Raises:
            InputError: the store has no registry, or refuses the name.
        """
        tag, tags = f"respire.{name}", client(self.uri).get_run(self.run_id).data.tags
        before, _, model_uri = tags.get(tag, "").partition(" ")
        if before != key:
            model_uri = log_model(self.uri, self.run_id, name, folder)
            self.log_tags({tag: f"{key} {model_uri}"})
        version = f"{register} {model_uri}"
        if register is not None and tags.get(f"{tag}.registered") != version:
            register_model(self.uri, model_uri, register)
            self.log_tags({f"{tag}.registered": version})


def _resume_or_create(
    uri: str, experiment_id: str, name: str, identity: str, tags: dict[str, str]
) -> str:
    """The id of the run with this name and the same value of the tag ``identity``."""
    if '"' in name:
        raise InputError(f"--name {name}: MLflow cannot look up a name with a quotation mark in it")
    store = client(uri)
    wanted = f"tags.`{identity}` = '{tags[identity]}' and attributes.run_name = \"{name}\""
    for run in store.search_runs([experiment_id], wanted):
        if (_PARENT in run.data.tags) == (_PARENT in tags):
            store.update_run(run.info.run_id, status="RUNNING")
            return run.info.run_id
    return store.create_run(experiment_id, run_name=name, tags=tags).info.run_id


_REFUSED = re.compile(r"[^\w./ -]")
"""What the name of a metric must not have in it."""


def _log_metrics(uri: str, run_id: str, metrics: Mapping[str, float | None], step: int) -> None:
    from mlflow.entities import Metric

    now_ms = int(time.time() * 1000)
    entities = [
        Metric(_REFUSED.sub(" ", name), float(value), now_ms, step)
        for name, value in metrics.items()
        if value is not None and not isnan(value)
    ]
    client(uri).log_batch(run_id, metrics=entities)
