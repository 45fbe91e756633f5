"""Speed that keeps pitch, as the released code's: spectrograms read faster or slower.

Of a phase vocoder a network that sees magnitudes sees these alone, so no phase is worked out.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from respire.features.augment import Effects


@dataclass(frozen=True)
class Stretch:
    """Rows of a batch, int64 [n], and how much faster each is, float32 [n]."""

    rows: Tensor
    factor: Tensor


def stretch_of(effects: Effects) -> Stretch | None:
    """The changes of speed of a batch, where they keep pitch; None if there are none."""
    speed = effects.speed
    if not effects.speed_keeps_pitch or len(speed.rows) == 0:
        return None
    return Stretch(speed.rows, speed.value)


def time_stretch(power: Tensor, factor: Tensor) -> Tensor:
    """Power spectra of which frame f is the magnitude, squared, that was at frame ``factor * f``.

    Linear between frames, as in ``librosa.phase_vocoder``. A window that runs out of audio goes on
    from its own beginning: after its last frame comes its first.

    Args:
        power: float32 [n, F, K], frame by frame.
        factor: float32 [n], above 0; above 1 is faster.
    """
    rows, frames, _ = power.shape
    frame = torch.arange(frames, device=power.device, dtype=torch.float64)
    position = frame * factor.double()[:, None] % frames
    before = position.long()
    first = frames * torch.arange(rows, device=power.device)[:, None]
    magnitude = power.sqrt().flatten(0, 1)
    earlier, later = (
        magnitude.index_select(0, (first + chosen % frames).flatten()).view_as(power)
        for chosen in (before, before + 1)
    )
    between = (position - before).to(power.dtype)[:, :, None]
    return earlier.lerp_(later, between).square_()
