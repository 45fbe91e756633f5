from dataclasses import fields, replace

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest
from torch import Tensor

from respire.features.augment import (
    FILTER_BLOCK,
    FILTER_REACH,
    LOUDNESS_EDGE,
    Effect,
    Effects,
    add_noise,
    augment_waveforms,
    change_loudness,
    change_speed,
    draw_effects,
    shift,
    white_noise,
)
from respire.features.keyed import sample_keys
from respire.recipe.fields import Augmentation

RATE_HZ = 4000
WINDOW = 4000
NOISE = white_noise("cpu")
ALTERNATIVES = ("noise", "speed", "loudness", "pitch", "vtlp")
NAMES = tuple(field.name for field in fields(Effects) if field.type is Effect)
EVERYTHING = Augmentation(one_at_most=False, **{f"{name}_p": 0.5 for name in NAMES})
RANGES = {
    "noise": "noise_snr_db",
    "speed": "speed_factor",
    "loudness": "loudness_factor",
    "pitch": "pitch_semitones",
    "vtlp": "vtlp_factor",
    "time_mask": "time_mask_share",
    "frequency_mask": "frequency_mask_share",
}
NOTHING = replace(EVERYTHING, **{f"{name}_p": 0.0 for name in NAMES})


def keys_of(count: int, epoch: int = 1) -> Tensor:
    return sample_keys(0, epoch, torch.arange(count))


def by_row(effects: Effects) -> list[tuple[str, int, float, float]]:
    """Every effect as (name, row, value, place)."""
    drawn = [(name, getattr(effects, name)) for name in NAMES]
    return sorted(
        (name, *parts)
        for name, effect in drawn
        for parts in zip(
            effect.rows.tolist(), effect.value.tolist(), effect.place.tolist(), strict=True
        )
    )


def effects_on(rows: list[int], **values: list[float]) -> Effects:
    """Effects drawn by hand: the named ones on these rows, the others on none."""

    def effect(name: str) -> Effect:
        value = torch.tensor(values.get(name, []))
        chosen = torch.tensor(rows if name in values else [], dtype=torch.int64)
        return Effect(chosen, value, torch.full((len(chosen),), 0.25))

    return Effects(**{name: effect(name) for name in NAMES})


def tone(frequency_hz: float, samples: int = WINDOW) -> Tensor:
    time = torch.arange(samples, dtype=torch.float64) / RATE_HZ
    return torch.sin(2 * torch.pi * frequency_hz * time).float()[None]


