"""A model's answers over Ray Data: as many processes hear as the cluster has room for."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import ray
import ray.data  # before a session begins, which quiets it

from respire.errors import InputError
from respire.inference.model import BATCH, Model, OnBad
from respire.inference.recordings import Recording
from respire.runtime.actors import slots
from respire.runtime.choices import Gpu
from respire.runtime.resources import set_up_torch
from respire.runtime.session import check_seen, session, share, wait_for_gpus
from respire.runtime.storage import Storage
from respire.study.place import Place

BAD = "bad"
"""Column that answers have on their way: why the row's recording is bad; or ""."""


def hear_in_cluster(
    model: Model, recordings: Sequence[Recording], gpu: Gpu, on_bad: OnBad
) -> Iterator[pd.DataFrame]:
    """What ``model.hear`` gives, in the same order, heard in the cluster; Ray starts if need be.

    Args:
        model: as opened on this machine, wherever it computes here.
        recordings: to be heard; every node must see their files.
        gpu: "auto", GPUs where the cluster has any; "none"; "required".
        on_bad: called with what is bad, which is then left out.

    Raises:
        InputError: files that other nodes do not see, or the GPU or precision cannot be had.
    """
    model.check_labels(recordings)
    batches = [
        pa.table({"number": np.arange(len(recordings))[first : first + BATCH]})
        for first in range(0, len(recordings), BATCH)
    ]
    # Other processes are in other folders.
    absolute = [
        replace(one, file=_absolute(one.file), annotation=_absolute(one.annotation))
        for one in recordings
    ]
    by_file = {one.file: named for one, named in zip(absolute, recordings, strict=True)}
    with session():
        here = (one.file for one in recordings if Storage(one.file).is_local)
        if first := next(here, ""):
            check_seen(Storage(first), f"{first}: a path")
        if gpu == "required":
            wait_for_gpus(1)
        compute = Place(gpu=gpu).compute(model.card.recipe.optimisation.precision)
        on_gpu = compute.device == "cuda"
        parallel = min(slots(on_gpu, per_gpu=1), len(batches))
        part = share(parallel, on_gpu)
        sent = ray.put(replace(model, compute=compute, _ready={}))
        heard = ray.data.from_arrow(batches).map_batches(
            _Hearer,
            fn_constructor_args=(sent, ray.put(absolute), parallel),
            batch_size=None,
            batch_format="pandas",
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=parallel),
            num_cpus=part.cpus,
            num_gpus=part.gpus,
        )
        heard.context.execution_options.preserve_order = True
        heard.context.enable_progress_bars = False
        for block in heard.iter_batches(batch_size=None, batch_format="pyarrow"):
            rows = block.to_pandas()
            refused = rows[rows[BAD] != ""]
            for file, reason in zip(refused["file"], refused[BAD], strict=True):
                on_bad(by_file[file], InputError(reason))
            answers = rows[rows[BAD] == ""].drop(columns=BAD)
            if len(answers):
                named = [by_file[file].file for file in answers["file"]]
                yield answers.assign(file=named).reset_index(drop=True)


class _Hearer:
    """What each process is: a model, opened once."""

    def __init__(self, model: ray.ObjectRef, recordings: ray.ObjectRef, parallel: int):
        set_up_torch(parallel)
        self._model: Model = ray.get(model)
        self._recordings: list[Recording] = ray.get(recordings)

    def __call__(self, batch: pd.DataFrame) -> pd.DataFrame:
        """Answers for the recordings of these numbers, and a row for each that is bad."""
        bad: list[dict[str, str]] = []

        def on_bad(recording: Recording, error: InputError) -> None:
            bad.append({"file": recording.file, BAD: str(error)})

        chosen = [self._recordings[number] for number in batch["number"]]
        heard = [rows.assign(**{BAD: ""}) for rows in self._model.hear(chosen, on_bad)]
        return pd.concat([*heard, pd.DataFrame(bad)], ignore_index=True)


def _absolute(file: str) -> str:
    return Storage.at(file).uri if file else ""
