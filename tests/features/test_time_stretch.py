from dataclasses import replace

import librosa
import numpy as np
import pytest
import scipy.signal
import torch
from torch import Tensor

from respire.features.augment import Effect, draw_effects
from respire.features.frequency_warp import Warp, frequency_maps
from respire.features.keyed import sample_keys
from respire.features.melspectrogram import LogMelSpectrogram
from respire.features.time_stretch import Stretch, stretch_of, time_stretch
from respire.recipe.fields import Augmentation, Features

RATE_HZ = 4000
FEATURES = Features()
SPECTROGRAM = LogMelSpectrogram(FEATURES, RATE_HZ, "cpu")
KEYS = sample_keys(0, 1, torch.arange(40))
FACTORS = [0.5, 0.77, 1.0, 1.31, 1.9, 4.0]


def power_of(rows: int, frames: int = 50, bins: int = 9) -> Tensor:
    noise = np.random.default_rng(0).normal(size=(rows, frames, bins))
    return torch.from_numpy(noise**2).float()


def decibels(waveform: np.ndarray, factor: float) -> np.ndarray:
    """The pipeline's log-mel of a window that is stretched, [M, F]."""
    stretch = Stretch(torch.tensor([0]), torch.tensor([factor]))
    return SPECTROGRAM(torch.from_numpy(waveform).float()[None], stretch=stretch)[0].numpy()


def test_every_frame_is_the_magnitude_between_the_two_it_was_read_from():
    power, factor = power_of(6), torch.tensor(FACTORS)
    magnitude = power.double().sqrt().numpy()
    expected = np.empty_like(magnitude)
    for row, speed in enumerate(factor.double().tolist()):
        for frame in range(50):
            whole = int(frame * speed)
            share = frame * speed - whole
            one, other = magnitude[row, whole % 50], magnitude[row, (whole + 1) % 50]
            expected[row, frame] = (1 - share) * one + share * other
    stretched = time_stretch(power, factor)
    np.testing.assert_allclose(stretched.double().sqrt().numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("factor", FACTORS)
def test_frames_are_those_of_librosas_phase_vocoder(factor):
    power = power_of(1)[0]
    spectrum = np.tile(power.double().sqrt().numpy().T, 5) + 0j
    speed = float(np.float32(factor))
    theirs = np.abs(librosa.phase_vocoder(spectrum, rate=speed))[:, :50]
    ours = time_stretch(power[None], torch.tensor([factor]))[0].T
    np.testing.assert_allclose(ours.double().sqrt(), theirs, atol=1e-6)


def chirp(samples: int) -> np.ndarray:
    """From 200 to 1,500 Hz."""
    return scipy.signal.chirp(np.arange(samples) / RATE_HZ, 200, samples / RATE_HZ, 1500)


def tones(samples: int) -> np.ndarray:
    time = np.arange(samples) / RATE_HZ
    return np.sin(2 * np.pi * 330 * time) + 0.3 * np.sin(2 * np.pi * 1230 * time)


def both_pictures(waveform: np.ndarray, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """The log-mel of librosa's time stretch, and ours, where sound neither ends nor begins."""
    theirs = librosa.effects.time_stretch(waveform, rate=factor, n_fft=512, hop_length=128)
    played = torch.from_numpy(np.resize(theirs, 28000)).float()
    frames = slice(10, min(int(219 / factor), 219) - 10)
    return SPECTROGRAM(played[None])[0].numpy()[:, frames], decibels(waveform, factor)[:, frames]


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 1.9])
def test_tones_look_as_librosas_time_stretch_makes_them_within_a_decibel_and_a_half(factor):
    theirs, ours = both_pictures(tones(28000), factor)
    loud = theirs > -20
    assert np.abs(ours - theirs)[loud].max() < 1.5


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 1.9])
def test_a_chirp_rises_as_librosas_time_stretch_makes_it_rise_within_a_mel_band(factor):
    # Levels differ by more: where frequencies glide, a phase vocoder's bins cancel out.
    theirs, ours = both_pictures(chirp(28000), factor)
    assert np.abs(ours.argmax(0) - theirs.argmax(0)).max() <= 1
    assert np.ptp(ours.argmax(0)) > 15


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_tone_keeps_its_pitch_and_a_clicks_time_is_divided(factor):
    tone = np.sin(2 * np.pi * 700 * np.arange(28000) / RATE_HZ)
    assert decibels(tone, factor)[:, 50].argmax() == decibels(tone, 1.0)[:, 50].argmax()
    click = np.zeros(28000)
    click[12800] = 1
    assert decibels(click, factor).max(0).argmax() == 100 / factor


def test_a_window_that_runs_out_goes_on_from_its_own_beginning():
    power = power_of(1)
    stretched = time_stretch(power, torch.tensor([2.0]))
    torch.testing.assert_close(stretched[0, :25], power[0, ::2])
    torch.testing.assert_close(stretched[0, 25:], power[0, ::2])


def test_each_row_has_its_own_speed_and_rows_without_one_keep_every_bit():
    waveform = torch.from_numpy(np.random.default_rng(1).normal(size=(5, 28000))).float()
    rows, factor = torch.tensor([1, 3]), torch.tensor([0.6, 1.7])
    plain, stretched = SPECTROGRAM(waveform), SPECTROGRAM(waveform, None, Stretch(rows, factor))
    others = torch.tensor([0, 2, 4])
    assert torch.equal(stretched[others], plain[others])
    for row, speed in zip(rows.tolist(), factor.tolist(), strict=True):
        alone = decibels(waveform[row].numpy(), speed)
        np.testing.assert_allclose(stretched[row], alone, atol=1e-4)
        assert np.abs(alone - plain[row].numpy()).mean() > 1


def test_a_silent_window_is_finite():
    assert (decibels(np.zeros(28000), 1.3) == 0).all()


def test_a_window_is_stretched_before_its_frequencies_are_warped():
    waveform = torch.from_numpy(np.random.default_rng(2).normal(size=(1, 28000))).float()
    row, factor = torch.tensor([0]), torch.tensor([1.4])
    maps = frequency_maps(torch.tensor([3.0]), torch.tensor([1.0]), 256)
    both = SPECTROGRAM(waveform, Warp(row, maps), Stretch(row, factor))
    power = torch.stft(
        waveform, 256, 128, window=torch.hann_window(256), pad_mode="constant", return_complex=True
    )
    stretched = time_stretch(power.abs().square().mT.contiguous(), factor).mT
    mel = librosa.filters.mel(sr=RATE_HZ, n_fft=256, n_mels=64, fmin=50, fmax=2000)
    expected = librosa.power_to_db(mel @ (maps[0] @ stretched[0]).numpy(), ref=np.max, top_db=80)
    np.testing.assert_allclose(both[0], expected, atol=5e-3)


ONLY_SPEED = replace(
    Augmentation(noise_p=0.0, loudness_p=0.0, pitch_p=0.0, vtlp_p=0.0), speed_keeps_pitch=True
)


def test_rows_are_stretched_where_speed_keeps_pitch_and_nowhere_else():
    effects = draw_effects(KEYS, replace(ONLY_SPEED, speed_p=0.5))
    stretch = stretch_of(effects)
    assert stretch is not None
    assert 0 < len(stretch.rows) < 40
    assert torch.equal(stretch.rows, effects.speed.rows)
    assert torch.equal(stretch.factor, effects.speed.value)
    assert stretch_of(replace(effects, speed_keeps_pitch=False)) is None
    none = replace(effects, speed=Effect(*(part[:0] for part in vars(effects.speed).values())))
    assert stretch_of(none) is None
