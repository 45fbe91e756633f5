import librosa
import numpy as np
import pytest
import torch

from respire.features.melspectrogram import LogMelSpectrogram
from respire.recipe import Features, quick


@pytest.mark.parametrize("features", [Features(), quick().features, Features(window_seconds=1.3)])
def test_decibels_equal_librosas(features):
    rng = np.random.default_rng(0)
    samples = features.samples(4000)
    time = np.arange(samples) / 4000
    signals = np.stack(
        [
            rng.normal(0, 0.3, samples),
            np.sin(2 * np.pi * 650 * time),
            1e-4 * rng.normal(size=samples),
            np.where(np.arange(samples) == samples // 2, 1.0, 0.0),
            np.concatenate([rng.normal(0, 0.5, samples // 2), np.zeros(samples - samples // 2)]),
        ]
    ).astype(np.float32)
    ours = LogMelSpectrogram(features, 4000, "cpu")(torch.from_numpy(signals)).numpy()
    for signal, mel in zip(signals, ours, strict=True):
        power = librosa.feature.melspectrogram(
            y=signal,
            sr=4000,
            n_fft=features.n_fft,
            hop_length=features.hop,
            n_mels=features.n_mels,
            fmin=features.mel_low_hz,
            fmax=features.mel_high_hz,
        )
        theirs = librosa.power_to_db(power, ref=np.max, top_db=features.top_db)
        np.testing.assert_allclose(mel, theirs, atol=5e-3)


def test_a_silent_window_is_finite():
    assert (LogMelSpectrogram(Features(), 4000, "cpu")(torch.zeros(2, 28000)) == 0).all()
