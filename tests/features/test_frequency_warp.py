import numpy as np
import pytest
import torch
from torch import Tensor

from respire.features.augment import Effects, change_speed, draw_effects
from respire.features.frequency_warp import KNEE, Warp, frequency_maps, moves_of, warp_of
from respire.features.keyed import sample_keys
from respire.features.melspectrogram import LogMelSpectrogram
from respire.recipe.fields import Augmentation, Features

RATE_HZ = 4000
N_FFT = 256
BIN_HZ = RATE_HZ / N_FFT
NYQUIST_HZ = RATE_HZ / 2
SPECTROGRAM = LogMelSpectrogram(Features(), RATE_HZ, "cpu")
KEYS = sample_keys(0, 1, torch.arange(40))


def maps(semitones: float = 0.0, vtlp_factor: float = 1.0, n_fft: int = N_FFT) -> Tensor:
    return frequency_maps(torch.tensor([semitones]), torch.tensor([vtlp_factor]), n_fft)[0]


def tones(frequencies_hz: list[float], samples: int = 8000) -> Tensor:
    time = torch.arange(samples, dtype=torch.float64) / RATE_HZ
    phase = 2 * torch.pi * torch.tensor(frequencies_hz, dtype=torch.float64)[:, None] * time
    return torch.sin(phase).float()


def power_of(waveform: Tensor, n_fft: int = N_FFT) -> Tensor:
    """Power spectra [B, K, F], by torch.stft."""
    spectrum = torch.stft(
        waveform, n_fft, n_fft // 2, window=torch.hann_window(n_fft), return_complex=True
    )
    return spectrum.abs().square()


def centre_hz(power: Tensor) -> float:
    """Mean frequency of a power spectrum [K, F]."""
    level = power[:, 5:-5].sum(1)
    return float((level * torch.arange(len(level))).sum() / level.sum() * BIN_HZ)


def vtlp_hz(frequency_hz: float, factor: float) -> float:
    """Where Jaitly and Hinton (2013), section 3, take a frequency, in their words."""
    f_hi, half = KNEE * NYQUIST_HZ, NYQUIST_HZ
    boundary = f_hi * min(factor, 1) / factor
    if frequency_hz <= boundary:
        return frequency_hz * factor
    slope = (half - f_hi * min(factor, 1)) / (half - boundary)
    return half - slope * (half - frequency_hz)


@pytest.mark.parametrize(("semitones", "ratio"), [(12, 2.0), (-12, 0.5), (7, 1.4983), (-1, 0.9439)])
@pytest.mark.parametrize("frequency_hz", [220, 500, 903])
def test_a_pitch_shift_multiplies_a_tones_frequency(semitones, ratio, frequency_hz):
    warped = maps(semitones) @ power_of(tones([frequency_hz]))[0]
    assert abs(centre_hz(warped) - ratio * frequency_hz) < 3


def test_a_pitch_shift_keeps_a_clicks_frame():
    click = torch.zeros(1, 8000)
    click[0, 5000] = 1
    power = power_of(click)[0]
    warped = maps(12.0) @ power
    assert warped.sum(0).argmax() == power.sum(0).argmax()
    assert torch.equal(warped.sum(0) > 0, power.sum(0) > 0)


@pytest.mark.parametrize("factor", [0.9, 1.1])
@pytest.mark.parametrize("frequency_hz", [500, 1000, 1150, 1300, 1500, 1800])
def test_vtlp_moves_tones_as_its_authors_write(factor, frequency_hz):
    warped = maps(vtlp_factor=factor) @ power_of(tones([frequency_hz]))[0]
    assert abs(centre_hz(warped) - vtlp_hz(frequency_hz, factor)) < 4


def test_vtlp_keeps_a_tone_at_half_the_sample_rate():
    warped = maps(vtlp_factor=1.1) @ power_of(tones([1985]))[0]
    assert abs(centre_hz(warped) - 1985) < 5


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_vtlp_really_changes_the_picture_at_4_khz(factor):
    waveform = tones([250, 700, 1300]).sum(0, keepdim=True)
    plain = SPECTROGRAM(waveform)
    warp = Warp(torch.tensor([0]), maps(vtlp_factor=factor)[None])
    assert (SPECTROGRAM(waveform, warp) - plain).abs().mean() > 3


def test_vtlp_is_monotone_for_any_factor():
    for factor in (0.3, 0.9, 1.1, 1.6, 3.0):
        source = maps(vtlp_factor=factor).argmax(1)
        assert (source.diff() >= 0).all()
        assert source[0] == 0
        assert source[-1] == N_FFT // 2


def test_pitch_and_vtlp_of_one_window_come_one_after_the_other():
    warped = maps(12.0, 1.1) @ power_of(tones([500]))[0]
    assert abs(centre_hz(warped) - 1100) < 4


