"""Standard augmentation of training windows, batched, each with its own parameters (paper 2.1).

Which windows get which effect is drawn on the CPU, so that no host waits for a GPU to count them,
and sent to it (features/draws.py); an effect then computes its own rows alone. Pitch and VTLP act
on the spectrum (features/frequency_warp.py), speed that keeps pitch on its frames
(features/time_stretch.py), masks on the spectrogram (features/masks.py).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn.functional import pad

from respire.features.keyed import uniform
from respire.recipe.fields import Augmentation

EFFECTS_STREAM = 10
"""Stream of random numbers that chooses effects and their parameters."""
ALTERNATIVES = 5
"""Effects, the first of ``Effects``, of which a window gets one at most under ``one_at_most``."""
PITCH = 3
"""Place of pitch in ``Effects``."""

NOISE_SAMPLES = 2**21
"""Length of the table of white noise, of which every noisy window takes a stretch."""
NOISE_SEED = 1

LOUDNESS_STRETCH = (0.2, 0.8)
"""Ends of the stretch that changes loudness, as shares of the window (released code: nlpaug's)."""
LOUDNESS_EDGE = 40
"""Samples over which the loudness rises and falls, so that nothing clicks: 10 ms at 4 kHz."""

OVERSAMPLING = 2
"""Points a sample of the spline that changes speed."""
FILTER_REACH = 24
"""Samples on either side of a point that its low-pass filter weighs."""
FILTER_BETA = 4.5
"""Kaiser window of that filter: side lobes below -50 dB, a transition of 250 Hz at 4 kHz."""
FILTER_BLOCK = 32
"""Samples that the filter advances by one matrix product."""
FILTER_BANDS = 64
"""Pass bands that filters are kept for; a row takes the narrowest that holds its own."""


@dataclass(frozen=True)
class Effect:
    """Which rows of a batch get an effect, and how.

    Attributes:
        rows: int64 [n], rising.
        value: float32 [n], each row's parameter, from the recipe's range; of ``shift`` the share
            of the window.
        place: float32 [n] in [0, 1), where the effect lies: the noise in its table, a mask in the
            spectrogram. The other effects have no use for it.
    """

    rows: Tensor
    value: Tensor
    place: Tensor


@dataclass(frozen=True)
class Effects:
    """Every effect on a batch, named and ordered as in ``recipe.Augmentation``.

    ``speed_keeps_pitch`` is the recipe's: speed is then no effect on waveforms.
    """

    noise: Effect
    speed: Effect
    loudness: Effect
    pitch: Effect
    vtlp: Effect
    shift: Effect
    time_mask: Effect
    frequency_mask: Effect
    speed_keeps_pitch: bool = field(default=False, kw_only=True)


def draw_effects(keys: Tensor, augmentation: Augmentation) -> Effects:
    """Choose each window's effects and their parameters, by its key alone.

    Under ``one_at_most`` one number a window falls into the interval of noise, speed, loudness,
    pitch or VTLP, or into none; otherwise each effect has a coin of its own.

    Args:
        keys: int64 [B] (features/keyed.py), on the CPU.
        augmentation: probabilities and ranges.
    """
    below, above, lowest, highest = _chances(augmentation)
    draws = uniform(keys, EFFECTS_STREAM, 3 * len(below)).view(-1, len(below), 3)
    coin, level, place = draws.unbind(2)
    if augmentation.one_at_most:
        coin[:, 1:ALTERNATIVES] = coin[:, :1]
    gets = (coin >= below) & (coin < above)
    value = torch.lerp(lowest, highest, level)
    if augmentation.whole_semitones:
        low, high = augmentation.pitch_semitones
        least, most = math.ceil(low), math.floor(high)
        value[:, PITCH] = least + (level[:, PITCH] * (most - least + 1)).floor()
    column, rows = gets.T.nonzero(as_tuple=True)
    count = gets.sum(0).tolist()
    drawn = (rows, value[rows, column], place[rows, column])
    by_effect = zip(*(part.split(count) for part in drawn), strict=True)
    every = (Effect(*parts) for parts in by_effect)
    return Effects(*every, speed_keeps_pitch=augmentation.speed_keeps_pitch)


@cache
def _chances(augmentation: Augmentation) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of each effect, in the order of ``Effects``: the interval of its coin, and its range.

    Returns:
        Four of float32 [8]: a coin from the first to below the second gives the effect, its value
        lies between the third and the fourth.
    """
    effects = [
        (augmentation.noise_p, augmentation.noise_snr_db),
        (augmentation.speed_p, augmentation.speed_factor),
        (augmentation.loudness_p, augmentation.loudness_factor),
        (augmentation.pitch_p, augmentation.pitch_semitones),
        (augmentation.vtlp_p, augmentation.vtlp_factor),
        (augmentation.shift_p, (0.0, 1.0)),
        (augmentation.time_mask_p, augmentation.time_mask_share),
        (augmentation.frequency_mask_p, augmentation.frequency_mask_share),
    ]
    above = [p for p, _ in effects]
    below = [0.0] * len(effects)
    if augmentation.one_at_most:
        above[:ALTERNATIVES] = accumulate(above[:ALTERNATIVES])
        below[1:ALTERNATIVES] = above[: ALTERNATIVES - 1]
    lowest, highest = zip(*(bounds for _, bounds in effects), strict=True)
    return torch.tensor(below), torch.tensor(above), torch.tensor(lowest), torch.tensor(highest)


def white_noise(device: torch.device | str) -> Tensor:
    """The table of white Gaussian noise, float32 [NOISE_SAMPLES]: the same on every machine."""
    generator = torch.Generator().manual_seed(NOISE_SEED)
    return torch.randn(NOISE_SAMPLES, generator=generator).to(device)


def augment_waveforms(waveform: Tensor, effects: Effects, noise: Tensor) -> Tensor:
    """Apply speed, unless it keeps pitch, loudness, shift and noise, in this order, to their rows.

    The waveform, float32 [B, T], T at most NOISE_SAMPLES, is changed in place and given back; rows
    without an effect keep every bit. ``noise`` is the table of ``white_noise``; it and the effects
    are on the waveform's device.
    """
    window = waveform.shape[1]

    def apply(effect: Effect, change: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        if len(effect.rows) > 0:
            rows = waveform.index_select(0, effect.rows)
            waveform.index_copy_(0, effect.rows, change(rows, effect.value, effect.place))

    def louder(rows: Tensor, factor: Tensor, _: Tensor) -> Tensor:
        first, last = (round(share * window) for share in LOUDNESS_STRETCH)
        return change_loudness(rows, factor, first, last)

    def noisier(rows: Tensor, snr_db: Tensor, place: Tensor) -> Tensor:
        stretches = noise.unfold(0, window, 1)
        chosen = (place * len(stretches)).long()
        return add_noise(rows, stretches.index_select(0, chosen), snr_db)

    if not effects.speed_keeps_pitch:
        apply(effects.speed, lambda rows, factor, _: change_speed(rows, factor))
    apply(effects.loudness, louder)
    apply(effects.shift, lambda rows, share, _: shift(rows, (share * window).long()))
    apply(effects.noise, noisier)
    return waveform


def add_noise(waveform: Tensor, noise: Tensor, snr_db: Tensor) -> Tensor:
    """Add noise, float32 [n, T], to rows [n, T] at signal-to-noise ratios, float32 [n].

    The ratio is that of the mean powers over the window; a silent row stays silent.
    """
    ratio = waveform.norm(dim=1) / noise.norm(dim=1)
    return torch.addcmul(waveform, noise, (ratio * 10 ** (-snr_db / 20))[:, None])


def shift(waveform: Tensor, samples: Tensor) -> Tensor:
    """Roll rows, float32 [n, T], to ``samples`` later, int64 [n] in [0, T].

    What leaves at the end comes back at the beginning.
    """
    count, window = waveform.shape
    row = torch.arange(count, device=waveform.device)
    twice = waveform.index_select(0, row.repeat_interleave(2))
    starts = twice.flatten().unfold(0, window, 1)
    return starts.index_select(0, (2 * row + 1) * window - samples)


def change_loudness(waveform: Tensor, factor: Tensor, first: int, last: int) -> Tensor:
    """Multiply the amplitude of a stretch of rows, float32 [n, T], by factors, float32 [n].

    From sample ``first`` to before ``last``, at least 2 * LOUDNESS_EDGE later, with raised-cosine
    edges inside: samples outside keep every bit, and those further inside than LOUDNESS_EDGE are
    multiplied by the factor.
    """
    rise = torch.hann_window(2 * LOUDNESS_EDGE, device=waveform.device)[1 : LOUDNESS_EDGE + 1]
    edge = 1 + (factor - 1)[:, None] * rise
    changed = waveform.clone()
    changed[:, first : first + LOUDNESS_EDGE] *= edge
    changed[:, first + LOUDNESS_EDGE : last - LOUDNESS_EDGE] *= factor[:, None]
    changed[:, last - LOUDNESS_EDGE : last] *= edge.flip(1)
    return changed


def change_speed(waveform: Tensor, factor: Tensor) -> Tensor:
    """Play rows faster or slower, their pitch following.

    A window that runs out of audio goes on from its own beginning, as in the released code. What
    faster playback would push over half the sample rate is filtered out.

    At 4 kHz a tone's spurious images lie 63 dB below it at 1 kHz, 49 at 1.5 and 41 at 1.8 kHz.

    Args:
        waveform: float32 [n, T], T at least FILTER_BLOCK + 2 * FILTER_REACH.
        factor: float32 [n], above 0; output sample t is taken from time ``factor * t``.
    """
    window = waveform.shape[1]
    points = _spline_points(waveform, (1 / factor).clamp(max=1))
    # In double precision: single knows a time in a long window to a hundredth of a sample only.
    time = torch.arange(window, device=waveform.device, dtype=torch.float64)
    position = (time * (factor.double() / window)[:, None]).frac_().mul_(OVERSAMPLING * window)
    index = position.long()
    u = position.frac_().to(waveform.dtype)
    a, b, c, d = (points[:, tap:].gather(1, index) for tap in range(4))
    # De Boor's algorithm: the uniform cubic B-spline between its points b and c.
    third, half = u / 3, u / 2
    middle = b.lerp(c, third + 1 / 3)
    left = a.lerp_(b, third + 2 / 3).lerp_(middle, half + 1 / 2)
    right = middle.lerp_(c.lerp_(d, third), half)
    return left.lerp_(right, u)


def _spline_points(waveform: Tensor, band: Tensor) -> Tensor:
    """Control points of cubic B-splines through the low-passed rows.

    Args:
        waveform: float32 [n, T], continued by itself at both ends.
        band: float32 [n] in (0, 1], share of the frequencies that is kept.

    Returns:
        float32 [n, P], OVERSAMPLING points a sample, from the one before the first sample to at
        least three after the last time in the window.
    """
    window = waveform.shape[1]
    blocks = math.ceil((window + 2) / FILTER_BLOCK)
    ends = (FILTER_REACH, blocks * FILTER_BLOCK + FILTER_REACH - window)
    continued = pad(waveform[:, None], ends, mode="circular")[:, 0]
    frames = continued.unfold(1, FILTER_BLOCK + 2 * FILTER_REACH, FILTER_BLOCK)
    filters = _filters(waveform.device)
    chosen = filters.index_select(0, (band * len(filters)).ceil().long() - 1)
    return (frames @ chosen).flatten(1)


@cache
def _filters(device: torch.device) -> Tensor:
    """What turns a block of samples and its surroundings into control points, by band.

    Each is a windowed low-pass whose response is the inverse of the spline's up to the band's edge
    and nothing above, so that spline and filter together pass the band unchanged.

    Returns:
        float32 [FILTER_BANDS, FILTER_BLOCK + 2 * FILTER_REACH, OVERSAMPLING * FILTER_BLOCK], the
        b-th passing (b + 1) / FILTER_BANDS of the frequencies.
    """
    reach = OVERSAMPLING * FILTER_REACH
    edge = torch.arange(1, FILTER_BANDS + 1, device=device) / (2 * OVERSAMPLING * FILTER_BANDS)
    steps = 8 * reach
    frequency = edge[:, None] * (torch.arange(steps, device=device) + 0.5) / steps
    response = 2 * OVERSAMPLING * edge[:, None] / steps / frequency.sinc() ** 4
    wave = torch.cos(2 * math.pi * frequency[:, :, None] * torch.arange(reach + 1, device=device))
    taper = torch.kaiser_window(2 * reach + 1, False, beta=FILTER_BETA, device=device)[reach:]
    taps = pad((response[:, None] @ wave)[:, 0] * taper, (0, 1))
    sample = torch.arange(-FILTER_REACH, FILTER_BLOCK + FILTER_REACH, device=device)
    point = torch.arange(-1, OVERSAMPLING * FILTER_BLOCK - 1, device=device)
    distance = (point - OVERSAMPLING * sample[:, None]).abs().clamp(max=reach + 1)
    return taps[:, distance]
