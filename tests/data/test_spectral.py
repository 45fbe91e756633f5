"""What a cycle sounds like in numbers, against librosa's own features."""

from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from cycle_rows import cycles_table
from hypothesis import given
from hypothesis import strategies as st

from respire.data.corpora.icbhi import read_catalogue
from respire.data.prepare import ERROR, NO_SOUND, by_recording, prepare_block
from respire.data.rows import FULL_SCALE, SCHEMA, WITHOUT_SPECTRAL, in_order, pick, spectral_of
from respire.data.spectral import SERIES, SPECTRAL_NAMES, STATISTICS, spectral_statistics
from respire.data.splits.by_cycle import rows_apart
from respire.features.bank import CycleBank
from respire.recipe.fields import Preprocess

RECIPE = Preprocess()
GAINED = [name for name in SERIES if name.startswith("mel band") or name == "level"]
"""Series that a louder recording moves by its gain, beside MFCC 0."""


def tone(hz: float, size: int, rate_hz: int = 4000) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(size) / rate_hz + 0.1)


def noise(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.05, size)


def named(sound: np.ndarray, rate_hz: int = 4000) -> dict[str, float]:
    return dict(zip(SPECTRAL_NAMES, spectral_statistics(sound, rate_hz).tolist(), strict=True))


def of_librosa(sound: np.ndarray, rate_hz: int, size: int, hop: int) -> dict[str, np.ndarray]:
    """Every series by librosa's own functions, by the names of SERIES."""
    feature, frames = librosa.feature, {"n_fft": size, "hop_length": hop}
    magnitude = np.abs(librosa.stft(sound, **frames, center=False, dtype=np.complex128))
    mel = feature.melspectrogram(S=magnitude**2, sr=rate_hz, n_fft=size, n_mels=32)
    bands = librosa.power_to_db(mel, top_db=None)
    spectrum = {"S": magnitude, "sr": rate_hz, "n_fft": size}
    crossings = feature.zero_crossing_rate(
        sound, frame_length=size, hop_length=hop, center=False, zero_pos=True
    )
    level = librosa.amplitude_to_db(
        feature.rms(S=magnitude, frame_length=size), top_db=None, amin=1e-5
    )
    series = [
        *bands,
        *feature.mfcc(S=bands, n_mfcc=13),
        *feature.spectral_centroid(**spectrum),
        *feature.spectral_bandwidth(**spectrum),
        *feature.spectral_rolloff(**spectrum),
        *feature.spectral_flatness(S=magnitude),
        *crossings,
        *level,
    ]
    return dict(zip(SERIES, series, strict=True))


SOUNDS = {
    "noise": (noise(10_800), 4000, 256, 64),
    "one frame and a sample less than two": (noise(319), 4000, 256, 64),
    "a tone in noise": (tone(437, 5000) + noise(5000, 1), 4000, 256, 64),
    "a rising tone": (
        0.5 * np.sin(np.cumsum(np.linspace(0.3, 2, 6000))) + noise(6000) / 50,
        4000,
        256,
        64,
    ),
    "noise at 8 kHz": (noise(9000), 8000, 512, 128),
    "noise at 22.05 kHz": (noise(30_000), 22_050, 1411, 353),
    "half of it silent": (np.append(noise(4000), np.zeros(4000)), 4000, 256, 64),
}


@pytest.mark.parametrize("case", SOUNDS)
def test_every_number_is_a_statistic_of_librosas_series(case: str) -> None:
    sound, rate_hz, size, hop = SOUNDS[case]
    frames = pd.DataFrame(of_librosa(sound, rate_hz, size, hop))
    assert len(frames) == 1 + (len(sound) - size) // hop
    steps = frames.diff().iloc[1:]
    expected = pd.DataFrame(
        {
            "mean": frames.mean(),
            "SD": frames.std(ddof=0),
            "10th percentile": frames.quantile(0.1),
            "median": frames.median(),
            "90th percentile": frames.quantile(0.9),
            "mean absolute step": steps.abs().mean(),
            "SD of steps": steps.std(ddof=0),
        }
    ).fillna(0)  # of a single frame there are no steps
    ours = named(sound, rate_hz)
    assert len(ours) == 357
    for series in SERIES:
        for statistic in STATISTICS:
            value = ours[f"{series}, {statistic}"]
            theirs = expected.loc[series, statistic]
            assert value == pytest.approx(theirs, rel=1e-4, abs=1e-4), f"{series}, {statistic}"


@given(st.sampled_from([0.25, 0.5, 2.0, 4.0]), st.integers(0, 99), st.integers(300, 3000))
def test_a_gain_moves_levels_by_itself_and_nothing_else(gain: float, seed: int, size: int) -> None:
    before, after = named(noise(size, seed)), named(gain * noise(size, seed))
    gain_db = 20 * np.log10(gain)
    for name in SPECTRAL_NAMES:
        series, statistic = name.split(", ")
        moved = 0.0
        if statistic in ("mean", "10th percentile", "median", "90th percentile"):
            moved = gain_db * ((series in GAINED) + np.sqrt(32) * (series == "MFCC 0"))
        assert after[name] - before[name] == pytest.approx(moved, abs=2e-3), name


