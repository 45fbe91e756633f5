from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from cycle_rows import cycles_table
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from respire.benchmark.per_sample import image_of
from respire.features.bank import CycleBank
from respire.features.keyed import sample_keys
from respire.features.pipeline import Pipeline
from respire.recipe.fields import Augmentation, Concatenation, Features
from respire.recipe.presets import paper, released_code
from respire.recipe.recipe import Recipe

LENGTHS = [[900, 2400, 1500], [5000, 700]]
TABLE = cycles_table(LENGTHS, [[0, 1, 0], [2, 0]], seed=4)
BANK = CycleBank.from_table(TABLE, "4-class")
EVERY = torch.arange(len(BANK))
GREY = Features(window_seconds=0.9, n_mels=32, n_fft=512, hop=256, colour_map="grey", upsample=1)
NONE: dict[str, Any] = {name: 0.0 for name in vars(Augmentation()) if name.endswith("_p")}
LIVELY = Augmentation(one_at_most=False, **dict.fromkeys(NONE, 0.5))
"""Every effect, on every other window."""

RECORDINGS = st.lists(
    st.lists(st.tuples(st.integers(1, 1500), st.integers(0, 3)), min_size=1, max_size=4),
    min_size=1,
    max_size=3,
)


def recipe_with(features: Features, **changes: Any) -> Recipe:
    """These features without chance: no CBA, no effect."""
    return Recipe(
        features=replace(features, **changes),
        concatenation=Concatenation("off"),
        augmentation=Augmentation(**NONE),
    )


def lively(features: Features, **changes: Any) -> Recipe:
    """These features with every technique."""
    return Recipe(
        features=replace(features, **changes),
        concatenation=Concatenation("mixed", 2.0),
        augmentation=LIVELY,
    )


def with_column(table: pa.Table, name: str, values: list) -> pa.Table:
    index = table.schema.get_field_index(name)
    field = table.schema.field(index)
    return table.set_column(index, field, pa.array(values, field.type))


def relabelled() -> CycleBank:
    return CycleBank.from_table(with_column(TABLE, "label", [[1, 0, 2], [0, 3]]), "4-class")


def assert_same(ours: Tensor, theirs: Tensor) -> None:
    """Equal, but where another order of additions moved a level over the border of two shades."""
    assert ours.shape == theirs.shape
    difference = (ours - theirs).abs()
    assert difference.max() < 0.06
    assert (difference > 1e-3).double().mean() < 1e-3


@pytest.mark.parametrize(
    ("recipe", "shape"), [(paper(), (3, 192, 657)), (released_code(), (3, 192, 753))]
)
def test_images_have_the_size_of_the_papers_and_the_released_codes(recipe, shape):
    pipeline = Pipeline(recipe, "cpu")
    keys = sample_keys(0, 1, EVERY[:1])
    for images in (
        pipeline.evaluation_images(BANK, EVERY[:1]),
        pipeline.training_images(BANK, EVERY[:1], keys),
    ):
        assert images.shape == (1, *shape)
        assert images.is_contiguous(memory_format=torch.channels_last)


def test_high_frequencies_are_on_top():
    tone = np.sin(2 * np.pi * 1800 * np.arange(4000) / 4000) * 20000
    table = with_column(cycles_table([[4000]], [[0]]), "audio", [tone.astype(np.int16)])
    image = Pipeline(recipe_with(GREY), "cpu").evaluation_images(
        CycleBank.from_table(table, "4-class"), torch.tensor([0])
    )[0, 0]
    assert image.mean(1).argmax() < len(image) / 4


@pytest.mark.parametrize("features", [GREY, Features(window_seconds=0.9)], ids=["grey", "magma"])
def test_a_silent_window_is_of_the_palettes_darkest_colour(features):
    silent = with_column(TABLE, "audio", [[0] * sum(n) for n in LENGTHS])
    pipeline = Pipeline(recipe_with(features), "cpu")
    images = pipeline.evaluation_images(CycleBank.from_table(silent, "4-class"), EVERY)
    dark = torch.from_numpy(image_of(np.zeros((1, 1)), replace(features, upsample=1))).float()
    torch.testing.assert_close(images, dark.expand_as(images))


@settings(max_examples=40)
@given(
    RECORDINGS,
    st.floats(0.05, 0.4),
    st.sampled_from(["zero", "repeat", "repeat-either-side", "reflect", "smart"]),
    st.sampled_from(["clip", "windows"]),
    st.sampled_from(["keep", "clip", "clip-one-more"]),
    st.integers(0, 2**31),
    st.booleans(),
)
@example([[(1, 0)]], 0.4, "smart", "clip", "clip", 0, False)
@example([[(1500, 3)], [(1, 1)]], 0.05, "reflect", "windows", "clip-one-more", 1, True)
def test_images_of_any_cycles_are_finite_and_of_the_right_shape(
    recordings, window_seconds, padding, long_cycles, blank_region, seed, silent
):
    table = cycles_table(
        [[n for n, _ in cycles] for cycles in recordings],
        [[label for _, label in cycles] for cycles in recordings],
    )
    if silent:
        sounds = table.column("audio").to_pylist()
        first = table.column("samples")[0][0].as_py()
        sounds[0][:first] = [0] * first
        table = with_column(table, "audio", sounds)
    features = Features(
        window_seconds=window_seconds,
        n_mels=16,
        n_fft=128,
        hop=64,
        upsample=2,
        padding=padding,
        evaluation_padding=padding,
        long_cycles=long_cycles,
        blank_region=blank_region,
    )
    pipeline = Pipeline(lively(features), "cpu")
    bank = pipeline.windows(CycleBank.from_table(table, "4-class"))
    chosen = torch.arange(len(bank))
    frames = 1 + round(window_seconds * 4000) // 64
    for images in (
        pipeline.training_images(bank, chosen, sample_keys(seed, 1, chosen)),
        pipeline.evaluation_images(bank, chosen),
    ):
        assert images.shape == (len(bank), 3, 32, 2 * frames)
        assert images.dtype == torch.float32
        assert bool(images.isfinite().all())


