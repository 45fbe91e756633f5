"""Pitch shift and vocal tract length perturbation (VTLP) as warps of the frequency axis.

Both act on the power spectrum before the mel filters: frequencies move, times stay, and there is
no phase vocoder whose artefacts a network could learn.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from respire.features.augment import Effects

KNEE = 0.6
"""Highest frequency that VTLP moves in proportion, as a share of half the sample rate."""


@dataclass(frozen=True)
class Moves:
    """Rows of a batch, int64 [n], whose frequencies move, by what pitch shift and VTLP.

    The first in ``semitones``, 0 for none, the second by ``factor``, 1 for none, float32 [n] both.
    """

    rows: Tensor
    semitones: Tensor
    factor: Tensor


@dataclass(frozen=True)
class Warp:
    """Rows of a batch, int64 [n], whose frequencies move, and how, on the spectrogram's device.

    A map, float32 [n, K, K], leads from a power spectrum of K bins to the warped one.
    """

    rows: Tensor
    maps: Tensor


def moves_of(effects: Effects) -> Moves:
    """The pitch shifts and VTLPs of a batch together, each row once, on the CPU."""
    pitch, vtlp = effects.pitch, effects.vtlp
    rows, place = torch.cat([pitch.rows, vtlp.rows]).unique(return_inverse=True)
    semitones, factor = torch.zeros(len(rows)), torch.ones(len(rows))
    semitones[place[: len(pitch.rows)]] = pitch.value
    factor[place[len(pitch.rows) :]] = vtlp.value
    return Moves(rows, semitones, factor)


def warp_of(moves: Moves, n_fft: int) -> Warp | None:
    """What moves so; None if nothing does."""
    if len(moves.rows) == 0:
        return None
    return Warp(moves.rows, frequency_maps(moves.semitones, moves.factor, n_fft))


def frequency_maps(semitones: Tensor, vtlp_factor: Tensor, n_fft: int) -> Tensor:
    """Matrices that move the power at frequency f to where pitch shift, then VTLP take it.

    Pitch shift takes f to ``f * 2 ** (semitones / 12)``. VTLP (Jaitly and Hinton 2013) takes f to
    ``vtlp_factor * f`` up to the knee, above it along the straight line that keeps half the sample
    rate in place. A bin reads the power where its frequency came from, linearly between bins (over
    all that fall into it where the spectrum shrinks), and divides it by how much the spectrum is
    stretched there, so that a sound keeps its power. What is pushed over half the sample rate is
    lost; what would come from above it is silence.

    Of semitones, float32 [n] (0 shifts nothing), and factors, float32 [n], above 0 (1 warps
    nothing): float32 [n, K, K], K = n_fft // 2 + 1, to be multiplied by power [K, F].
    """
    bins = torch.arange(n_fft // 2 + 1, device=semitones.device, dtype=semitones.dtype)
    ratio = 2 ** (semitones / 12)
    origin, stretch = _before_vtlp(bins, vtlp_factor[:, None], n_fft / 2)
    origin, stretch = origin / ratio[:, None], stretch * ratio[:, None]
    reach = (1 / stretch).clamp(min=1)
    distance = (origin[:, :, None] - bins).abs_()
    weight = distance.neg_().add_(reach[:, :, None]).clamp_(min=0)
    return weight.div_((reach**2 * stretch)[:, :, None])


def _before_vtlp(bins: Tensor, factor: Tensor, highest: float) -> tuple[Tensor, Tensor]:
    """Where VTLP brings each bin's power from, in bins, and how much it stretches there: [n, K].

    Of bins [K] and factors [n, 1]; ``highest`` is half the sample rate, in bins.
    """
    knee = KNEE * highest * factor.clamp(max=1)
    above = (highest - knee) / (highest - knee / factor)
    low = bins <= knee
    origin = torch.where(low, bins / factor, highest - (highest - bins) / above)
    return origin, torch.where(low, factor, above)
