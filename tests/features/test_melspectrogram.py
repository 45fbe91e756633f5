import librosa
import numpy as np
import pytest
import torch

from respire.data.mel import mel_filters, mel_frequencies
from respire.features.frequency_warp import Warp, frequency_maps
from respire.features.melspectrogram import LogMelSpectrogram
from respire.recipe.fields import Features
from respire.recipe.presets import quick


@pytest.mark.parametrize(
    "features",
    [
        Features(),
        quick().features,
        Features(window_seconds=1.3),
        Features(n_mels=3, n_fft=400, hop=90),
    ],
)
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


@pytest.mark.parametrize("rate_hz", [4000, 8000])
@pytest.mark.parametrize("high_hz", [900.0, 2000.0])
@pytest.mark.parametrize(("n_mels", "n_fft", "low_hz"), [(64, 256, 50.0), (3, 400, 0.0)])
def test_the_mel_filters_are_librosas_bit_for_bit(n_mels, n_fft, low_hz, high_hz, rate_hz):
    asked = {"n_fft": n_fft, "n_mels": n_mels, "fmin": low_hz, "fmax": high_hz}
    for dtype in (np.float32, np.float64):
        theirs = librosa.filters.mel(sr=rate_hz, dtype=dtype, **asked)
        ours = mel_filters(n_mels, n_fft, rate_hz, low_hz, high_hz, dtype)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    between = librosa.mel_frequencies(n_mels + 2, fmin=low_hz, fmax=high_hz)
    np.testing.assert_array_equal(mel_frequencies(n_mels + 2, low_hz, high_hz), between)


def losses_db(n_fft: int, hop: int) -> np.ndarray:
    """What a click loses at every place between two frames, by the log-mel's peak.

    In each window a second click, at the centre of a frame, is the loudest point.
    """
    place = np.arange(4 * n_fft, 4 * n_fft + hop)
    clicks = torch.zeros(hop, 16 * n_fft)
    clicks[torch.arange(hop), torch.from_numpy(place)] = 1
    clicks[:, 12 * n_fft] = 1
    features = Features(n_mels=32, n_fft=n_fft, hop=hop, mel_low_hz=0.0)
    decibels = LogMelSpectrogram(features, 4000, "cpu")(clicks)
    return -decibels[:, :, : 8 * n_fft // hop].amax((1, 2)).numpy()


@pytest.mark.parametrize("n_fft", [256, 512])
def test_a_click_between_two_frames_is_heard_where_they_overlap_by_half_and_lost_where_not(n_fft):
    half, none = losses_db(n_fft, n_fft // 2), losses_db(n_fft, n_fft)
    # Half a hop from two frames a Hann window has half its height.
    assert half.max() == pytest.approx(6, abs=0.1)
    assert none.max() > 50
    assert (none > 10).mean() == pytest.approx(0.37, abs=0.02)


def test_a_silent_window_is_finite():
    assert (LogMelSpectrogram(Features(), 4000, "cpu")(torch.zeros(2, 28000)) == 0).all()


def test_rows_without_a_warp_keep_every_bit():
    spectrogram = LogMelSpectrogram(Features(), 4000, "cpu")
    waveform = torch.from_numpy(np.random.default_rng(1).normal(size=(6, 28000))).float()
    rows = torch.tensor([1, 4])
    maps = frequency_maps(torch.tensor([2.0, 0.0]), torch.tensor([1.0, 0.9]), 256)
    plain, warped = spectrogram(waveform), spectrogram(waveform, Warp(rows, maps))
    others = torch.tensor([0, 2, 3, 5])
    assert torch.equal(warped[others], plain[others])
    assert (warped[rows] != plain[rows]).any(2).any(1).all()


def test_a_warp_that_moves_nothing_changes_nothing():
    spectrogram = LogMelSpectrogram(Features(), 4000, "cpu")
    waveform = torch.from_numpy(np.random.default_rng(2).normal(size=(2, 28000))).float()
    warp = Warp(torch.tensor([1]), torch.eye(129)[None])
    torch.testing.assert_close(
        spectrogram(waveform, warp), spectrogram(waveform), rtol=0, atol=1e-4
    )


def test_a_silent_window_is_finite_when_warped():
    warp = Warp(torch.tensor([0]), torch.eye(129)[None])
    silent = torch.zeros(2, 28000)
    assert (LogMelSpectrogram(Features(), 4000, "cpu")(silent, warp) == 0).all()
