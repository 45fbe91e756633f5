"""One sample at a time from cycles to an image, as everybody else does: the pipeline's oracle.

Written after the paper and the released code with librosa, NumPy, SciPy and matplotlib; from the
package it takes the recipe and nothing else, and it draws nothing: whoever calls says what chance
decided (``Sample``). Tests compare the pipeline's images with its own; the benchmark its speed
(loader.py). So nothing is done clumsily: filters, palette and the shares of a resizing are computed
once, and single precision stays single.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import librosa
import matplotlib
import numpy as np
import scipy.ndimage

from respire.labels import NORMAL
from respire.recipe.fields import Features, Padding
from respire.recipe.recipe import Recipe

COLOUR_MAPS = {"magma": "magma", "grey": "gray"}
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406])
IMAGENET_STD = np.array([0.229, 0.224, 0.225])


@dataclass(frozen=True)
class Entry:
    """A cycle, or one window of a cycle that is too long.

    Attributes:
        audio: float [n] in (-1, 1); what is made of it has its precision.
        label: its class.
        before: index of the entry just before in the same recording, None where there is none.
        after: index of the entry just after.
    """

    audio: np.ndarray
    label: int
    before: int | None
    after: int | None


@dataclass(frozen=True)
class Sample:
    """One window, and everything that chance decided about it; an effect it lacks is None.

    Attributes:
        label: its class.
        made_of: indices of the entries it starts with: one, or two that CBA joined.
        takes_before: smart padding's coin for each cycle of the window, the first one's included.
        ends_with_cycle: the coin of "repeat-either-side".
        speed: above 1 is faster.
        loudness: factor of the amplitude.
        shift: samples by which all is later.
        noise: white noise [T].
        noise_snr_db: its level.
        pitch_semitones: shift upwards.
        vtlp: warp of the frequencies below the knee.
        time_mask: first masked frame, and how many.
        frequency_mask: first masked row, and how many.
    """

    label: int
    made_of: tuple[int, ...]
    takes_before: Sequence[bool] | np.ndarray = ()
    ends_with_cycle: bool = False
    speed: float | None = None
    loudness: float | None = None
    shift: int | None = None
    noise: np.ndarray | None = None
    noise_snr_db: float | None = None
    pitch_semitones: float | None = None
    vtlp: float | None = None
    time_mask: tuple[int, int] | None = None
    frequency_mask: tuple[int, int] | None = None


def windows_of(entries: Sequence[Entry], window: int) -> list[Entry]:
    """Long cycles cut into frames that overlap by half, and what is left (released code)."""
    hop = window // 2

    def pieces(cycle: np.ndarray) -> list[np.ndarray]:
        full = 0 if len(cycle) <= window else 1 + (len(cycle) - window) // hop
        return [*(cycle[frame * hop :][:window] for frame in range(full)), cycle[full * hop :]]

    audio = [pieces(entry.audio) for entry in entries]
    first = np.cumsum([0, *map(len, audio)]).tolist()
    return [
        Entry(
            piece,
            entry.label,
            None if entry.before is None else first[entry.before + 1] - 1,
            None if entry.after is None else first[entry.after],
        )
        for entry, of_cycle in zip(entries, audio, strict=True)
        for piece in of_cycle
    ]


def training_image(entries: Sequence[Entry], sample: Sample, recipe: Recipe) -> np.ndarray:
    """One training sample's image, float32 [3, H, W]; entries are all cycles, or all windows."""
    features, rate_hz = recipe.features, recipe.preprocess.sample_rate_hz
    sound = fill_window(entries, sample, features.samples(rate_hz), features.padding)
    decibels = decibels_of(augmented(sound, sample, recipe), sample, recipe)
    return image_of(masked(clip_blank_region(shades(decibels), features), sample), features)


def evaluation_image(entries: Sequence[Entry], sample: Sample, recipe: Recipe) -> np.ndarray:
    """One evaluation sample's image: of what chance decided, the padding alone plays a part."""
    shade = shades(evaluation_decibels(entries, sample, recipe))
    return image_of(clip_blank_region(shade, recipe.features), recipe.features)


def evaluation_decibels(entries: Sequence[Entry], sample: Sample, recipe: Recipe) -> np.ndarray:
    """One evaluation sample's log-mel spectrogram, float64 [M, F], low frequencies first."""
    window = recipe.features.samples(recipe.preprocess.sample_rate_hz)
    sound = fill_window(entries, sample, window, recipe.features.evaluation_padding)
    return decibels_of(sound, Sample(sample.label, sample.made_of), recipe)


