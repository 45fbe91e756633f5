"""What is drawn for an epoch at once, against what is drawn batch by batch."""

from dataclasses import replace
from unittest.mock import Mock

import pytest
import torch
from cycle_rows import cycles_table
from torch import Tensor

import respire.features.pipeline as path
from respire.features.augment import Effect, draw_effects
from respire.features.bank import CycleBank
from respire.features.concatenate import concatenate
from respire.features.draws import Draws
from respire.features.frequency_warp import moves_of
from respire.features.keyed import sample_keys
from respire.features.pipeline import Pipeline
from respire.features.splice import lay_out, pad
from respire.recipe.fields import Augmentation
from respire.recipe.presets import PRESETS
from respire.recipe.recipe import Recipe
from respire.training.sampling import World, plan_epoch

LENGTHS = [[900, 2400, 1500, 3000], [5000, 700], [1300, 900, 4000]] * 4
BANK = CycleBank.from_table(
    cycles_table(LENGTHS, [[0, 1, 0, 3], [2, 0], [1, 1, 0]] * 4, seed=4), "4-class"
)
EVERY = {name: 0.5 for name in vars(Augmentation()) if name.endswith("_p")}
EPOCHS = ["paper", "released-code", "transfer", "small", "every effect", "zero", "reflect"]


def recipe_of(name: str) -> Recipe:
    recipe = PRESETS.get(name, PRESETS["paper"])()
    features = replace(recipe.features, window_seconds=2.0)
    if name in ("zero", "reflect"):
        features = replace(features, padding=name)
    if name == "every effect":
        recipe = replace(recipe, augmentation=Augmentation(one_at_most=False, **EVERY))
    return replace(recipe, features=features)


def epoch_of(recipe: Recipe, batch: int) -> tuple[CycleBank, Tensor, Tensor]:
    """The bank, and the cycles and keys of an epoch."""
    bank = Pipeline(recipe, "cpu").windows(BANK)
    plan = plan_epoch(bank, len(bank), batch, 3, 1, World(), shard=False)
    return bank, plan.cycle, sample_keys(3, 1, plan.sample)


def by_itself(bank: CycleBank, chosen: Tensor, keys: Tensor, recipe: Recipe, window: int) -> Draws:
    """A batch's draws, without the others."""
    lead = concatenate(bank, chosen, keys, recipe)
    splice = pad(bank, chosen, window, recipe.features.padding, keys, lead)
    effects = draw_effects(keys, recipe.augmentation)
    return Draws(lay_out(bank, splice, window), effects, moves_of(effects))


def assert_same(one: object, other: object) -> None:
    """Field by field, tensor by tensor."""
    assert vars(one).keys() == vars(other).keys()
    for name, ours in vars(one).items():
        theirs = getattr(other, name)
        if isinstance(ours, Tensor):
            assert torch.equal(ours, theirs), name
            assert ours.dtype == theirs.dtype
        elif hasattr(ours, "__dataclass_fields__"):
            assert_same(ours, theirs)
        else:
            assert ours == theirs, name


@pytest.mark.parametrize("name", EPOCHS)
@pytest.mark.parametrize(("batch", "chunk"), [(5, 64), (10, 4), (10, None)])
def test_an_epochs_splices_and_effects_are_those_of_its_batches(name, batch, chunk):
    recipe = recipe_of(name)
    bank, chosen, keys = epoch_of(recipe, batch)
    pipeline = Pipeline(recipe, "cpu")
    pipeline.chunk = chunk
    steps = list(pipeline.draw(bank, chosen, keys))
    assert len(steps) == len(chosen) > 1
    for draws, *step in zip(steps, chosen, keys, strict=True):
        parts = zip(*(part.split(chunk or batch) for part in step), strict=True)
        for ours, part in zip(draws, parts, strict=True):
            assert_same(ours, by_itself(bank, *part, recipe, pipeline.window))


def test_every_effect_reaches_some_window_of_the_epochs_that_are_compared():
    pipeline = Pipeline(recipe_of("every effect"), "cpu")
    steps = list(pipeline.draw(*epoch_of(pipeline.recipe, 5)))
    effects = [part.effects for step in steps for part in step]
    kinds = [name for name, kind in vars(effects[0]).items() if isinstance(kind, Effect)]
    assert len(kinds) == 8
    assert all(sum(len(getattr(one, kind).rows) for one in effects) > 0 for kind in kinds)


def test_a_long_epoch_is_drawn_in_spans_that_change_nothing(monkeypatch):
    recipe = recipe_of("every effect")
    pipeline, epoch = Pipeline(recipe, "cpu"), epoch_of(recipe, 5)
    whole = list(pipeline.draw(*epoch))
    drawn = Mock(wraps=path.draw_windows)
    monkeypatch.setattr(path, "draw_windows", drawn)
    monkeypatch.setattr(path, "DRAWN", 1)
    spans = list(pipeline.draw(*epoch))
    assert drawn.call_count == len(spans) == len(whole) > 2
    for one, other in zip(spans, whole, strict=True):
        assert_same(one[0], other[0])


def test_images_of_drawn_windows_are_the_training_images():
    recipe = recipe_of("every effect")
    pipeline, (bank, chosen, keys) = Pipeline(recipe, "cpu"), epoch_of(recipe, 10)
    for draws, *step in zip(pipeline.draw(bank, chosen, keys), chosen, keys, strict=True):
        images = pipeline.training_images(bank, *step)
        assert torch.equal(pipeline.drawn_images(bank, draws), images)