def band_limited(highest_hz: float, samples: int, seed: int) -> np.ndarray:
    """Noise that repeats after ``samples`` and has nothing above ``highest_hz``."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=samples))
    spectrum[np.fft.rfftfreq(samples, 1 / RATE_HZ) > highest_hz] = 0
    return np.fft.irfft(spectrum, samples)


def spectrum_of(waveform: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies and levels (dB below a tone of amplitude 1) of a stretch within a window."""
    part = waveform.numpy().ravel()[WINDOW // 10 :][: 2 * WINDOW // 5]
    taper = scipy.signal.windows.blackmanharris(len(part))
    level = np.abs(np.fft.rfft(part * taper)) / taper.sum() * 2
    return np.fft.rfftfreq(len(part), 1 / RATE_HZ), 20 * np.log10(level + 1e-12)


def loudest_hz(waveform: Tensor) -> float:
    frequency, level = spectrum_of(waveform)
    return float(frequency[level.argmax()])


# Drawing


@pytest.mark.parametrize("one_at_most", [True, False])
def test_each_effect_is_drawn_as_often_as_its_probability_says(one_at_most):
    p = {name: 0.03 + 0.03 * place for place, name in enumerate(NAMES)}
    augmentation = Augmentation(
        one_at_most=one_at_most, **{f"{name}_p": share for name, share in p.items()}
    )
    effects = draw_effects(keys_of(20000), augmentation)
    for name in NAMES:
        share = len(getattr(effects, name).rows) / 20000
        assert abs(share - p[name]) < 4 * (p[name] * (1 - p[name]) / 20000) ** 0.5


def test_under_one_at_most_no_window_gets_two_of_the_alternatives():
    effects = draw_effects(keys_of(5000), Augmentation(noise_p=0.6))
    rows = torch.cat([getattr(effects, name).rows for name in ALTERNATIVES])
    assert len(rows) == 5000
    assert len(rows.unique()) == len(rows)


def test_shift_and_masks_have_a_coin_of_their_own_even_under_one_at_most():
    augmentation = Augmentation(shift_p=0.5, time_mask_p=0.5, frequency_mask_p=0.5)
    effects = draw_effects(keys_of(16000), augmentation)
    speed = set(effects.speed.rows.tolist())
    for name in ("shift", "time_mask", "frequency_mask"):
        both = speed & set(getattr(effects, name).rows.tolist())
        assert abs(len(both) / len(speed) - 0.5) < 0.06


def test_without_one_at_most_effects_are_independent():
    effects = draw_effects(keys_of(8000), EVERYTHING)
    gets = np.zeros((len(NAMES), 8000))
    for row, name in zip(gets, NAMES, strict=True):
        row[getattr(effects, name).rows] = 1
    assert np.abs(np.corrcoef(gets) - np.eye(len(NAMES))).max() < 0.05


def test_a_value_and_a_place_do_not_depend_on_each_other_or_on_the_coin():
    effects = draw_effects(keys_of(8000), EVERYTHING)
    for name in NAMES:
        effect = getattr(effects, name)
        low, high = getattr(EVERYTHING, RANGES[name]) if name in RANGES else (0, 1)
        level = (effect.value.double().numpy() - low) / (high - low)
        assert kstest(level, "uniform").pvalue > 1e-3
        assert kstest(effect.place.double().numpy(), "uniform").pvalue > 1e-3
        assert abs(np.corrcoef(level, effect.place)[0, 1]) < 0.06


@settings(max_examples=30)
@given(st.floats(0.01, 1), st.floats(0, 1), st.sampled_from(sorted(RANGES)), st.integers(0, 99))
def test_values_stay_in_their_range(low, width, name, epoch):
    augmentation = replace(EVERYTHING, **{RANGES[name]: (low, min(low + width, 1.0))})
    effect = getattr(draw_effects(keys_of(200, epoch), augmentation), name)
    assert (effect.value >= torch.tensor(low)).all()
    assert (effect.value <= torch.tensor(min(low + width, 1.0))).all()
    assert ((effect.place >= 0) & (effect.place < 1)).all()


@pytest.mark.parametrize(
    ("bounds", "steps"),
    [((-1.0, 2.0), [-1, 0, 1, 2]), ((-1.5, 2.9), [-1, 0, 1, 2]), ((3.0, 3.0), [3])],
)
def test_whole_semitones_are_all_equally_likely(bounds, steps):
    whole = replace(NOTHING, pitch_p=1.0, pitch_semitones=bounds, whole_semitones=True)
    drawn = draw_effects(keys_of(8000), whole).pitch.value.numpy()
    value, count = np.unique(drawn, return_counts=True)
    assert value.tolist() == steps
    if len(steps) > 1:
        assert chisquare(count).pvalue > 1e-3


def test_whole_semitones_and_speed_that_keeps_pitch_leave_all_other_draws_as_they_were():
    both = replace(EVERYTHING, whole_semitones=True, speed_keeps_pitch=True)
    ours, plain = (by_row(draw_effects(keys_of(300), one)) for one in (both, EVERYTHING))
    assert [one for one in ours if one[0] != "pitch"] == [one for one in plain if one[0] != "pitch"]
    for mine, theirs in zip(ours, plain, strict=True):
        assert (mine[:2], mine[3]) == (theirs[:2], theirs[3])


def test_probability_one_reaches_every_window_and_zero_none():
    augmentation = replace(NOTHING, speed_p=1.0)
    effects = draw_effects(keys_of(1000), augmentation)
    assert effects.speed.rows.tolist() == list(range(1000))
    assert {name for name, *_ in by_row(effects)} == {"speed"}


def test_effects_are_a_function_of_the_key_alone():
    keys = keys_of(60)
    together = by_row(draw_effects(keys, EVERYTHING))
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    permuted = by_row(draw_effects(keys[order], EVERYTHING))
    assert sorted((name, int(order[row]), *rest) for name, row, *rest in permuted) == together
    apart = [
        (name, row + 20 * part, *rest)
        for part, some in enumerate(keys.split(20))
        for name, row, *rest in by_row(draw_effects(some, EVERYTHING))
    ]
    assert sorted(apart) == together


def test_another_epoch_draws_other_effects():
    assert by_row(draw_effects(keys_of(60), EVERYTHING)) != by_row(
        draw_effects(keys_of(60, epoch=2), EVERYTHING)
    )


def test_an_effect_that_is_switched_on_leaves_the_others_as_they_were():
    without = by_row(draw_effects(keys_of(300), replace(EVERYTHING, pitch_p=0.0)))
    everything = by_row(draw_effects(keys_of(300), EVERYTHING))
    assert [effect for effect in everything if effect[0] != "pitch"] == without


# Applying


def test_rows_without_an_effect_keep_every_bit():
    waveform = torch.from_numpy(np.random.default_rng(0).normal(size=(40, WINDOW))).float()
    effects = draw_effects(keys_of(40), replace(EVERYTHING, shift_p=0.1))
    touched = torch.cat([getattr(effects, n).rows for n in ("noise", "speed", "loudness", "shift")])
    untouched = torch.ones(40, dtype=torch.bool).index_fill_(0, touched, False)
    assert 0 < untouched.sum() < 40
    augmented = augment_waveforms(waveform.clone(), effects, NOISE)
    assert torch.equal(augmented[untouched], waveform[untouched])
    assert (augmented[~untouched] != waveform[~untouched]).any(1).all()


def test_the_order_is_speed_loudness_shift_noise():
    waveform = tone(300) + 0.3 * tone(170)
    effects = effects_on([0], speed=[1.5], loudness=[2.0], shift=[0.3], noise=[10.0])
    expected = change_speed(waveform, torch.tensor([1.5]))
    expected = change_loudness(expected, torch.tensor([2.0]), WINDOW // 5, 4 * WINDOW // 5)
    expected = shift(expected, torch.tensor([int(torch.tensor(0.3) * WINDOW)]))
    start = (len(NOISE) - WINDOW + 1) // 4
    expected = add_noise(expected, NOISE[None, start : start + WINDOW], torch.tensor([10.0]))
    torch.testing.assert_close(augment_waveforms(waveform, effects, NOISE), expected)


def test_speed_that_keeps_pitch_is_no_effect_on_waveforms():
    effects = replace(effects_on([0], speed=[1.5], shift=[0.3]), speed_keeps_pitch=True)
    shifted = augment_waveforms(tone(300), effects_on([0], shift=[0.3]), NOISE)
    assert torch.equal(augment_waveforms(tone(300), effects, NOISE), shifted)


def test_augmenting_changes_the_waveform_it_was_given():
    waveform = tone(300)
    result = augment_waveforms(waveform, effects_on([0], shift=[0.5]), NOISE)
    assert result.data_ptr() == waveform.data_ptr()
    assert result.dtype == torch.float32


def test_a_window_is_augmented_the_same_in_any_batch():
    keys = keys_of(24)
    waveform = torch.from_numpy(np.random.default_rng(1).normal(size=(24, WINDOW))).float()

    def augmented(index: Tensor) -> Tensor:
        effects = draw_effects(keys[index], EVERYTHING)
        return augment_waveforms(waveform[index], effects, NOISE)

    together = augmented(torch.arange(24))
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(augmented(order), together[order], rtol=0, atol=2e-6)
    apart = torch.cat([augmented(part) for part in torch.arange(24).split(5)])
    torch.testing.assert_close(apart, together, rtol=0, atol=2e-6)


# Noise


@pytest.mark.parametrize("amplitude", [1.0, 1e-4])
def test_noise_lies_exactly_as_far_below_the_signal_as_asked(amplitude):
    waveform = amplitude * torch.cat([tone(300), tone(900)])
    noise = NOISE[: 2 * WINDOW].view(2, WINDOW)
    snr_db = torch.tensor([10.0, 30.0])
    added = add_noise(waveform, noise, snr_db).double() - waveform.double()
    ratio = waveform.double().square().mean(1) / added.square().mean(1)
    np.testing.assert_allclose(10 * ratio.log10(), snr_db, atol=1e-2)


def test_a_silent_window_stays_silent():
    silent = torch.zeros(1, WINDOW)
    assert (add_noise(silent, NOISE[None, :WINDOW], torch.tensor([10.0])) == 0).all()


def test_the_noise_is_white_gaussian_and_always_the_same():
    assert torch.equal(NOISE, white_noise("cpu"))
    assert kstest(NOISE[::20].double().numpy(), "norm").pvalue > 1e-3
    _, power = scipy.signal.welch(NOISE.numpy(), nperseg=256)
    assert np.abs(10 * np.log10(power[2:-1] / power[2:-1].mean())).max() < 0.2


def test_every_window_has_noise_of_its_own():
    waveform = tone(300).repeat(2, 1)
    effects = effects_on([0, 1], noise=[10.0, 10.0])
    other = replace(effects, noise=replace(effects.noise, place=torch.tensor([0.25, 0.75])))
    added = augment_waveforms(waveform.clone(), other, NOISE) - waveform
    assert abs(np.corrcoef(added.numpy())[0, 1]) < 0.06


@pytest.mark.parametrize("place", [0.0, 1 - 2.0**-24])
def test_a_stretch_of_noise_may_lie_at_either_end_of_the_table(place):
    effects = effects_on([0], noise=[10.0])
    effects = replace(effects, noise=replace(effects.noise, place=torch.tensor([place])))
    stretch = NOISE[:WINDOW] if place == 0 else NOISE[-WINDOW:]
    added = augment_waveforms(tone(300), effects, NOISE) - tone(300)
    assert np.corrcoef(added.numpy()[0], stretch)[0, 1] > 0.999


# Speed


@pytest.mark.parametrize(("factor", "expected_hz"), [(2.0, 800), (1.25, 500), (0.5, 200)])
def test_speed_multiplies_a_tones_frequency(factor, expected_hz):
    played = change_speed(tone(400), torch.tensor([factor]))
    assert abs(loudest_hz(played) - expected_hz) < 2
    _, level = spectrum_of(played)
    assert abs(level.max()) < 0.1


def test_double_speed_halves_the_distance_of_clicks():
    clicks = torch.zeros(1, WINDOW)
    clicks[0, [400, 1600, 2400]] = 1
    played = change_speed(clicks, torch.tensor([2.0]))[0, : WINDOW // 2]
    peaks, _ = scipy.signal.find_peaks(played, height=0.3)
    assert peaks.tolist() == [200, 800, 1200]


def test_a_tone_that_would_pass_half_the_sample_rate_vanishes_instead_of_aliasing():
    _, level = spectrum_of(change_speed(tone(1500), torch.tensor([1.9])))
    assert level.max() < -50


@pytest.mark.parametrize("frequency_hz", [200, 600, 1000])
def test_slow_playback_makes_no_images(frequency_hz):
    frequency, level = spectrum_of(change_speed(tone(frequency_hz), torch.tensor([0.62])))
    away = np.abs(frequency - 0.62 * frequency_hz) > 20
    assert level[away].max() < -60


@pytest.mark.parametrize("factor", [0.5, 0.625, 0.8, 1.0, 1.25, 1.6, 2.0, 4.0])
@pytest.mark.parametrize("samples", [4000, 28000])
def test_speed_equals_scipys_resampling_continued_from_the_beginning(factor, samples):
    sound = band_limited(0.7 * 2000 / max(factor, 1), samples, seed=3)
    resampled = scipy.signal.resample(sound, round(samples / factor))
    expected = np.resize(resampled, samples)
    played = change_speed(torch.from_numpy(sound).float()[None], torch.tensor([factor]))[0]
    error = played.double().numpy() - expected
    assert 20 * np.log10(error.std() / expected.std()) < -50


def test_factor_one_changes_nothing_below_the_filters_edge():
    sound = torch.from_numpy(band_limited(1800, WINDOW, seed=4)).float()[None]
    played = change_speed(sound, torch.ones(1))
    assert (played - sound).std() < 10 ** (-40 / 20) * sound.std()


def test_a_time_late_in_a_long_window_is_exact():
    samples = 200_000
    played = change_speed(tone(1000, samples), torch.tensor([0.7]))[0, -4000:]
    time = float(np.float32(0.7)) * np.arange(samples - 4000, samples) / RATE_HZ
    expected = np.sin(2 * np.pi * 1000 * time)
    np.testing.assert_allclose(played, expected, atol=5e-3)


@pytest.mark.parametrize("samples", [FILTER_BLOCK + 2 * FILTER_REACH, 4001, 4030, 4031])
def test_windows_of_any_length_are_played(samples):
    constant = torch.full((2, samples), 0.5)
    played = change_speed(constant, torch.tensor([0.55, 1.87]))
    torch.testing.assert_close(played, constant, rtol=0, atol=1e-3)


def test_each_row_has_its_own_speed():
    sound = torch.from_numpy(band_limited(900, WINDOW, seed=5)).float().repeat(4, 1)
    factor = torch.tensor([0.5, 1.0, 1.3, 1.9])
    alone = [change_speed(sound[:1], one[None]) for one in factor]
    torch.testing.assert_close(change_speed(sound, factor), torch.cat(alone), rtol=0, atol=1e-5)


# Loudness


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_loudness_changes_a_stretch_by_exactly_its_factor_and_nothing_outside(factor):
    waveform = tone(300)
    first, last = 800, 3200
    changed = change_loudness(waveform, torch.tensor([factor]), first, last)
    assert torch.equal(changed[:, :first], waveform[:, :first])
    assert torch.equal(changed[:, last:], waveform[:, last:])
    inside = slice(first + LOUDNESS_EDGE, last - LOUDNESS_EDGE)
    level = 20 * (changed[:, inside].norm() / waveform[:, inside].norm()).log10()
    assert abs(level - 20 * np.log10(factor)) < 1e-4


def test_loudness_rises_and_falls_without_a_click():
    gain = change_loudness(torch.ones(1, WINDOW), torch.tensor([2.0]), 800, 3200)[0]
    step = gain.diff()
    assert (step[: WINDOW // 2] >= 0).all()
    assert (step[WINDOW // 2 :] <= 0).all()
    assert step.abs().max() < 2 / LOUDNESS_EDGE
    assert step.diff().abs().max() < 8 / LOUDNESS_EDGE**2


def test_each_row_has_its_own_loudness():
    gain = change_loudness(torch.ones(2, WINDOW), torch.tensor([2.0, 0.5]), 800, 3200)
    assert gain[:, WINDOW // 2].tolist() == [2.0, 0.5]


def test_the_released_codes_stretch_is_the_middle_three_fifths():
    gain = augment_waveforms(torch.ones(1, WINDOW), effects_on([0], loudness=[2.0]), NOISE)[0]
    changed = (gain != 1).nonzero()
    assert (int(changed[0]), int(changed[-1])) == (WINDOW // 5, 4 * WINDOW // 5 - 1)


# Shift


def test_a_shift_rolls_each_row_by_its_own_samples():
    waveform = torch.from_numpy(np.random.default_rng(6).normal(size=(4, 50))).float()
    rolled = shift(waveform, torch.tensor([0, 1, 37, 50]))
    for row, by, ours in zip(waveform.numpy(), (0, 1, 37, 50), rolled.numpy(), strict=True):
        np.testing.assert_array_equal(ours, np.roll(row, by))


def test_shifting_on_by_the_rest_of_the_window_is_the_identity():
    waveform = torch.from_numpy(np.random.default_rng(7).normal(size=(3, WINDOW))).float()
    by = torch.tensor([1, 1234, 3999])
    assert torch.equal(shift(shift(waveform, by), WINDOW - by), waveform)