def fill_window(
    entries: Sequence[Entry], sample: Sample, window: int, padding: Padding
) -> np.ndarray:
    """Join cycles until the window is full, and cut (paper 2.1; released code)."""
    cycles = [entries[index].audio for index in sample.made_of]
    lead = np.concatenate(cycles)
    if padding == "zero":
        return np.concatenate([lead, np.zeros(window, lead.dtype)])[:window]
    if padding == "reflect":
        return np.resize(np.concatenate([lead, lead[::-1]]), window)
    if padding == "repeat-either-side" and sample.ends_with_cycle and len(lead) < window:
        return np.resize(lead[::-1], window)[::-1]
    if padding in ("repeat", "repeat-either-side"):
        return np.resize(lead, window)
    last = entries[sample.made_of[-1]]
    while sum(map(len, cycles)) < window:
        neighbour = last.before if sample.takes_before[len(cycles)] else last.after
        beside = last if neighbour is None else entries[neighbour]
        cycles.append((beside if beside.label in (sample.label, NORMAL) else last).audio)
    return np.concatenate(cycles)[:window]


def augmented(sound: np.ndarray, sample: Sample, recipe: Recipe) -> np.ndarray:
    """What the sample has of speed that changes pitch, loudness, shift and noise, in this order."""
    if sample.speed is not None and not recipe.augmentation.speed_keeps_pitch:
        sound = played(sound, sample.speed)
    if sample.loudness is not None:
        sound = sound * loudness_of(len(sound), sample.loudness, recipe.preprocess.sample_rate_hz)
    if sample.shift is not None:
        sound = np.roll(sound, sample.shift)
    if sample.noise is not None and sample.noise_snr_db is not None:
        ratio = np.linalg.norm(sound) / np.linalg.norm(sample.noise)
        sound = sound + sample.noise * (ratio * sound.dtype.type(10 ** (-sample.noise_snr_db / 20)))
    return sound


def played(sound: np.ndarray, speed: float) -> np.ndarray:
    """Played faster or slower, and again from its own beginning where it runs out.

    An ideal low-pass keeps what stays below half the sample rate; times between samples are read
    from a fourfold oversampled copy by a spline.
    """
    spectrum = np.fft.rfft(sound)
    spectrum[np.fft.rfftfreq(len(sound)) * speed > 0.5] = 0
    fine = 4 * np.fft.irfft(spectrum, 4 * len(sound))
    times = np.arange(len(sound)) * speed % len(sound)
    return scipy.ndimage.map_coordinates(fine, [4 * times], order=3, mode="grid-wrap")


def loudness_of(samples: int, factor: float, rate_hz: int) -> np.ndarray:
    """Gain: the factor from 20 to 80% of the window, with raised-cosine edges of 10 ms inside."""
    first, last, edge = round(0.2 * samples), round(0.8 * samples), rate_hz // 100
    time = np.arange(samples)
    inside = np.minimum(time + 1 - first, last - time).clip(0, edge)
    rise = (1 - np.cos(np.pi * inside / edge)) / 2
    return (1 + (factor - 1) * rise).astype(np.float32)


def decibels_of(sound: np.ndarray, sample: Sample, recipe: Recipe) -> np.ndarray:
    """Log-mel spectrogram float64 [M, F], after speed that keeps pitch, pitch shift and VTLP."""
    features = recipe.features
    spectrum = librosa.stft(sound, n_fft=features.n_fft, hop_length=features.hop)
    if sample.speed is not None and recipe.augmentation.speed_keeps_pitch:
        spectrum = stretched(spectrum, sample.speed)
    power = spectrum.real**2 + spectrum.imag**2
    if sample.pitch_semitones is not None or sample.vtlp is not None:
        power = warped(power, sample.pitch_semitones or 0.0, sample.vtlp or 1.0)
    mel = mel_filters(features, recipe.preprocess.sample_rate_hz) @ power
    return librosa.power_to_db(mel, ref=np.max, top_db=features.top_db)


def stretched(spectrum: np.ndarray, speed: float) -> np.ndarray:
    """Spectrum [K, F] played faster or slower at its pitch, and again from its own beginning."""
    last = spectrum.shape[1] - 1
    again = spectrum.take(range(int(speed * last) + 2), axis=1, mode="wrap")
    return librosa.phase_vocoder(again, rate=speed)[:, : last + 1]


@cache
def mel_filters(features: Features, rate_hz: int) -> np.ndarray:
    """Weights of the spectrum's bins in each mel band, float32 [M, K]."""
    low, high = features.mel_low_hz, features.mel_high_hz
    return librosa.filters.mel(
        sr=rate_hz, n_fft=features.n_fft, n_mels=features.n_mels, fmin=low, fmax=high
    )


