"""Synthetic lung sounds: a patient's breath, crackles and wheezes as a microphone hears them.

Crackles and wheezes follow the durations and frequencies given by the CORSA guidelines (Sovijarvi
et al. 2000).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.signal.windows import tukey


@dataclass(frozen=True)
class Microphone:
    """A recording device, its sound and its share of the corpus.

    Attributes:
        rate_hz: sample rate of its recordings. The published 44.1 kHz would only cost time here.
        response: (Hz, dB) points of its frequency response, interpolated over log frequency.
        floor_db: level of its own noise, relative to the breath at its loudest.
        patients: ICBHI's patients on this device, out of 130.
        recordings: ICBHI's recordings on this device, out of 920.
        cycles: ICBHI's cycles on this device by class: normal, crackle, wheeze, both.
        mode: "sc" for single-channel recordings, "mc" for multi-channel ones.
    """

    rate_hz: int
    response: tuple[tuple[float, float], ...]
    floor_db: float
    patients: int
    recordings: int
    cycles: tuple[int, int, int, int]
    mode: str


MICROPHONES = {
    "AKGC417L": Microphone(
        rate_hz=10_000,
        response=((50, 0), (300, 0), (1000, 3), (2000, 2)),
        floor_db=-34,
        patients=32,
        recordings=646,
        cycles=(1922, 1543, 500, 381),
        mode="mc",
    ),
    "Meditron": Microphone(
        rate_hz=8_000,
        response=((50, -8), (150, 0), (500, 2), (1000, -1), (2000, -4)),
        floor_db=-40,
        patients=64,
        recordings=127,
        cycles=(1037, 215, 148, 56),
        mode="sc",
    ),
    "LittC2SE": Microphone(
        rate_hz=11_025,
        response=((50, 4), (200, 2), (600, -2), (1200, -5), (2000, -9)),
        floor_db=-37,
        patients=23,
        recordings=87,
        cycles=(347, 77, 126, 44),
        mode="mc",
    ),
    "Litt3200": Microphone(
        rate_hz=4_000,
        response=((50, -4), (150, 2), (400, 1), (1300, -2), (1400, -6), (1500, -90)),
        floor_db=-44,
        patients=11,
        recordings=60,
        cycles=(336, 29, 112, 25),
        mode="sc",
    ),
}


@dataclass(frozen=True)
class Patient:
    """What stays the same over a patient's recordings.

    Attributes:
        number: ICBHI-like patient number.
        device: name of the device all of the patient's recordings are made with.
        cycle_s: median length of a breathing cycle.
        inspiration: share of a cycle that is inspiration.
        slope_db: fall of the breath's spectrum per octave above 200 Hz.
        fine: probability that a cycle's crackles are fine ones.
        wheeze_hz: median pitch of the wheezes.
        classes: probability of each class [4].
    """

    number: int
    device: str
    cycle_s: float
    inspiration: float
    slope_db: float
    fine: float
    wheeze_hz: float
    classes: np.ndarray


def breath(
    patient: Patient, starts_s: np.ndarray, ends_s: np.ndarray, time_s: np.ndarray
) -> np.ndarray:
    """Loudness of the breath: a bump for inspiration, a softer one for expiration, a pause.

    Of cycles that start and end at [c] seconds, at instants [n]: float64 [n] in (0, 1].
    """
    cycle = np.clip(np.searchsorted(starts_s, time_s, "right") - 1, 0, len(starts_s) - 1)
    phase = np.clip((time_s - starts_s[cycle]) / (ends_s - starts_s)[cycle], 0, 1)
    turn, pause = patient.inspiration, 0.92
    inspiration = np.sin(np.pi * np.clip(phase / turn, 0, 1))
    expiration = 0.6 * np.sin(np.pi * np.clip((phase - turn) / (pause - turn), 0, 1))
    return np.maximum(np.maximum(inspiration, expiration), 0.08)


def crackle(frequency_hz: float, duration_s: float, rate_hz: int) -> np.ndarray:
    """A damped oscillation, float64 [duration_s * rate_hz], down to 5% at its end."""
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    return np.exp(-3 * time_s / duration_s) * np.sin(2 * np.pi * frequency_hz * time_s)


def wheeze(frequency_hz: float, duration_s: float, rate_hz: int, glide: float = 0.0) -> np.ndarray:
    """A tone with two harmonics, float64 [duration_s * rate_hz]; over 80 ms to count as a wheeze.

    It has the pitch at its middle; ``glide`` is the pitch's relative change from start to end.
    """
    samples = round(duration_s * rate_hz)
    pitch_hz = frequency_hz * (1 + glide * (np.arange(samples) / samples - 0.5))
    phase = 2 * np.pi * np.cumsum(pitch_hz) / rate_hz
    harmonics = np.arange(1, 4)
    amplitudes = np.where(harmonics * frequency_hz < 0.45 * rate_hz, 0.35 ** (harmonics - 1), 0)
    return tukey(samples, 0.3) * (amplitudes @ np.sin(np.outer(harmonics, phase)))


def record(
    patient: Patient, cycles: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One recording of a patient, float64 [n] in (-1, 1) at the device's rate.

    And its cycles' starts and ends in seconds, to the millisecond [cycles], and classes [cycles].
    """
    microphone = MICROPHONES[patient.device]
    rate_hz = microphone.rate_hz
    # Heavy tails: ICBHI's annotators also marked sighs, and cycles cut short.
    lengths_s = np.clip(patient.cycle_s * np.exp(0.2 * rng.standard_t(3, cycles)), 0.2, 16)
    bounds_s = (rng.uniform(0, 1) + np.concatenate([[0], np.cumsum(lengths_s)])).round(3)
    starts_s, ends_s = bounds_s[:-1], bounds_s[1:]
    labels = rng.choice(4, cycles, p=patient.classes)
    samples = round((ends_s[-1] + rng.uniform(0.05, 0.5)) * rate_hz)

    noise = _shape(rng.standard_normal(samples), rate_hz, _timbre(patient))
    noise /= noise.std()
    effort = np.exp(rng.normal(0, 0.25))
    sound = effort * noise * breath(patient, starts_s, ends_s, np.arange(samples) / rate_hz)
    for start_s, length_s, label in zip(starts_s, ends_s - starts_s, labels, strict=True):
        for onset_s, event in _events(patient, start_s, length_s, int(label), rate_hz, rng):
            first = round(onset_s * rate_hz)
            sound[first : first + len(event)] += event[: samples - first]
    sound += 10 ** (microphone.floor_db / 20) * rng.standard_normal(samples)
    heard = _shape(sound, rate_hz, microphone.response)
    return heard * (rng.uniform(0.3, 0.9) / np.abs(heard).max()), starts_s, ends_s, labels


