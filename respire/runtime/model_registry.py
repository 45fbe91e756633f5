"""Models in MLflow: logged with all that a server needs, and fetched by their URI.

A model is logged as code and data, without a pickle: MLflow calls ``_load_pyfunc`` below with the
model's folder. MLflow is imported in functions: see tracking_store.
"""

import io
import logging
import os
import tempfile
import wave
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pyarrow import fs

import respire
from respire.errors import InputError
from respire.runtime.storage import Storage
from respire.runtime.tracking_store import client, resolve_uri

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

SCHEMES = ("models:/", "runs:/", "mlflow-artifacts:/")
"""How MLflow's names of models begin."""
NEEDS = (
    *("mlflow", "torch", "torchvision", "numpy", "pandas", "pyarrow", "scipy", "soxr"),
    *("soundfile", "pydantic", "tomli-w"),
)
"""Packages that answering takes; respire itself, which is on no index, is logged with the model."""
TRACKING = "MLFLOW_TRACKING_URI"
"""The environment's word for a store; ``mlflow.set_tracking_uri`` sets it too."""
EXAMPLE_S, EXAMPLE_HZ = 2, 4000


class Served:
    """What MLflow calls: an opened model."""

    def __init__(self, folder: str):
        self._model = respire.load_model(folder)

    def predict(self, model_input: pd.DataFrame, params: object = None) -> pd.DataFrame:  # noqa: ARG002
        """Answers for rows of recordings (``Model.answer``)."""
        return self._model.answer(model_input)


def _load_pyfunc(folder: str) -> Served:
    return Served(folder)


def log_model(uri: str, run_id: str, name: str, folder: Storage) -> str:
    """Log a model folder in a run.

    Args:
        uri: of the tracking store (tracking_store.resolve_uri).
        run_id: the run's.
        name: of the model in it.
        folder: the model (inference/model_folder.py).

    Returns:
        MLflow's URI of it.
    """
    import mlflow

    store = client(uri)
    run = store.get_run(run_id)
    # MLflow would make it in the active experiment, which is not the run's
    model = store.create_logged_model(
        run.info.experiment_id, name=name, source_run_id=run_id, params=run.data.params
    )
    with _told_to(uri), _local(folder) as here:
        logged = mlflow.models.Model.log(
            artifact_path=None,
            model_id=model.model_id,
            flavor=mlflow.pyfunc,
            run_id=run_id,
            loader_module=__name__,
            data_path=here,
            code_paths=[str(Path(respire.__file__).parent)],
            signature=_signature((folder / "model.json").read_json()["classes"]),
            input_example=_example(),
            pip_requirements=[f"{need}=={version(need).partition('+')[0]}" for need in NEEDS],
        )
    return logged.model_uri


def register_model(uri: str, model_uri: str, register: str) -> None:
    """Make a model that was logged a version of one in the store's registry.

    Raises:
        InputError: the store has no registry, or refuses the name.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        with _told_to(uri), redirect_stdout(None):
            mlflow.register_model(model_uri, register)
    except MlflowException as error:
        raise InputError(
            f"--register {register}: MLflow refuses ({str(error).splitlines()[0]}); choose another "
            f"name, or a tracking store with a registry"
        ) from error


@contextmanager
def _told_to(uri: str) -> Iterator[None]:
    """MLflow's own functions, quietly, on a store."""
    import mlflow

    client(uri)  # signs in
    log, before = logging.getLogger("mlflow"), os.environ.get(TRACKING)
    level = log.level
    log.setLevel(logging.ERROR)
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # unsets the variable too
        if before is not None:
            os.environ[TRACKING] = before
        log.setLevel(level)


@contextmanager
def fetched(uri: str) -> Iterator[str]:
    """A folder with the model that MLflow calls by this URI, there until the block ends.

    The store is what MLFLOW_TRACKING_URI says, or ``mlflow.db`` here, as for every experiment.

    Raises:
        InputError: MLflow is not installed, or has no such model.
    """
    try:
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException
    except ModuleNotFoundError as error:
        raise InputError(f"{uri}: MLflow is not installed; pip install mlflow") from error
    store = resolve_uri(os.environ.get(TRACKING, "sqlite:///mlflow.db"))
    with tempfile.TemporaryDirectory() as temporary, _told_to(store):
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        try:
            found = download_artifacts(uri, dst_path=temporary, tracking_uri=store)
            folder = next((Path(found) / "data").iterdir())
        except (MlflowException, OSError, StopIteration) as error:
            reason = str(error).partition("\n")[0]
            raise InputError(
                f"{uri}: no model in {store} ({reason}); see MLFLOW_TRACKING_URI"
            ) from error
        yield str(folder)


@contextmanager
def _local(folder: Storage) -> Iterator[str]:
    """The folder where MLflow can read it."""
    filesystem, path = folder.filesystem()
    if folder.is_local:
        yield path
        return
    with tempfile.TemporaryDirectory() as temporary:
        fs.copy_files(path, temporary, filesystem, fs.LocalFileSystem())
        yield temporary


def _signature(classes: Sequence[str]) -> "ModelSignature":
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    asked = {
        "audio": DataType.binary,
        "uri": DataType.string,
        "device": DataType.string,
        "start_s": DataType.double,
        "end_s": DataType.double,
    }
    answered = {
        **{"row": DataType.long, "file": DataType.string},
        **{"start_s": DataType.double, "end_s": DataType.double},
        **{"device": DataType.string, "model": DataType.string},
        **{f"p_{name}": DataType.float for name in classes},
        **{"class": DataType.string, "confidence": DataType.float},
    }
    return ModelSignature(
        Schema([ColSpec(kind, name, required=False) for name, kind in asked.items()]),
        Schema([ColSpec(kind, name) for name, kind in answered.items()]),
    )


def _example() -> pd.DataFrame:
    """Two seconds of noise, as the bytes of a WAV."""
    noise = np.random.default_rng(0).normal(0, 3000, EXAMPLE_S * EXAMPLE_HZ).astype("<i2")
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(EXAMPLE_HZ)
        file.writeframes(noise.tobytes())
    return pd.DataFrame({"audio": [content.getvalue()], "device": ["Meditron"]})
