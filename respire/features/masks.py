"""SpecAugment (Park et al. 2019): stretches of frames and bands of mel rows without information."""

from collections.abc import Callable

import torch
from torch import Tensor

from respire.features.augment import Effect, Effects


def mask_spectrograms(spectrogram: Tensor, effects: Effects) -> Tensor:
    """Apply time masks, then frequency masks, to the rows of the batch that get them.

    Args:
        spectrogram: float32 [B, M, F], on any scale; changed in place.
        effects: of these B windows.

    Returns:
        The spectrogram; rows without a mask keep every bit.
    """
    _mask(spectrogram, effects.time_mask, mask_time, spectrogram.shape[2])
    _mask(spectrogram, effects.frequency_mask, mask_frequency, spectrogram.shape[1])
    return spectrogram


def _mask(
    spectrogram: Tensor, effect: Effect, mask: Callable[[Tensor, Tensor, Tensor], Tensor], size: int
) -> None:
    """Mask the effect's share of ``size`` frames or mel rows, at its place, in place."""
    if len(effect.rows) > 0:
        length = (effect.value * size).round()
        first = (effect.place * (size - length + 1)).floor()
        rows, first, length = (
            part.to(spectrogram.device, non_blocking=True) for part in (effect.rows, first, length)
        )
        spectrogram.index_copy_(0, rows, mask(spectrogram[rows], first, length))


def mask_time(spectrogram: Tensor, first: Tensor, length: Tensor) -> Tensor:
    """Set frames to the mean of their window, as it is before.

    Args:
        spectrogram: float32 [n, M, F].
        first: [n], first masked frame.
        length: [n], masked frames.

    Returns:
        float32 [n, M, F].
    """
    masked = _between(spectrogram.shape[2], first, length)[:, None, :]
    return torch.where(masked, spectrogram.mean(dim=(1, 2), keepdim=True), spectrogram)


def mask_frequency(spectrogram: Tensor, first: Tensor, length: Tensor) -> Tensor:
    """Set mel rows to the mean of their window, as it is before.

    Args:
        spectrogram: float32 [n, M, F].
        first: [n], first masked row.
        length: [n], masked rows.

    Returns:
        float32 [n, M, F].
    """
    masked = _between(spectrogram.shape[1], first, length)[:, :, None]
    return torch.where(masked, spectrogram.mean(dim=(1, 2), keepdim=True), spectrogram)


def _between(size: int, first: Tensor, length: Tensor) -> Tensor:
    """Which of ``size`` places lie in each stretch, bool [n, size]."""
    place = torch.arange(size, device=first.device)
    return (place >= first[:, None]) & (place < (first + length)[:, None])
