from dataclasses import replace

import librosa
import matplotlib
import numpy as np
import pyarrow as pa
import pytest
import torch
from tables import cycles_table

from respire.features.bank import CycleBank
from respire.features.keyed import sample_keys
from respire.features.pipeline import Pipeline
from respire.recipe import Features, Recipe

LENGTHS = [[900, 2400, 1500], [5000, 700]]
LABELS = [[0, 1, 0], [2, 0]]
TABLE = cycles_table(LENGTHS, LABELS, seed=4)
BANK = CycleBank.from_table(TABLE, "4-class")
EVERY = torch.arange(len(BANK))
COLOUR = Features(window_seconds=1.0)
GREY = Features(
    window_seconds=0.9, n_mels=32, hop=256, colour_map="grey", upsample=1, evaluation_padding="zero"
)


def recipe_with(features: Features, **changes: object) -> Recipe:
    return Recipe(features=replace(features, **changes))


def window_of(cycle: np.ndarray, samples: int, padding: str) -> np.ndarray:
    if padding == "zero":
        return np.pad(cycle, (0, max(0, samples - len(cycle))))[:samples]
    return np.resize(cycle, samples)


def enlarged(image: np.ndarray, factor: int) -> np.ndarray:
    """Bilinear enlargement [H, W, 3], pixel by pixel as texts on interpolation define it.

    Samples lie at pixel centres, and beyond the outermost centres the edge continues.
    """
    for axis in (0, 1):
        size = image.shape[axis]
        position = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
        below = np.minimum(np.floor(position).astype(int), size - 1)
        above = np.minimum(below + 1, size - 1)
        part = np.expand_dims(position - below, tuple({0, 1, 2} - {axis}))
        image = np.take(image, below, axis) * (1 - part) + np.take(image, above, axis) * part
    return image


def decibels_of(cycle: np.ndarray, recipe: Recipe) -> np.ndarray:
    """One cycle's log-mel spectrogram, by librosa."""
    features, rate = recipe.features, recipe.preprocess.sample_rate_hz
    window = window_of(cycle, features.samples(rate), features.evaluation_padding)
    power = librosa.feature.melspectrogram(
        y=window,
        sr=rate,
        n_fft=features.n_fft,
        hop_length=features.hop,
        n_mels=features.n_mels,
        fmin=features.mel_low_hz,
        fmax=features.mel_high_hz,
        pad_mode="constant",
    )
    return librosa.power_to_db(power, ref=np.max, top_db=features.top_db)


