"""SpecAugment (Park et al. 2019): stretches of frames and bands of mel rows without information."""

import torch
from torch import Tensor

from respire.features.augment import Effect, Effects


def mask_spectrograms(spectrogram: Tensor, effects: Effects) -> Tensor:
    """Apply time masks, then frequency masks, to the rows of the batch that get them.

    The spectrogram, float32 [B, M, F] on any scale, is changed in place and given back; rows
    without a mask keep every bit. The effects are on its device.
    """
    _mask(spectrogram, effects.time_mask, 2)
    _mask(spectrogram, effects.frequency_mask, 1)
    return spectrogram


def _mask(spectrogram: Tensor, effect: Effect, axis: int) -> None:
    """Mask the effect's share of the frames or mel rows, at its place, in place."""
    if len(effect.rows) > 0:
        size = spectrogram.shape[axis]
        length = (effect.value * size).round()
        first = (effect.place * (size - length + 1)).floor()
        masked = mask(spectrogram.index_select(0, effect.rows), first, length, axis)
        spectrogram.index_copy_(0, effect.rows, masked)


def mask(spectrogram: Tensor, first: Tensor, length: Tensor, axis: int) -> Tensor:
    """Set frames (axis 2) or mel rows (axis 1) to the mean of their window, as it is before.

    Of each window of the spectrogram, float32 [n, M, F], ``length`` [n] of them from ``first`` [n].
    """
    place = torch.arange(spectrogram.shape[axis], device=first.device)
    masked = (place >= first[:, None]) & (place < (first + length)[:, None])
    mean = spectrogram.mean(dim=(1, 2), keepdim=True)
    return torch.where(masked.unsqueeze(3 - axis), mean, spectrogram)