@pytest.mark.parametrize("hz", [150, 440, 1000, 1700])
def test_a_tones_centroid_and_crossings_say_its_frequency(hz: float) -> None:
    numbers = named(tone(hz, 8000))
    assert numbers["centroid, mean"] == pytest.approx(hz, rel=0.03)
    assert numbers["zero-crossing rate, mean"] * 4000 / 2 == pytest.approx(hz, rel=0.03)
    assert numbers["level, SD"] < 0.1
    assert numbers["flatness, mean"] < 0.01 < named(noise(8000))["flatness, mean"]


@pytest.mark.parametrize("size", [1, 10, 255, 256, 257, 320, 5000])
@pytest.mark.parametrize("sound", [np.zeros, np.ones, noise], ids=["silent", "constant", "noise"])
def test_all_numbers_are_finite_however_silent_or_short_the_cycle(sound, size: int) -> None:
    numbers = spectral_statistics(sound(size), 4000)
    assert numbers.shape == (357,)
    assert numbers.dtype == np.float32
    assert np.isfinite(numbers).all()


def test_a_cycle_shorter_than_a_frame_is_filled_with_zeros() -> None:
    short = noise(100)
    np.testing.assert_array_equal(
        spectral_statistics(short, 4000), spectral_statistics(np.pad(short, (0, 156)), 4000)
    )


@pytest.fixture(scope="module")
def catalogue(corpus: Path) -> pd.DataFrame:
    cycles = read_catalogue(str(corpus)).cycles
    return cycles[cycles["recording"].isin(cycles["recording"].unique()[:6])]


def test_the_numbers_are_those_of_the_kept_samples_in_whatever_blocks(
    catalogue: pd.DataFrame,
) -> None:
    rows = by_recording(catalogue)
    whole = prepare_block(rows, RECIPE)
    apart = [prepare_block(rows.slice(row, 1), RECIPE) for row in range(len(rows))]
    assert whole.drop_columns([ERROR.name, NO_SOUND.name]).schema.equals(SCHEMA)
    assert pa.concat_tables(apart).equals(whole)
    bank = CycleBank.from_table(whole, "4-class")
    numbers = spectral_of(whole)
    assert numbers.shape == (len(catalogue), 357)
    for index in range(len(bank)):
        first, length = int(bank.first[index]), int(bank.length[index])
        sound = bank.audio[first : first + length].numpy() / FULL_SCALE
        np.testing.assert_array_equal(numbers[index], spectral_statistics(sound, 4000))


def test_where_only_audio_is_needed_they_are_left_out(catalogue: pd.DataFrame) -> None:
    rows = by_recording(catalogue)
    without = prepare_block(rows, RECIPE, spectral=False)
    assert without.drop_columns([ERROR.name, NO_SOUND.name]).schema.equals(WITHOUT_SPECTRAL)
    assert without.equals(prepare_block(rows, RECIPE).drop_columns("spectral"))


def test_a_recording_that_cannot_be_read_has_none_and_says_why(catalogue: pd.DataFrame) -> None:
    of_it = catalogue["recording"] == catalogue["recording"].iloc[0]
    lost = catalogue.assign(audio=catalogue["audio"].mask(of_it, "nowhere.wav"))
    bad, *good = prepare_block(by_recording(lost), RECIPE).to_pylist()
    assert bad["spectral"] == []
    assert "nowhere.wav" in bad[ERROR.name]
    assert all(len(row["spectral"]) == len(row["cycle"]) for row in good)


def test_they_stay_with_their_cycles_wherever_the_rows_go() -> None:
    table = cycles_table([[400, 300], [500], [300, 600, 350]])
    numbers = spectral_of(table)
    assert numbers.shape == (6, 357)
    np.testing.assert_array_equal(spectral_of(table.slice(1)), numbers[2:])
    scattered = pick(table, [2, 0])
    np.testing.assert_array_equal(spectral_of(scattered), numbers[[3, 4, 5, 0, 1]])
    np.testing.assert_array_equal(spectral_of(in_order(scattered)), numbers[[0, 1, 3, 4, 5]])
    joined = pa.concat_tables([table.slice(2), table.slice(0, 2)])
    np.testing.assert_array_equal(spectral_of(joined), numbers[[3, 4, 5, 0, 1, 2]])
    apart = rows_apart(joined)
    np.testing.assert_array_equal(spectral_of(apart), numbers[[3, 4, 5, 0, 1, 2]])
    np.testing.assert_array_equal(spectral_of(pick(apart, [4, 1])), numbers[[1, 4]])
