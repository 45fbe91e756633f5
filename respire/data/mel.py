"""Slaney's mel scale and its filters, in NumPy, bit for bit those of librosa."""

import numpy as np

from respire.recipe.limits import LINEAR_TO_HZ, LOG_STEP, MEL_STEP_HZ


def mel_frequencies(count: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Frequencies in Hz at equal mel distances, float64 [count]: ``librosa.mel_frequencies``."""
    border = LINEAR_TO_HZ / MEL_STEP_HZ
    ends = np.array([low_hz, high_hz])
    above = np.maximum(ends, LINEAR_TO_HZ) / LINEAR_TO_HZ
    low, high = np.minimum(ends, LINEAR_TO_HZ) / MEL_STEP_HZ + np.log(above) / LOG_STEP
    mels = np.linspace(low, high, count)
    logarithmic = LINEAR_TO_HZ * np.exp(LOG_STEP * (mels - border))
    return np.where(mels >= border, logarithmic, MEL_STEP_HZ * mels)


def mel_filters(
    n_mels: int,
    n_fft: int,
    rate_hz: int,
    low_hz: float,
    high_hz: float,
    dtype: type[np.floating] = np.float32,
) -> np.ndarray:
    """Triangles of equal area on the mel scale, [n_mels, n_fft // 2 + 1]: ``librosa.filters.mel``.

    Weights of a spectrum's frequencies, at a sample rate, in bands between two frequencies.
    """
    edges_hz = mel_frequencies(n_mels + 2, low_hz, high_hz)
    from_edges = edges_hz[:, None] - np.fft.rfftfreq(n_fft, 1 / rate_hz)
    width = np.diff(edges_hz)[:, None]
    rising, falling = -from_edges[:-2] / width[:-1], from_edges[2:] / width[1:]
    weights = np.maximum(0, np.minimum(rising, falling)).astype(dtype)
    weights *= (2 / (edges_hz[2:] - edges_hz[:-2]))[:, None]
    return weights
