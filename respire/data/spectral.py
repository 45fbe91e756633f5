"""A cycle as 357 numbers that no network learns: statistics over time of its spectra.

The series are those of librosa 0.11, computed here from one short-time Fourier transform.
"""

from functools import cache

import numpy as np
from scipy.fft import dct, rfft
from scipy.signal import get_window

from respire.data.mel import mel_filters

FRAME_S, HOP_S = 0.064, 0.016
"""Length of a frame and from one to the next: 256 and 64 samples at 4 kHz."""
BANDS, COEFFICIENTS = 32, 13
ROLL_OFF = 0.85
"""Share of a frame's magnitude that lies at or below the roll-off."""
QUIETEST = 1e-10
"""Smallest power before a logarithm, as in librosa: -100 dB."""
SERIES = (
    *(f"mel band {band}" for band in range(1, BANDS + 1)),
    *(f"MFCC {coefficient}" for coefficient in range(COEFFICIENTS)),
    *("centroid", "bandwidth", "roll-off", "flatness", "zero-crossing rate", "level"),
)
"""Decibels, their cosine transform, Hz (three), and shares of 1 (two); the level is in decibels."""
STATISTICS = (
    *("mean", "SD", "10th percentile", "median", "90th percentile"),
    *("mean absolute step", "SD of steps"),
)
"""Over frames; a step is the difference from one frame to the next."""
SPECTRAL_NAMES = tuple(f"{series}, {statistic}" for series in SERIES for statistic in STATISTICS)


def spectral_statistics(sound: np.ndarray, rate_hz: int) -> np.ndarray:
    """The numbers of SPECTRAL_NAMES, float32 [357], of one cycle.

    From its samples, float [n] in (-1, 1), at ``rate_hz``. All are finite: a cycle shorter than a
    frame is filled with zeros, and one of a single frame has steps of zero.
    """
    series = spectral_series(sound, rate_hz)
    steps = np.diff(series, axis=0) if len(series) > 1 else np.zeros_like(series)
    summed = (
        *(series.mean(0), series.std(0), *np.percentile(series, [10, 50, 90], axis=0)),
        *(np.abs(steps).mean(0), steps.std(0)),
    )
    return np.stack(summed, axis=1).ravel().astype(np.float32)


def spectral_series(sound: np.ndarray, rate_hz: int) -> np.ndarray:
    """The values of SERIES in every frame, float64 [F, 51], frames lying wholly in the cycle.

    From its samples as ``spectral_statistics``.
    """
    size, hop = round(FRAME_S * rate_hz), round(HOP_S * rate_hz)
    sound = np.pad(sound.astype(np.float64), (0, max(0, size - len(sound))))
    frames = np.lib.stride_tricks.sliding_window_view(sound, size)[::hop]
    windowed = frames * get_window("hann", size)
    magnitude = np.abs(rfft(windowed))
    power = np.square(magnitude)
    bands = _decibels(power @ _mel_filters(rate_hz, size).T)
    hz = np.fft.rfftfreq(size, 1 / rate_hz)
    total = magnitude.sum(1, keepdims=True)
    share = magnitude / np.where(total > 0, total, 1)
    centroid = share @ hz
    audible = np.maximum(power, QUIETEST)
    negative = frames < 0
    descriptors = (
        centroid,
        np.sqrt((share * np.square(hz - centroid[:, None])).sum(1)),
        hz[(magnitude.cumsum(1) >= ROLL_OFF * total).argmax(1)],
        np.exp(np.log(audible).mean(1)) / audible.mean(1),
        (negative[:, 1:] != negative[:, :-1]).sum(1) / size,
        _decibels(np.square(windowed).mean(1)),
    )
    coefficients = dct(bands, norm="ortho")[:, :COEFFICIENTS]
    return np.column_stack([bands, coefficients, *descriptors])


def _decibels(power: np.ndarray) -> np.ndarray:
    return 10 * np.log10(np.maximum(power, QUIETEST))


@cache
def _mel_filters(rate_hz: int, size: int) -> np.ndarray:
    """Weights of a spectrum's frequencies in each mel band, [BANDS, size // 2 + 1]."""
    return mel_filters(BANDS, size, rate_hz, 0.0, rate_hz / 2, np.float64)
