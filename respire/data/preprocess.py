"""Recordings to waveforms, and waveforms to cycles (paper section 2, "Pre-processing")."""

from collections.abc import Sequence

import numpy as np
from scipy.signal import butter, sosfilt

from respire.data.rows import FULL_SCALE
from respire.errors import InputError
from respire.recipe.fields import Preprocess

PEAK = 0.999
"""Largest magnitude after normalisation, strictly inside (-1, 1)."""

LATEST_END_S = 0.005
"""How far an annotation may point beyond its recording's end: rounding of the times, no more."""


def preprocess(audio: np.ndarray, rate: int, recipe: Preprocess) -> np.ndarray:
    """Resample, band-pass and normalise one recording (paper section 2, "Pre-processing").

    The Butterworth filter runs forward once: forward and backward would double the order the paper
    names, and put part of a crackle before its onset. The price is a delay of at most 3 ms between
    100 and 1,900 Hz (default band), far below the precision of annotations.

    A silent (constant) recording stays silent under the band-pass. Without
    ``recipe.normalise`` samples keep the level they were recorded at, cut at full scale.

    From mono audio, float [n], at ``rate`` Hz to float32 [round(n * recipe.sample_rate_hz / rate)],
    peak 0.999 if normalised.
    """
    import soxr  # what is prepared already is trained on without it

    signal = audio.astype(np.float64)
    if recipe.band_pass:
        # Without its mean, so that the filter does not ring at the start over a recorder's offset;
        # rounding of the mean is not to be taken for sound.
        signal -= audio.mean(dtype=np.float64)
        if np.ptp(audio) == 0:
            signal[:] = 0
    signal = soxr.resample(signal, rate, recipe.sample_rate_hz, quality="HQ")
    # sosfilt refuses what is shorter than a sample; its annotations will be found to lie beyond it.
    if recipe.band_pass and len(signal):
        band, rate_hz = (recipe.band_low_hz, recipe.band_high_hz), recipe.sample_rate_hz
        sections = butter(recipe.band_order, band, "bandpass", output="sos", fs=rate_hz)
        signal = sosfilt(sections, signal)
    loudest = np.abs(signal).max(initial=0)
    if recipe.normalise:
        signal = signal * (PEAK / loudest if loudest > 0 else 0)
    elif loudest > 1:  # resampling may overshoot full scale
        signal = signal.clip(-1, 1)
    return signal.astype(np.float32)


def slice_cycles(
    audio: np.ndarray, starts_s: Sequence[float], ends_s: Sequence[float], rate: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a recording at its annotations.

    Args:
        audio: float [n] in (-1, 1).
        starts_s: start of each cycle in seconds [c].
        ends_s: end of each cycle in seconds [c], up to 5 ms beyond the recording's end.
        rate: samples a second.

    Returns:
        int16 [sum], the cycles joined, value = round(32767 x); and int32 [c], the samples of each,
        at least one.

    Raises:
        InputError: a cycle ends before it starts, or lies beyond the recording's ends; names the
            annotation's row, from 1.
    """
    starts, ends = np.asarray(starts_s), np.asarray(ends_s)
    wrong = (starts < 0) | (ends <= starts)
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"annotation row {row + 1}: {starts[row]:g} to {ends[row]:g} s is no stretch of time; "
            f"correct it"
        )
    first, last = (np.rint(times_s * rate).astype(np.int64) for times_s in (starts, ends))
    beyond = (ends > len(audio) / rate + LATEST_END_S) | (first >= len(audio))
    if beyond.any():
        row = int(beyond.argmax())
        raise InputError(
            f"annotation row {row + 1}: the cycle {starts[row]:g}-{ends[row]:g} s lies beyond the "
            f"recording's end at {len(audio) / rate:.3f} s; correct the annotation"
        )
    last = np.clip(last, first + 1, len(audio))
    quantised = np.rint(audio.astype(np.float64) * FULL_SCALE).astype(np.int16)
    cycles = [quantised[start:end] for start, end in zip(first, last, strict=True)]
    return np.concatenate(cycles), (last - first).astype(np.int32)