def _events(
    patient: Patient,
    start_s: float,
    length_s: float,
    label: int,
    rate_hz: int,
    rng: np.random.Generator,
) -> Iterator[tuple[float, np.ndarray]]:
    """Onsets in seconds and sounds of a cycle's crackles and wheezes, scaled to the breath."""
    if label in (1, 3):
        # Fine crackles come late in inspiration, coarse ones early and in expiration too.
        fine = rng.random() < patient.fine
        earliest, latest = (0.3 * patient.inspiration, patient.inspiration) if fine else (0.05, 0.7)
        loudness = np.exp(rng.normal(np.log(5 if fine else 4), 0.25))
        for onset in np.sort(rng.uniform(earliest, latest, 6 + rng.poisson(5))):
            if fine:
                event = crackle(rng.normal(650, 40), rng.normal(0.005, 0.0005), rate_hz)
            else:
                event = crackle(rng.uniform(100, 500), rng.normal(0.015, 0.0015), rate_hz)
            yield start_s + onset * length_s, loudness * rng.uniform(0.6, 1.4) * event
    if label in (2, 3):
        loudness = np.exp(rng.normal(np.log(0.65), 0.3))
        for _ in range(rng.integers(1, 3)):
            duration_s = np.clip(rng.uniform(0.25, 1.2), 0.1, 0.8 * length_s)
            pitch_hz = np.clip(patient.wheeze_hz * np.exp(rng.normal(0, 0.25)), 130, 900)
            onset_s = rng.uniform(0.05 * length_s, 0.95 * length_s - duration_s)
            event = wheeze(pitch_hz, duration_s, rate_hz, glide=rng.normal(0, 0.08))
            yield start_s + onset_s, loudness * event


def _timbre(patient: Patient) -> tuple[tuple[float, float], ...]:
    """(Hz, dB) points of the breath's spectrum: flat to 200 Hz, then falling."""
    return ((60, -6), (100, 0), (200, 0), (3200, -4 * patient.slope_db))


def _shape(
    sound: np.ndarray, rate_hz: int, response: tuple[tuple[float, float], ...]
) -> np.ndarray:
    """Filter with a frequency response, without phase."""
    frequencies_hz, gains_db = np.array(response).T
    size = fft.next_fast_len(len(sound), real=True)
    bins_hz = fft.rfftfreq(size, 1 / rate_hz)
    gain_db = np.interp(np.log(np.maximum(bins_hz, 1)), np.log(frequencies_hz), gains_db)
    return fft.irfft(fft.rfft(sound, size) * 10 ** (gain_db / 20), size)[: len(sound)]
