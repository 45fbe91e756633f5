"""One window of a synthetic recording, on its way through the pipeline."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
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
from respire.models.network import network_of
from respire.recipe.presets import small
from respire.runtime.compute import Compute
from respire.training.loop import fit


class Piece(NamedTuple):
    """A cycle in a window: its samples' times, the samples, and whether it is the window's own."""

    time_s: np.ndarray
    samples: np.ndarray
    own: bool


class Window(NamedTuple):
    """A cycle's class and pieces; shades [M, F] before and after clipping; a logit each class."""

    label: str
    pieces: list[Piece]
    mel: np.ndarray
    clipped: np.ndarray
    logits: dict[str, float]


def synthetic_window(epochs: int = 12) -> Window:
    """The blankest abnormal one of patients that the network, trained so long, has not heard."""
    recipe = small()
    recipe = replace(recipe, features=replace(recipe.features, n_mels=64, level_rows=False))
    with tempfile.TemporaryDirectory() as folder:
        cycles = open_corpus(str(write_corpus(Path(folder) / "corpus", patients=24))).cycles
        table = prepare_block(by_recording(cycles), recipe.preprocess, spectral=False)
    split, names = Cut().on(cycles), table.column("recording").to_pylist()
    train, test = (
        CycleBank.from_table(table.filter([name in side for name in names]), recipe.task)
        for side in (split.train, split.test)
    )
    torch.manual_seed(0)
    network, optimisation = network_of(recipe), replace(recipe.optimisation, epochs=epochs)
    fit(network, train, None, recipe, optimisation, Compute("cpu", "fp32"), seed=0)

    pipeline, every = Pipeline(recipe, "cpu"), torch.arange(len(test))
    splice = pad(test, every, pipeline.window, "smart", sample_keys(0, 0, test.identity))
    waveform = gather(test, splice, pipeline.window)
    mel = shades(pipeline.spectrogram(waveform))
    clipped = pipeline.blank_region(mel)
    with torch.inference_mode():
        logits = network.eval()(pipeline.palette(clipped))
    # Of the abnormal cycles that neighbours follow within half a window.
    own = splice.cycle == every[:, None]
    wanted = (test.length <= pipeline.window // 2) & (test.label > 0) & ~own[:, 1:4].all(1)
    chosen = int(torch.where(wanted, pipeline.blank_region.rows(mel), -1).argmax())
    ends = test.length[splice.cycle[chosen]].cumsum(0)
    cuts = ends[ends < pipeline.window].tolist()
    times = np.arange(pipeline.window) / recipe.preprocess.sample_rate_hz
    sounds = (np.split(part, cuts) for part in (times, waveform[chosen].numpy()))
    return Window(
        recipe.classes[int(test.label[chosen])],
        [Piece(*piece) for piece in zip(*sounds, own[chosen].tolist(), strict=False)],
        mel[chosen].numpy(),
        clipped[chosen].numpy(),
        dict(zip(recipe.classes, logits[chosen].tolist(), strict=True)),
    )