def warped(power: np.ndarray, semitones: float, vtlp: float) -> np.ndarray:
    """Power [K, F] moved along the frequency axis by pitch shift, then by VTLP.

    VTLP's straight lines (Jaitly and Hinton 2013) are given by where they take zero, the knee (60%
    of half the sample rate) and half the sample rate. A bin takes the power from around where its
    frequency came from, by a triangle as wide as the bin was (but no narrower than linear
    interpolation), and as little of it as the spectrum is stretched there.
    """
    bins, ratio = np.arange(len(power)), 2 ** (semitones / 12)
    highest, knee = bins[-1], 0.6 * bins[-1] * min(vtlp, 1.0)
    knots_from, knots_to = np.array([0, knee / vtlp, highest]), np.array([0, knee, highest])
    origin = np.interp(bins, knots_to, knots_from) / ratio
    below, above = np.diff(knots_to) / np.diff(knots_from)
    stretch = ratio * np.where(bins <= knee, below, above)
    reach = np.maximum(1, 1 / stretch)[:, None]
    triangles = np.maximum(0, 1 - np.abs(bins - origin[:, None]) / reach)
    return (triangles / reach / stretch[:, None]).astype(power.dtype) @ power


def masked(shade: np.ndarray, sample: Sample) -> np.ndarray:
    """Masked frames set to the spectrogram's mean, then masked rows to what is then its mean."""
    shade = shade.copy()
    for axis, mask in ((1, sample.time_mask), (0, sample.frequency_mask)):
        if mask is not None:
            np.moveaxis(shade, axis, 0)[mask[0] : sum(mask)] = shade.mean()
    return shade


def shades(decibels: np.ndarray) -> np.ndarray:
    """Decibels, low frequencies first, to [0, 255] between quietest and loudest, high on top."""
    quietest, loudest = decibels.min(), decibels.max()
    if quietest == loudest:
        return np.zeros_like(decibels)
    return ((decibels - quietest) / (loudest - quietest) * 255)[::-1]


@cache
def standardised(colour_map: str) -> np.ndarray:
    """Colours of the 256 shades as ImageNet networks know them, float32 [256, 3]."""
    palette = matplotlib.colormaps[COLOUR_MAPS[colour_map]](np.arange(256), bytes=True)[:, :3]
    return ((palette / 255 - IMAGENET_MEAN) / IMAGENET_STD).astype(np.float32)


def blank_rows(shade: np.ndarray, features: Features) -> int:
    """Rows cut from the top: the loop of the released code, or exactly the blank ones."""
    if features.blank_region == "keep":
        return 0
    black = np.floor(shade) < np.rint(features.blank_db * 255 / features.top_db)
    row = 0
    while row < len(shade) and black[row].mean() >= features.blank_share:
        row += 1
    if row < len(shade) and features.blank_region == "clip-one-more":
        row += 1
    return row if row < len(shade) else 0


def clip_blank_region(shade: np.ndarray, features: Features) -> np.ndarray:
    """Cut blank rows, stretch what is left to the full height, and level its rows if asked for."""
    blank = blank_rows(shade, features)
    clipped = resized(shade[blank:], len(shade), 0) if blank else shade
    if not features.level_rows:
        return clipped
    level = clipped - clipped.mean(1, keepdims=True)  # each row less its mean
    return (level - level.min()) * (255 / max(np.ptp(level), 1e-6))


def resized(image: np.ndarray, size: int, axis: int) -> np.ndarray:
    """One axis resized bilinearly: pixels are values at their centres, and the edge goes on."""
    share = shares(image.shape[axis], size).astype(image.dtype, copy=False)
    return np.moveaxis(np.tensordot(share, image, (1, axis)), 0, axis)


@cache
def shares(count: int, size: int) -> np.ndarray:
    """What each of ``size`` pixels takes of each of ``count``, float32 [size, count]."""
    centres = ((np.arange(size) + 0.5) * count / size - 0.5).clip(0, count - 1)
    share = np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(count)))
    return share.astype(np.float32)


def image_of(shade: np.ndarray, features: Features) -> np.ndarray:
    """Shades [M, F] to a colour image float32 [3, H, W] as ImageNet networks know it, enlarged."""
    height, width = shade.shape
    image = standardised(features.colour_map)[shade.astype(np.uint8)].transpose(2, 0, 1)
    if features.upsample > 1:
        image = resized(resized(image, height * features.upsample, 1), width * features.upsample, 2)
    return np.ascontiguousarray(image)
