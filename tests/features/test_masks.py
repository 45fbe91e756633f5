from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from respire.features.augment import Effects, draw_effects
from respire.features.keyed import sample_keys
from respire.features.masks import mask, mask_spectrograms
from respire.recipe.fields import Augmentation

KEYS = sample_keys(0, 1, torch.arange(60))
MASKS = Augmentation(
    time_mask_p=0.5,
    time_mask_share=(0.05, 0.4),
    frequency_mask_p=0.5,
    frequency_mask_share=(0.0, 0.3),
)


def spectrograms(count: int = 60, bands: int = 20, frames: int = 50) -> Tensor:
    values = np.random.default_rng(0).normal(-40, 10, (count, bands, frames))
    return torch.from_numpy(values).float()


def effects_of(keys: Tensor = KEYS) -> Effects:
    return draw_effects(keys, MASKS)


@pytest.mark.parametrize("axis", [2, 1])
def test_a_mask_sets_its_stretch_to_the_windows_mean_and_nothing_else(axis):
    before = spectrograms(3)
    after = mask(before, torch.tensor([0, 7, 12]), torch.tensor([4, 0, 8]), axis)
    expected = before.clone()
    for row, (first, last) in enumerate([(0, 4), (7, 7), (12, 20)]):
        stretch = (slice(None), slice(first, last)) if axis == 2 else (slice(first, last),)
        expected[row][stretch] = before[row].mean()
    torch.testing.assert_close(after, expected)
    unmasked = after == before
    assert torch.equal(after[unmasked], before[unmasked])


def test_rows_without_a_mask_keep_every_bit():
    before, effects = spectrograms(), effects_of()
    masked = torch.cat([effects.time_mask.rows, effects.frequency_mask.rows]).unique()
    others = torch.ones(60, dtype=torch.bool).index_fill_(0, masked, False)
    after = mask_spectrograms(before.clone(), effects)
    assert 0 < others.sum() < 60
    assert torch.equal(after[others], before[others])


def masked_stretch(changed: Tensor) -> tuple[int, int]:
    """First and length of the changed cells along an axis, which must lie together."""
    places = changed.nonzero().squeeze(1)
    assert (places.diff() == 1).all()
    return int(places[0]), len(places)


@pytest.mark.parametrize(("name", "size", "axis"), [("time", 50, 0), ("frequency", 20, 1)])
def test_a_mask_covers_the_drawn_share_of_frames_or_rows(name, size, axis):
    alone = replace(MASKS, time_mask_p=0.0, frequency_mask_p=0.0)
    alone = replace(alone, **{f"{name}_mask_p": 1.0})
    effects = draw_effects(KEYS, alone)
    before = spectrograms()
    changed = mask_spectrograms(before.clone(), effects) != before
    for row, share in zip(changed, getattr(effects, f"{name}_mask").value.tolist(), strict=True):
        assert torch.equal(row.any(axis), row.all(axis))
        length = round(share * size)
        if length:
            assert masked_stretch(row.any(axis))[1] == length
        else:
            assert not row.any()


@pytest.mark.parametrize("place", [0.0, 1 - 2.0**-24])
def test_a_mask_never_leaves_the_spectrogram(place):
    effects = draw_effects(KEYS, replace(MASKS, time_mask_p=1.0, frequency_mask_p=0.0))
    edge = replace(effects.time_mask, place=torch.full((60,), place))
    before = spectrograms()
    changed = mask_spectrograms(before.clone(), replace(effects, time_mask=edge)) != before
    for row, share in zip(changed, edge.value.tolist(), strict=True):
        length = round(share * 50)
        assert masked_stretch(row.any(0)) == (0 if place == 0 else 50 - length, length)


def test_a_mask_may_cover_the_whole_window():
    everything = replace(MASKS, time_mask_p=1.0, time_mask_share=(1.0, 1.0), frequency_mask_p=0.0)
    before = spectrograms()
    after = mask_spectrograms(before.clone(), draw_effects(KEYS, everything))
    mean = before.mean((1, 2), keepdim=True)
    torch.testing.assert_close(after, mean.expand_as(before))


def test_masks_lie_anywhere():
    effects = draw_effects(KEYS, replace(MASKS, time_mask_p=1.0, frequency_mask_p=0.0))
    before = spectrograms()
    covered = (mask_spectrograms(before.clone(), effects) != before).any(1).float().mean(0)
    assert covered.min() > 0


def test_a_windows_masks_are_the_same_in_any_batch():
    before = spectrograms()
    together = mask_spectrograms(before.clone(), effects_of())
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    permuted = mask_spectrograms(before[order], effects_of(KEYS[order]))
    torch.testing.assert_close(permuted, together[order])
    apart = [
        mask_spectrograms(part.clone(), effects_of(keys))
        for part, keys in zip(before.split(7), KEYS.split(7), strict=True)
    ]
    torch.testing.assert_close(torch.cat(apart), together)
