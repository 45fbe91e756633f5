"""One window of a synthetic recording, on its way through the pipeline."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from respire.data.corpora.corpus import open_corpus
from respire.data.corpora.synthetic import write_corpus
from respire.data.prepare import by_recording, prepare_block
from respire.data.splits.split import Cut
from respire.features.bank import CycleBank
from respire.features.colour import shades
from respire.features.keyed import sample_keys
from respire.features.pipeline import Pipeline
from respire.features.splice import gather, pad
from respire.models.network import respirenet
from respire.recipe.presets import small
from respire.runtime.compute import Compute
from respire.training.loop import fit


@dataclass(frozen=True)
class Window:
    """A test cycle and what becomes of it.

    Attributes:
        label: its class.
        sample_rate_hz: of the waveform.
        waveform: float32 [T], the cycle and what fills the window after it.
        cycles: of each piece of the window, the cycle's index.
        ends: of each piece, the sample after its last.
        mel: float32 [M, F], shades in [0, 255], high frequencies on top.
        clipped: float32 [M, F], the same without blank rows.
        logits: of each class, by a network that has learnt from the other patients.
    """

    label: str
    sample_rate_hz: int
    waveform: np.ndarray
    cycles: Sequence[int]
    ends: Sequence[int]
    mel: np.ndarray
    clipped: np.ndarray
    logits: Mapping[str, float]


def synthetic_window(epochs: int = 12, patients: int = 24) -> Window:
    """A window with blank rows on top, of a patient that the network has not heard.

    Args:
        epochs: how long the network learns.
        patients: how many the corpus has.
    """
    recipe = small()
    recipe = replace(recipe, features=replace(recipe.features, n_mels=64, level_rows=False))
    with tempfile.TemporaryDirectory() as folder:
        corpus = open_corpus(str(write_corpus(Path(folder) / "corpus", patients=patients)))
        table = prepare_block(by_recording(corpus.cycles), recipe.preprocess)
    split = Cut().on(corpus.cycles)
    names = table.column("recording")
    train, test = (
        CycleBank.from_table(table.filter(pa.compute.is_in(names, pa.array(side))), recipe.task)
        for side in (split.train, split.test)
    )
    torch.manual_seed(0)
    network = respirenet(recipe.model, len(recipe.classes))
    optimisation = replace(recipe.optimisation, epochs=epochs)
    fit(network, train, None, recipe, optimisation, Compute("cpu", "fp32"), seed=0)

    pipeline, every = Pipeline(recipe, "cpu"), torch.arange(len(test))
    keys = sample_keys(0, 0, test.identity)
    splice = pad(test, every, pipeline.window, "smart", keys)
    waveform = gather(test, splice, pipeline.window)
    mel = shades(pipeline.spectrogram(waveform))
    clipped = pipeline.blank_region(mel)
    with torch.inference_mode():
        logits = network.eval()(pipeline.palette(clipped))
    # Of the abnormal cycles that are half a window or less and have neighbours, the blankest.
    short = (test.length <= pipeline.window // 2) & (test.label > 0)
    fits = short & (splice.cycle[:, 1:4] != splice.cycle[:, :1]).any(1)
    chosen = int(torch.where(fits, pipeline.blank_region.rows(mel), -1).argmax())
    ends = test.length[splice.cycle[chosen]].cumsum(0)
    pieces = int((ends < pipeline.window).sum()) + 1
    return Window(
        recipe.classes[int(test.label[chosen])],
        recipe.preprocess.sample_rate_hz,
        waveform[chosen].numpy(),
        splice.cycle[chosen, :pieces].tolist(),
        ends[:pieces].clamp(max=pipeline.window).tolist(),
        mel[chosen].numpy(),
        clipped[chosen].numpy(),
        dict(zip(recipe.classes, logits[chosen].tolist(), strict=True)),
    )