@pytest.mark.parametrize("features", [GREY, Features(window_seconds=0.9)], ids=["grey", "magma"])
def test_neither_chunks_nor_batches_change_an_image(features):
    pipeline = Pipeline(lively(features), "cpu")
    chosen = EVERY.repeat(8)
    keys = sample_keys(3, 1, torch.arange(len(chosen)))
    whole = pipeline.training_images(BANK, chosen, keys)
    evaluated = pipeline.evaluation_images(BANK, chosen)
    for batch in (1, 7, 16, 40):
        parts = list(zip(chosen.split(batch), keys.split(batch), strict=True))
        assert_same(torch.cat([pipeline.training_images(BANK, *part) for part in parts]), whole)
    for chunk in (1, 7, 40, None):
        pipeline.chunk = chunk
        assert_same(pipeline.training_images(BANK, chosen, keys), whole)
        assert_same(pipeline.evaluation_images(BANK, chosen), evaluated)


def test_a_training_image_depends_on_its_cycle_and_its_key_alone():
    pipeline = Pipeline(lively(GREY, padding="smart"), "cpu")
    chosen = EVERY.repeat(6)
    keys = sample_keys(0, 1, torch.arange(len(chosen)))
    images = pipeline.training_images(BANK, chosen, keys)
    assert torch.equal(images, pipeline.training_images(BANK, chosen, keys))
    order = torch.randperm(len(chosen), generator=torch.Generator().manual_seed(0))
    assert_same(pipeline.training_images(BANK, chosen[order], keys[order]), images[order])


def test_every_epoch_has_images_of_its_own():
    pipeline = Pipeline(lively(GREY, padding="smart", window_seconds=2.0), "cpu")
    first, second = (
        pipeline.training_images(BANK, EVERY, sample_keys(0, epoch, EVERY)) for epoch in (1, 2)
    )
    assert bool((first != second).any(dim=(1, 2, 3)).all())


def test_making_images_leaves_the_bank_as_it_was():
    pipeline = Pipeline(lively(GREY), "cpu")
    before = BANK.audio.clone()
    pipeline.training_images(BANK, EVERY, sample_keys(0, 1, EVERY))
    assert torch.equal(BANK.audio, before)


@pytest.mark.parametrize("padding", ["zero", "repeat", "repeat-either-side", "reflect"])
def test_labels_of_evaluation_cycles_never_shape_their_images(padding):
    pipeline = Pipeline(lively(GREY, evaluation_padding=padding), "cpu")
    images = pipeline.evaluation_images(BANK, EVERY)
    assert torch.equal(images, pipeline.evaluation_images(relabelled(), EVERY))


def test_smart_evaluation_padding_does_read_labels():
    pipeline = Pipeline(recipe_with(GREY, evaluation_padding="smart"), "cpu")
    images = pipeline.evaluation_images(BANK, EVERY)
    assert not torch.equal(images, pipeline.evaluation_images(relabelled(), EVERY))


@pytest.mark.parametrize("padding", ["repeat", "repeat-either-side", "smart"])
def test_an_evaluation_image_depends_on_its_cycle_alone(padding):
    pipeline = Pipeline(recipe_with(GREY, evaluation_padding=padding), "cpu")
    together = pipeline.evaluation_images(BANK, EVERY)
    apart = [pipeline.evaluation_images(BANK, one) for one in EVERY.flip(0).split(1)]
    assert_same(torch.cat(apart).flip(0), together)


def test_training_without_chance_sees_what_evaluation_sees():
    pipeline = Pipeline(recipe_with(GREY, padding="repeat", evaluation_padding="repeat"), "cpu")
    training = pipeline.training_images(BANK, EVERY, sample_keys(0, 1, EVERY))
    assert torch.equal(training, pipeline.evaluation_images(BANK, EVERY))


def test_evaluation_images_are_never_augmented():
    plain, augmented = (
        Pipeline(recipe(GREY), "cpu").evaluation_images(BANK, EVERY)
        for recipe in (recipe_with, lively)
    )
    assert torch.equal(plain, augmented)


def test_only_the_recipes_with_windows_cut_long_cycles():
    clip, windows = recipe_with(GREY), recipe_with(GREY, long_cycles="windows")
    assert Pipeline(clip, "cpu").windows(BANK) is BANK
    assert int(Pipeline(windows, "cpu").windows(BANK).length.max()) <= 3600
