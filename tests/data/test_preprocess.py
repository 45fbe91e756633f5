import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st
from mono import read_audio
from pyarrow import fs
from scipy.signal import csd, welch

from respire.data.audio import read_header
from respire.data.preprocess import preprocess, slice_cycles
from respire.errors import InputError
from respire.recipe.fields import Preprocess

REAL = Path(__file__).resolve().parents[3] / "shared/data"
ORIGINALS = sorted((REAL / "icbhi_original").glob("*.wav"))
RECIPE = Preprocess()


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_format_and_channel_count_reads_as_the_mean_channel(
    tmp_path: Path, subtype: str, channels: int
) -> None:
    written = np.stack([noise(500, seed) for seed in range(channels)], axis=1)
    sf.write(tmp_path / "a.wav", written, 11_025, subtype)
    audio, rate = read_audio(str(tmp_path / "a.wav"))
    assert rate == 11_025
    assert audio.dtype == np.float32
    np.testing.assert_allclose(audio, written.mean(axis=1), atol=2**-15)


def test_a_uri_reads_as_its_path_does(tmp_path: Path) -> None:
    sf.write(tmp_path / "a.flac", noise(500), 4000)
    by_path, _ = read_audio(str(tmp_path / "a.flac"))
    by_uri, _ = read_audio((tmp_path / "a.flac").as_uri())
    np.testing.assert_array_equal(by_path, by_uri)


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.95])
def test_a_torn_file_is_refused(tmp_path: Path, name: str, kept: float) -> None:
    file = tmp_path / name
    sf.write(file, noise(40_000), 4000)
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputError, match=name):
        read_audio(str(file))


def test_a_wav_written_to_a_pipe_reads_whole(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    sf.write(buffer, noise(500), 4000, format="WAV")
    streamed = bytearray(buffer.getvalue())
    size_of_data = streamed.index(b"data") + 4
    for unknown in (4, size_of_data):
        streamed[unknown : unknown + 4] = struct.pack("<I", 0xFFFFFFFF)
    (tmp_path / "a.wav").write_bytes(streamed)
    assert read_header(fs.LocalFileSystem(), str(tmp_path / "a.wav")) == (500 / 4000, 4000)
    assert len(read_audio(str(tmp_path / "a.wav"))[0]) == 500


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "decodable"), (b"not audio", "decodable"), (None, "cannot be read")],
)
def test_what_is_no_audio_is_refused(tmp_path: Path, content: bytes | None, words: str) -> None:
    file = tmp_path / "a.wav"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=words) as refused:
        read_audio(str(file))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    audio = noise(100)
    audio[50] = value
    sf.write(tmp_path / "a.wav", audio, 4000, "FLOAT")
    with pytest.raises(InputError, match="not finite"):
        read_audio(str(tmp_path / "a.wav"))


def test_a_recording_without_samples_is_refused(tmp_path: Path) -> None:
    sf.write(tmp_path / "a.wav", np.empty(0, np.float32), 4000)
    with pytest.raises(InputError, match="no samples"):
        read_audio(str(tmp_path / "a.wav"))


@given(
    samples=st.integers(1, 3000),
    rate=st.sampled_from([4000, 8000, 11_025, 44_100]),
    gain=st.floats(1e-4, 1),
    offset=st.floats(-0.5, 0.5),
)
@settings(max_examples=25)
def test_every_recording_comes_out_at_the_target_rate_strictly_inside_one(
    samples: int, rate: int, gain: float, offset: float
) -> None:
    audio = preprocess(gain * noise(samples) + np.float32(offset), rate, RECIPE)
    assert audio.dtype == np.float32
    assert abs(len(audio) - samples * 4000 / rate) <= 1
    assert np.isfinite(audio).all()
    assert (np.abs(audio) < 1).all()


@pytest.mark.parametrize("level", [0.0, 0.25])
def test_a_silent_recording_stays_silent(level: float) -> None:
    assert not preprocess(np.full(1000, level, np.float32), 44_100, RECIPE).any()


@pytest.mark.parametrize("rate", [4000, 44_100])
def test_the_level_of_a_recording_does_not_matter(rate: int) -> None:
    audio = noise(rate)
    np.testing.assert_allclose(
        preprocess(audio, rate, RECIPE), preprocess(audio / 8, rate, RECIPE), atol=1e-6
    )


@pytest.mark.parametrize(
    ("hertz", "gain_db"), [(25, -30.2), (50, -3.01), (200, 0), (1000, 0), (1950, -3.01)]
)
def test_the_band_pass_is_a_butterworth_of_fifth_order(hertz: float, gain_db: float) -> None:
    """An analogue 5th-order band-pass, mapped by the bilinear transform, is the reference."""
    low, high, at = np.tan(np.pi * np.array([50, 1950, hertz]) / 4000)
    expected = -10 * np.log10(1 + ((at**2 - low * high) / (at * (high - low))) ** 10)
    assert expected == pytest.approx(gain_db, abs=0.5)
    impulse = np.zeros(80_000)
    impulse[10] = 1
    spectrum = np.abs(np.fft.rfft(preprocess(impulse, 4000, RECIPE)))
    hz = np.fft.rfftfreq(80_000, 1 / 4000)
    reference = spectrum[np.abs(hz - 600).argmin()]
    measured = 20 * np.log10(spectrum[np.abs(hz - hertz).argmin()] / reference)
    assert measured == pytest.approx(expected, abs=0.05)