@pytest.mark.parametrize("n_fft", [256, 255, 512])
def test_no_semitones_and_factor_one_are_the_identity(n_fft):
    torch.testing.assert_close(maps(n_fft=n_fft), torch.eye(n_fft // 2 + 1))


def test_a_tone_pushed_over_half_the_sample_rate_disappears():
    power = power_of(tones([1500]))[0][:, 5:-5]
    assert (maps(12.0) @ power).sum() < 1e-6 * power.sum()


def test_shifting_down_leaves_the_top_empty():
    warped = maps(-12.0) @ torch.ones(N_FFT // 2 + 1, 1)
    assert (warped[N_FFT // 4 + 2 :] == 0).all()
    assert (warped[: N_FFT // 4] > 0).all()


@pytest.mark.parametrize(
    ("semitones", "factor"), [(-1, 1.0), (1.3, 1.0), (3, 1.0), (-12, 1.0), (0, 0.9), (0, 1.1)]
)
def test_a_tone_keeps_its_power_within_a_third_of_a_decibel(semitones, factor):
    frequencies = np.linspace(150, 1500, 200).tolist()
    power = power_of(tones(frequencies, 1500))[:, :, 4]
    warped = maps(semitones, factor) @ power[:, :, None]
    change = 10 * (warped.sum((1, 2)) / power.sum(1)).log10()
    assert change.abs().max() < 0.33


def test_a_warped_spectrum_is_the_old_one_read_between_its_bins():
    power = power_of(torch.randn(1, 4000, generator=torch.Generator().manual_seed(0)))[0].double()
    bins, ratio = np.arange(N_FFT // 2 + 1), 2 ** (2.5 / 12)
    expected = np.stack([np.interp(bins / ratio, bins, frame) for frame in power.T.numpy()], 1)
    torch.testing.assert_close(
        maps(2.5).double() @ power, torch.from_numpy(expected / ratio), rtol=1e-4, atol=1e-5
    )


def test_a_pitch_shifts_spectrum_is_that_of_faster_playback():
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(1, 120_000, generator=generator)
    spectrum = torch.fft.rfft(noise)
    frequency = torch.linspace(0, 1, spectrum.shape[1])
    hills = torch.exp(-((frequency - 0.2) ** 2) / 0.005) + torch.exp(
        -((frequency - 0.6) ** 2) / 0.01
    )
    sound = torch.fft.irfft(spectrum * hills)
    ratio = 2 ** (3 / 12)
    played = power_of(change_speed(sound, torch.tensor([ratio])))[0].mean(1)
    shifted = (maps(3.0) @ power_of(sound)[0]).mean(1)
    loud = played > 0.01 * played.max()
    difference = 10 * (shifted / played).log10()[loud]
    assert difference.abs().mean() < 0.4
    assert difference.abs().max() < 1.5


def effects_with(**p: float) -> Effects:
    none = dict.fromkeys(("noise_p", "speed_p", "loudness_p", "pitch_p", "vtlp_p", "shift_p"), 0.0)
    return draw_effects(KEYS, Augmentation(one_at_most=False, **none | p))


def test_without_pitch_and_vtlp_there_is_no_warp():
    assert warp_of(moves_of(effects_with(noise_p=1.0)), N_FFT) is None


def test_a_warp_holds_each_window_that_has_pitch_or_vtlp_once():
    effects = effects_with(pitch_p=0.5, vtlp_p=0.5)
    pitch, vtlp = (
        dict(zip(effect.rows.tolist(), effect.value.tolist(), strict=True))
        for effect in (effects.pitch, effects.vtlp)
    )
    assert set(pitch) & set(vtlp)
    assert set(pitch) ^ set(vtlp)
    warp = warp_of(moves_of(effects), N_FFT)
    assert warp is not None
    assert warp.rows.tolist() == sorted(set(pitch) | set(vtlp))
    for row, ours in zip(warp.rows.tolist(), warp.maps, strict=True):
        torch.testing.assert_close(ours, maps(pitch.get(row, 0.0), vtlp.get(row, 1.0)))


def test_a_windows_warp_is_the_same_in_any_batch():
    effects = effects_with(pitch_p=0.5, vtlp_p=0.5)
    together = warp_of(moves_of(effects), N_FFT)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    augmentation = Augmentation(one_at_most=False, pitch_p=0.5, vtlp_p=0.5)
    permuted = warp_of(moves_of(draw_effects(KEYS[order], augmentation)), N_FFT)
    assert together is not None
    assert permuted is not None
    back = order[permuted.rows].argsort()
    assert torch.equal(order[permuted.rows][back], together.rows)
    torch.testing.assert_close(permuted.maps[back], together.maps)


def test_the_spectrogram_of_a_pitch_shifted_tone_is_that_of_the_higher_tone():
    warp = Warp(torch.tensor([1]), maps(12.0)[None])
    warped = SPECTROGRAM(tones([300, 400]), warp)[1, :, 20]
    higher = SPECTROGRAM(tones([800]))[0, :, 20]
    assert abs(int(warped.argmax()) - int(higher.argmax())) <= 1
