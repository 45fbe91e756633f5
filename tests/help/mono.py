"""A recording as one channel."""

import numpy as np

from respire.data.audio import read_channels


def read_audio(source: str) -> tuple[np.ndarray, int]:
    """Its channels averaged, float32 [n], and its rate in Hz."""
    channels, rate = read_channels(source)
    return channels.mean(axis=1), rate