def test_nothing_of_a_click_appears_before_it() -> None:
    click = np.zeros(4000, np.float32)
    click[2000] = 1
    heard = np.abs(preprocess(click, 4000, RECIPE))
    assert heard[:2000].max() < 0.01
    assert abs(int(heard.argmax()) - 2000) <= 2


@given(lengths=st.lists(st.integers(1, 400), min_size=1, max_size=12), gap=st.integers(0, 50))
@settings(max_examples=40)
def test_cycles_are_cut_at_their_annotations_and_quantised(lengths: list[int], gap: int) -> None:
    starts = gap + np.concatenate([[0], np.cumsum(lengths)[:-1]])
    ends = starts + lengths
    audio = np.clip(noise(int(ends[-1]) + 7), -0.999, 0.999)
    joined, samples = slice_cycles(audio, starts / 4000, ends / 4000, 4000)
    assert samples.dtype == np.int32
    assert samples.tolist() == lengths
    assert joined.dtype == np.int16
    np.testing.assert_allclose(joined / 32767, audio[gap : ends[-1]], atol=0.5 / 32767 + 1e-9)


def test_a_cycle_beyond_the_end_is_refused_by_row() -> None:
    with pytest.raises(InputError, match=r"row 2: the cycle 0\.5-1\.1 s"):
        slice_cycles(noise(4000), [0.0, 0.5], [0.5, 1.1], 4000)


def test_rounding_past_the_end_is_clipped() -> None:
    _, samples = slice_cycles(noise(4000), [0.0, 0.5], [0.5, 1.002], 4000)
    assert samples.tolist() == [2000, 2000]


def test_the_shortest_cycle_still_has_a_sample() -> None:
    _, samples = slice_cycles(noise(4000), [0.0, 0.5], [0.00001, 0.50001], 4000)
    assert samples.tolist() == [1, 1]


def test_a_cycle_that_starts_at_the_end_is_refused() -> None:
    with pytest.raises(InputError, match="row 1"):
        slice_cycles(noise(4000), [1.0], [1.001], 4000)


def test_a_cycle_of_a_recording_shorter_than_a_sample_is_refused() -> None:
    audio = preprocess(noise(1), 11_025, RECIPE)
    assert len(audio) == 0
    with pytest.raises(InputError, match="row 1"):
        slice_cycles(audio, [0.0], [0.0001], 4000)


@pytest.mark.skipif(not ORIGINALS, reason="no original ICBHI recordings beside the repository")
@pytest.mark.parametrize("original", ORIGINALS, ids=lambda path: path.stem)
def test_originals_and_their_4_khz_copies_have_one_spectrum(original: Path) -> None:
    """After one gain, 150-1,900 Hz agree to 0.3 dB wherever the 16-bit copy is not its own noise.

    The copy's quantisation lies above the quietest frequencies of some recordings; there (coherence
    below .99) levels say nothing. At least 40% of the band is compared in every file.
    """
    copy = REAL / "icbhi/audio_and_txt_files" / f"{original.stem}.flac"
    ours, theirs = (preprocess(*read_audio(str(file)), RECIPE) for file in (original, copy))
    assert abs(len(ours) - len(theirs)) <= 2
    samples = min(len(ours), len(theirs))
    pair = ours[:samples], theirs[:samples]
    how = {"fs": 4000, "nperseg": 512, "noverlap": 384, "window": "blackmanharris"}
    hz, cross = csd(*pair, **how)
    power, power_of_copy = (welch(audio, **how)[1] for audio in pair)
    coherent = np.abs(cross) ** 2 / (power * power_of_copy) > 0.99
    band = (hz >= 150) & (hz <= 1900)
    assert coherent[band].mean() >= 0.4
    transfer = (cross / power)[band & coherent]
    level_db = 20 * np.log10(np.abs(transfer))
    assert np.abs(level_db - np.median(level_db)).max() <= 0.3
    # No delay either: annotations must fit both.
    delay_s = np.angle(transfer / np.sign(np.median(transfer.real))) / (
        2 * np.pi * hz[band & coherent]
    )
    assert np.abs(np.median(delay_s)) < 0.5 / 4000


def test_without_band_pass_a_heartbeat_stays_and_with_it_goes() -> None:
    rumble = (0.5 * np.sin(2 * np.pi * 20 * np.arange(8000) / 4000)).astype(np.float32)
    raw = preprocess(rumble, 4000, Preprocess(band_pass=False, normalise=False))
    np.testing.assert_allclose(raw, rumble, atol=1e-6)
    filtered = preprocess(rumble, 4000, Preprocess(normalise=False))
    assert np.abs(filtered[2000:]).max() < 0.01


def test_without_normalisation_the_level_stays_and_never_leaves_full_scale() -> None:
    quiet = noise(4000) * 0.01
    as_recorded = Preprocess(band_pass=False, normalise=False)
    assert np.abs(preprocess(quiet, 4000, as_recorded)).max() < 0.01
    assert np.abs(preprocess(quiet, 4000, Preprocess(band_pass=False))).max() == pytest.approx(
        0.999
    )
    square = np.sign(np.sin(2 * np.pi * 300 * np.arange(44_100) / 44_100)).astype(np.float32)
    assert np.abs(preprocess(square, 44_100, as_recorded)).max() == 1


@pytest.mark.parametrize(("start", "end"), [(0.5, 0.2), (0.5, 0.5), (-0.1, 0.5)])
def test_what_is_no_stretch_of_time_is_refused(start: float, end: float) -> None:
    with pytest.raises(InputError, match=r"annotation row 2: .* is no stretch of time"):
        slice_cycles(noise(4000), [0.0, start], [0.5, end], 4000)
