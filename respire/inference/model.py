"""Model: a folder opened, that says what it hears in anyone's recordings."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from respire.data.rows import pick
from respire.errors import InputError
from respire.evaluation.decided import decided
from respire.features.bank import CycleBank
from respire.inference.model_folder import COMMON, Card, read_model
from respire.inference.recordings import Recording, cut, find_recordings, recordings_in
from respire.models.network import Learnt
from respire.runtime.choices import Gpu
from respire.runtime.compute import Compute
from respire.runtime.model_registry import SCHEMES, fetched
from respire.runtime.storage import Storage
from respire.training.predict import Predictor

BATCH = 16
"""Recordings that are heard together: more audio than these is never in memory."""
READERS = 4

OnBad = Callable[[Recording, InputError], None]


@dataclass(frozen=True)
class Model:
    """A trained model and where it computes.

    Attributes:
        card: what it says of itself (inference/model_folder.py).
        models: what the network learnt for all devices, and for those with a model of their own.
        compute: processor and precision.
    """

    card: Card
    models: Mapping[str, Learnt] = field(repr=False)
    compute: Compute
    _ready: dict[str, Predictor] = field(default_factory=dict, repr=False)

    def predict(
        self,
        recordings: str | Path | Recording | Sequence[str | Path | Recording],
        *,
        device: str = "",
        annotations: bool = False,
    ) -> pd.DataFrame:
        """What it hears in recordings: files, folders of them, manifests, or URIs of these.

        Args:
            recordings: what to hear, of any sample rate and number of channels; of a manifest
                (data/manifest.py) the annotated cycles.
            device: that those were made with of which neither manifest nor name says. One that the
                model does not know is no error: its common model answers.
            annotations: hear the annotated cycles (NAME.txt beside NAME.wav, in ICBHI's layout), in
                place of half-overlapping windows of the recipe's length.

        Returns:
            A row a window or cycle, in the order of the recordings: file str; start_s, end_s
            float64; device str ("" where unknown); model str, that which answered ("stage1" is the
            common one); a probability ``p_CLASS`` of every class under the model's prior, float32;
            class str; confidence float32, the probability of that class.

        Raises:
            InputError: a recording is bad.
        """
        if isinstance(recordings, str | Path | Recording):
            recordings = [recordings]
        wanted: list[Recording] = []
        for one in recordings:
            if isinstance(one, Recording):
                wanted.append(one)
            else:
                wanted += find_recordings([one], device, annotations)
        return pd.concat(list(self.hear(wanted)), ignore_index=True)

    def answer(self, rows: pd.DataFrame) -> pd.DataFrame:
        """What it hears in recordings that a table holds or names, as MLflow serves it.

        Args:
            rows: a row a recording, or a part of one: ``audio``, the bytes of its file, or ``uri``;
                and where known ``device``, and ``start_s`` and ``end_s`` of the part (without them
                all is heard, in windows).

        Returns:
            As ``predict``, after a column ``row``, int64: which row each answers, from 0.

        Raises:
            InputError: a row names nothing, or a recording is bad.
        """
        recordings = recordings_in(rows)
        answers = [
            heard.assign(row=number)
            for number, recording in enumerate(recordings)
            for heard in self.hear([recording])
        ]
        heard = pd.concat(answers, ignore_index=True)
        return heard[["row", *heard.columns.drop("row")]]

    def hear(
        self, recordings: Iterable[Recording], on_bad: OnBad | None = None
    ) -> Iterator[pd.DataFrame]:
        """The same rows, as soon as some recordings are heard; few are in memory at once.

        Args:
            recordings: what to hear.
            on_bad: called with what is bad, which is then left out; without it that is raised.

        Raises:
            InputError: a recording is bad, or the recipe pads by labels and there are none.
        """
        with ThreadPoolExecutor(READERS) as pool:
            for batch in _batches(one for one in recordings if one.cycles != ()):
                self.check_labels(batch)
                good: list[Recording] = []
                tables: list[pa.Table] = []
                readings = [(one, pool.submit(cut, one, self.card.recipe)) for one in batch]
                for recording, reading in readings:
                    try:
                        tables.append(reading.result())
                        good.append(recording)
                    except InputError as error:
                        if on_bad is None:
                            raise
                        on_bad(recording, error)
                if good:
                    yield self._answers(good, pa.concat_tables(tables))

    def answering(self, device: str) -> str:
        """Which of its models answers for a device: the device's own, or the common one."""
        return device if device in self.models else COMMON

    def check_labels(self, recordings: Iterable[Recording]) -> None:
        """Refuse recordings whose cycles nobody labelled, where the recipe pads by labels.

        Raises:
            InputError: there is one.
        """
        padding = self.card.recipe.features.evaluation_padding
        if padding == "smart" and not all(one.annotation for one in recordings):
            raise InputError(
                "the model's recipe pads what it hears by the labels of neighbours "
                "(features.evaluation_padding smart): give --annotations, or another model"
            )

    def _answers(self, recordings: Sequence[Recording], rows: pa.Table) -> pd.DataFrame:
        """Answers for some recordings, whose rows are in the same order."""
        answering = np.array([self.answering(one.device) for one in recordings])
        parts = []
        for name in dict.fromkeys(answering):
            chosen = np.flatnonzero(answering == name)
            bank = CycleBank.from_table(
                pick(rows, chosen), self.card.recipe.task, self.compute.device
            )
            heard = decided(self._predictor(name)(bank), self.card.prior)
            of = chosen.repeat([len(cycles) for cycles in _lists(rows, "cycle", chosen)])
            parts.append(heard.assign(of=of, model=name))
        heard = pd.concat(parts).sort_values(["of", "cycle"], kind="stable", ignore_index=True)
        probabilities = heard[[f"p_{name}" for name in self.card.classes]].to_numpy()
        every = range(len(recordings))
        return pd.DataFrame(
            {
                "file": [recordings[number].file for number in heard["of"]],
                **{
                    side: np.concatenate(_lists(rows, side, every)).astype(np.float64)
                    for side in ("start_s", "end_s")
                },
                "device": [recordings[number].device for number in heard["of"]],
                "model": heard["model"],
                **{
                    f"p_{name}": probabilities[:, index]
                    for index, name in enumerate(self.card.classes)
                },
                "class": [self.card.classes[index] for index in heard["predicted"]],
                "confidence": probabilities[np.arange(len(heard)), heard["predicted"]],
            }
        )

    def _predictor(self, name: str) -> Predictor:
        if name not in self._ready:
            made = Predictor(self.card.recipe, self.models[name], self.compute)
            self._ready[name] = made
        return self._ready[name]


def load_model(
    where: str | Path,
    gpu: Gpu = "auto",
    precision: Literal["recipe", "fp32", "bf16"] = "recipe",
) -> Model:
    """Open a model.

    Args:
        where: the folder that ``full`` wrote, a URI of it, or what MLflow calls a model:
            ``models:/NAME/VERSION``, ``runs:/RUN/model``.
        gpu: "auto", the GPU where there is one; "none"; "required".
        precision: of the network's arithmetic; "recipe" for what its recipe says.

    Raises:
        InputError: no model, one of another format, or a torn one; or the precision or GPU cannot
            be had.
    """
    text = str(where)
    with fetched(text) if text.startswith(SCHEMES) else nullcontext(text) as folder:
        card, models = read_model(Storage.at(folder))
    wanted = card.recipe.optimisation.precision if precision == "recipe" else precision
    return Model(card, models, Compute.resolve(gpu, wanted))


def _batches(recordings: Iterable[Recording]) -> Iterator[list[Recording]]:
    """Some recordings at a time, no two of the same stem, by which a bank tells them apart."""
    batch: list[Recording] = []
    for recording in recordings:
        if len(batch) == BATCH or recording.stem in {one.stem for one in batch}:
            yield batch
            batch = []
        batch.append(recording)
    if batch:
        yield batch


def _lists(rows: pa.Table, column: str, chosen: Iterable[int]) -> list[np.ndarray]:
    values = rows.column(column)
    return [values[int(number)].values.to_numpy() for number in chosen]