def reference(cycle: np.ndarray, recipe: Recipe) -> np.ndarray:
    """One cycle's image, float [3, H, W], by librosa and matplotlib, step by step."""
    decibels = decibels_of(cycle, recipe)
    level = (decibels - decibels.min()) / (decibels.max() - decibels.min())
    shade = np.floor(level * 255).astype(int)[::-1]
    name = {"grey": "gray", "magma": "magma"}[recipe.features.colour_map]
    colours = matplotlib.colormaps[name](shade)[..., :3]
    standard = (colours - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    return enlarged(standard, recipe.features.upsample).transpose(2, 0, 1)


def cycles_of(bank: CycleBank) -> list[np.ndarray]:
    audio = bank.audio.numpy().astype(np.float32) / 32767
    return [
        audio[a : a + n] for a, n in zip(bank.first.tolist(), bank.length.tolist(), strict=True)
    ]


@pytest.mark.parametrize("features", [COLOUR, GREY], ids=["magma, enlarged", "grey"])
def test_images_are_those_of_librosa_and_matplotlib(features):
    recipe = recipe_with(features)
    images = Pipeline(recipe, "cpu").evaluation_images(BANK, EVERY).numpy()
    expected = np.stack([reference(cycle, recipe) for cycle in cycles_of(BANK)])
    assert images.shape == expected.shape
    assert images.dtype == np.float32
    # A level that falls on the border of two of the 256 shades may round to either.
    one_shade = np.abs(np.diff(reference_palette(recipe), axis=0)).max()
    difference = np.abs(images - expected)
    assert difference.max() <= one_shade + 1e-4
    assert (difference > 1e-4).mean() < 0.01


def reference_palette(recipe: Recipe) -> np.ndarray:
    name = {"grey": "gray", "magma": "magma"}[recipe.features.colour_map]
    colours = matplotlib.colormaps[name](np.arange(256))[:, :3]
    return (colours - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]


def test_the_papers_image_is_192_by_657():
    images = Pipeline(Recipe(), "cpu").evaluation_images(BANK, EVERY[:1])
    assert images.shape == (1, 3, 192, 657)


def test_high_frequencies_are_on_top():
    tone = np.sin(2 * np.pi * 1800 * np.arange(4000) / 4000) * 20000
    columns = TABLE.slice(0, 1).to_pylist()[0] | {"samples": [4000], "audio": tone.astype(np.int16)}
    columns |= {"cycle": [0], "start_s": [0.0], "end_s": [1.0], "label": [0]}
    bank = CycleBank.from_table(pa.Table.from_pylist([columns], schema=TABLE.schema), "4-class")
    image = Pipeline(recipe_with(GREY), "cpu").evaluation_images(bank, torch.tensor([0]))[0, 0]
    rows = image.mean(1)
    assert rows.argmax() < len(rows) / 4


def test_silence_is_the_palettes_darkest_colour_and_no_nan():
    silent = TABLE.set_column(
        TABLE.schema.get_field_index("audio"),
        TABLE.schema.field("audio"),
        pa.array([[0] * sum(n) for n in LENGTHS], pa.list_(pa.int16())),
    )
    recipe = recipe_with(GREY)
    images = Pipeline(recipe, "cpu").evaluation_images(
        CycleBank.from_table(silent, "4-class"), EVERY
    )
    darkest = torch.from_numpy(reference_palette(recipe)[0]).float()
    torch.testing.assert_close(images, darkest[None, :, None, None].expand_as(images))


def relabelled() -> CycleBank:
    return CycleBank.from_table(cycles_with_labels([[1, 0, 2], [0, 3]]), "4-class")


def cycles_with_labels(labels: list[list[int]]) -> pa.Table:
    index = TABLE.schema.get_field_index("label")
    return TABLE.set_column(index, TABLE.schema.field(index), pa.array(labels, pa.list_(pa.int8())))


@pytest.mark.parametrize("padding", ["zero", "repeat", "reflect"])
def test_labels_of_evaluation_cycles_never_shape_their_images(padding):
    pipeline = Pipeline(recipe_with(GREY, evaluation_padding=padding), "cpu")
    images = pipeline.evaluation_images(BANK, EVERY)
    assert torch.equal(images, pipeline.evaluation_images(relabelled(), EVERY))


def test_smart_evaluation_padding_does_read_labels():
    pipeline = Pipeline(recipe_with(GREY, evaluation_padding="smart"), "cpu")
    images = pipeline.evaluation_images(BANK, EVERY)
    assert not torch.equal(images, pipeline.evaluation_images(relabelled(), EVERY))


@pytest.mark.parametrize("padding", ["repeat", "smart"])
def test_an_evaluation_image_depends_on_its_cycle_alone(padding):
    pipeline = Pipeline(recipe_with(GREY, evaluation_padding=padding), "cpu")
    together = pipeline.evaluation_images(BANK, EVERY)
    apart = [pipeline.evaluation_images(BANK, one) for one in EVERY.flip(0).split(1)]
    torch.testing.assert_close(torch.cat(apart).flip(0), together, rtol=0, atol=0.05)


def test_training_images_follow_their_keys_and_nothing_else():
    pipeline = Pipeline(recipe_with(GREY, padding="smart", window_seconds=2.0), "cpu")
    keys = sample_keys(0, 1, EVERY)
    images = pipeline.training_images(BANK, EVERY, keys)
    assert torch.equal(images, pipeline.training_images(BANK, EVERY, keys))
    assert not torch.equal(images, pipeline.training_images(BANK, EVERY, sample_keys(0, 2, EVERY)))


def test_without_chance_in_the_padding_training_and_evaluation_see_the_same():
    recipe = recipe_with(GREY, padding="repeat", evaluation_padding="repeat")
    pipeline = Pipeline(recipe, "cpu")
    training = pipeline.training_images(BANK, EVERY, sample_keys(0, 1, EVERY))
    assert torch.equal(training, pipeline.evaluation_images(BANK, EVERY))


def test_mean_mel_bands_are_each_cycles_own():
    recipe = recipe_with(GREY)
    bands = Pipeline(recipe, "cpu").mean_mel_bands(BANK, batch=2).numpy()
    expected = [decibels_of(cycle, recipe).mean(1) for cycle in cycles_of(BANK)]
    np.testing.assert_allclose(bands, np.stack(expected), atol=5e-3)
