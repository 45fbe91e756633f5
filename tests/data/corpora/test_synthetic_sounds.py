import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import welch

from respire.data.corpora.synthetic_sounds import MICROPHONES, Patient, crackle, record, wheeze


def patient(device: str, classes: tuple[float, ...] = (0.25, 0.25, 0.25, 0.25)) -> Patient:
    return Patient(
        number=101,
        device=device,
        cycle_s=2.5,
        inspiration=0.4,
        slope_db=6,
        fine=1.0,
        wheeze_hz=400,
        classes=np.array(classes),
    )


def strongest_hz(sound: np.ndarray, rate_hz: int) -> float:
    spectrum = np.abs(np.fft.rfft(sound, 2**15))
    return float(np.fft.rfftfreq(2**15, 1 / rate_hz)[spectrum.argmax()])


@given(hertz=st.floats(600, 700), rate_hz=st.sampled_from([4000, 10_000]))
@settings(max_examples=30)
def test_a_fine_crackle_peaks_at_its_frequency_and_dies_in_5_ms(hertz: float, rate_hz: int) -> None:
    sound = crackle(hertz, 0.005, rate_hz)
    assert len(sound) == 0.005 * rate_hz
    assert strongest_hz(sound, rate_hz) == pytest.approx(hertz, rel=0.1)
    assert np.abs(sound[-len(sound) // 5 :]).max() < 0.15


@given(hertz=st.floats(200, 500))
@settings(max_examples=30)
def test_a_coarse_crackle_peaks_at_its_frequency_and_lasts_15_ms(hertz: float) -> None:
    sound = crackle(hertz, 0.015, 8000)
    assert len(sound) == 120
    assert strongest_hz(sound, 8000) == pytest.approx(hertz, rel=0.1)


@given(hertz=st.floats(100, 900), seconds=st.floats(0.1, 1.2), rate=st.sampled_from([4000, 10_000]))
@settings(max_examples=30)
def test_a_wheeze_is_a_tone_with_harmonics(hertz: float, seconds: float, rate: int) -> None:
    sound = wheeze(hertz, seconds, rate)
    assert len(sound) == round(seconds * rate)
    assert strongest_hz(sound, rate) == pytest.approx(hertz, abs=1.5 / seconds)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    hz = np.fft.rfftfreq(len(sound), 1 / rate)
    harmonic = spectrum[np.abs(hz - 2 * hertz).argmin()]
    between = spectrum[np.abs(hz - 1.5 * hertz).argmin()]
    if 2 * hertz < 0.45 * rate and hertz * seconds > 12:
        assert harmonic > 3 * between


def test_only_the_litt3200_is_blank_above_1500_hz() -> None:
    drop_db = {}
    for device, microphone in MICROPHONES.items():
        audio, *_ = record(patient(device), 6, np.random.default_rng(0))
        hz, power = welch(audio, microphone.rate_hz, nperseg=1024, window="blackmanharris")
        heard = np.median(power[(hz > 150) & (hz < 1000)])
        drop_db[device] = 10 * np.log10(heard / np.median(power[(hz > 1600) & (hz < 1900)]))
    assert drop_db.pop("Litt3200") > 60
    assert max(drop_db.values()) < 45


@pytest.mark.parametrize(
    ("classes", "transients", "tones"),
    [((1, 0, 0, 0), False, False), ((0, 1, 0, 0), True, False), ((0, 0, 1, 0), False, True)],
)
def test_recordings_hold_the_sounds_their_labels_name(
    classes: tuple[float, ...], transients: bool, tones: bool
) -> None:
    audio, _, _, labels = record(patient("AKGC417L", classes), 12, np.random.default_rng(1))
    assert set(labels) == {int(np.argmax(classes))}
    frames = audio[: len(audio) // 500 * 500].reshape(-1, 500)  # of 50 ms
    crest = np.abs(frames).max(1) / frames.std(1)
    assert (np.quantile(crest, 0.95) > 5) == transients
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(500)))[:, 7:45] ** 2  # 140-900 Hz
    peakiness = spectrum.max(1) / np.median(spectrum, 1)
    assert (np.quantile(peakiness, 0.9) > 35) == tones
