"""The slow reference: one sample at a time from cycles to an image, the oracle of the pipeline.

Written after the paper and the released code with librosa, NumPy, SciPy and matplotlib; from the
package it takes the recipe and nothing else, and it draws nothing: whoever calls says what chance
decided (``Sample``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

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
        audio: float [n] in (-1, 1).
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
    takes_before: Sequence[bool] = ()
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


def entries_of(recordings: Sequence[Sequence[tuple[np.ndarray, int]]]) -> list[Entry]:
    """Cycles of recordings, each (audio, class), in their order."""
    entries = []
    for recording in recordings:
        for place, (audio, label) in enumerate(recording):
            index = len(entries)
            before = index - 1 if place > 0 else None
            after = index + 1 if place < len(recording) - 1 else None
            entries.append(Entry(audio, label, before, after))
    return entries


def windows_of(entries: Sequence[Entry], window: int) -> list[Entry]:
    """Long cycles cut into frames that overlap by half, and what is left (released code)."""
    pieces = [_pieces(entry.audio, window) for entry in entries]
    first = np.cumsum([0] + [len(of_cycle) for of_cycle in pieces])
    return [
        Entry(
            audio,
            entry.label,
            None if entry.before is None else int(first[entry.before + 1] - 1),
            None if entry.after is None else int(first[entry.after]),
        )
        for entry, of_cycle in zip(entries, pieces, strict=True)
        for audio in of_cycle
    ]


def _pieces(cycle: np.ndarray, window: int) -> list[np.ndarray]:
    if len(cycle) <= window:
        return [cycle]
    hop = window // 2
    frames = librosa.util.frame(cycle, frame_length=window, hop_length=hop, axis=0)
    return [*frames, cycle[len(frames) * hop :]]


def training_image(entries: Sequence[Entry], sample: Sample, recipe: Recipe) -> np.ndarray:
    """One training sample's image.

    Args:
        entries: all cycles there are, or all windows.
        sample: what chance decided.
        recipe: everything else.

    Returns:
        float64 [3, H, W].
    """
    features, rate_hz = recipe.features, recipe.preprocess.sample_rate_hz
    sound = fill_window(entries, sample, features.samples(rate_hz), features.padding)
    decibels = decibels_of(augmented(sound, sample, rate_hz), sample, recipe)
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
        return np.concatenate([lead, np.zeros(window)])[:window]
    if padding == "repeat":
        return np.resize(lead, window)
    if padding == "reflect":
        return np.resize(np.concatenate([lead, lead[::-1]]), window)
    if padding == "repeat-either-side":
        if sample.ends_with_cycle and len(lead) < window:
            return np.resize(lead[::-1], window)[::-1]
        return np.resize(lead, window)
    last = entries[sample.made_of[-1]]
    while sum(map(len, cycles)) < window:
        neighbour = last.before if sample.takes_before[len(cycles)] else last.after
        fits = neighbour is not None and entries[neighbour].label in (sample.label, NORMAL)
        cycles.append(entries[neighbour].audio if fits else last.audio)
    return np.concatenate(cycles)[:window]


def augmented(sound: np.ndarray, sample: Sample, rate_hz: int) -> np.ndarray:
    """What the sample has of speed, loudness, shift and noise, in this order."""
    if sample.speed is not None:
        sound = played(sound, sample.speed)
    if sample.loudness is not None:
        sound = sound * loudness_of(len(sound), sample.loudness, rate_hz)
    if sample.shift is not None:
        sound = np.roll(sound, sample.shift)
    if sample.noise is not None and sample.noise_snr_db is not None:
        power_ratio = np.mean(sound**2) / np.mean(sample.noise**2)
        sound = sound + sample.noise * np.sqrt(power_ratio / 10 ** (sample.noise_snr_db / 10))
    return sound


def played(sound: np.ndarray, speed: float) -> np.ndarray:
    """Played faster or slower, and again from its own beginning where it runs out.

    An ideal low-pass keeps what stays below half the sample rate; times between samples are read
    from an eightfold oversampled copy by a spline.
    """
    spectrum = np.fft.rfft(sound)
    spectrum[np.fft.rfftfreq(len(sound)) * speed > 0.5] = 0
    fine = 8 * np.fft.irfft(spectrum, 8 * len(sound))
    times = np.arange(len(sound)) * speed % len(sound)
    return scipy.ndimage.map_coordinates(fine, [8 * times], order=3, mode="grid-wrap")


def loudness_of(samples: int, factor: float, rate_hz: int) -> np.ndarray:
    """Gain: the factor from 20 to 80% of the window, with raised-cosine edges of 10 ms inside."""
    first, last, edge = round(0.2 * samples), round(0.8 * samples), rate_hz // 100
    rise = (1 - np.cos(np.pi * np.arange(1, edge + 1) / edge)) / 2
    gain = np.ones(samples)
    gain[first:last] = factor
    gain[first : first + edge] = 1 + (factor - 1) * rise
    gain[last - edge : last] = 1 + (factor - 1) * rise[::-1]
    return gain


def decibels_of(sound: np.ndarray, sample: Sample, recipe: Recipe) -> np.ndarray:
    """Log-mel spectrogram float64 [M, F], its power spectrum warped by pitch shift and VTLP."""
    features = recipe.features
    power = np.abs(librosa.stft(sound, n_fft=features.n_fft, hop_length=features.hop)) ** 2
    mel = librosa.feature.melspectrogram(
        S=warped(power, sample.pitch_semitones or 0.0, sample.vtlp or 1.0),
        sr=recipe.preprocess.sample_rate_hz,
        n_fft=features.n_fft,
        n_mels=features.n_mels,
        fmin=features.mel_low_hz,
        fmax=features.mel_high_hz,
    )
    return librosa.power_to_db(mel, ref=np.max, top_db=features.top_db)


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
    stretch = ratio * np.where(bins <= knee, *(np.diff(knots_to) / np.diff(knots_from)))
    warp = np.zeros((len(bins), len(bins)))
    for row, centre, factor in zip(warp, origin, stretch, strict=True):
        reach = max(1, 1 / factor)
        row[:] = np.maximum(0, 1 - np.abs(bins - centre) / reach) / reach / factor
    return warp @ power


def masked(shade: np.ndarray, sample: Sample) -> np.ndarray:
    """Masked frames set to the spectrogram's mean, then masked rows to what is then its mean."""
    shade = shade.copy()
    if sample.time_mask is not None:
        first, count = sample.time_mask
        shade[:, first : first + count] = shade.mean()
    if sample.frequency_mask is not None:
        first, count = sample.frequency_mask
        shade[first : first + count] = shade.mean()
    return shade


def shades(decibels: np.ndarray) -> np.ndarray:
    """Decibels, low frequencies first, to [0, 255] between quietest and loudest, high on top."""
    quietest, loudest = decibels.min(), decibels.max()
    if quietest == loudest:
        return np.zeros_like(decibels)
    return ((decibels - quietest) / (loudest - quietest) * 255)[::-1]


def coloured(shade: np.ndarray, features: Features) -> np.ndarray:
    """Shades [M, F] to colours uint8 [M, F, 3]."""
    palette = matplotlib.colormaps[COLOUR_MAPS[features.colour_map]]
    return palette(shade.astype(np.uint8), bytes=True)[..., :3]


def blank_rows(shade: np.ndarray, features: Features) -> int:
    """Rows cut from the top: the loop of the released code, or exactly the blank ones."""
    if features.blank_region == "keep":
        return 0
    height, width = shade.shape
    grey = (coloured(shade, features) @ [0.299, 0.587, 0.114]).round()
    grey[grey < features.blank_grey] = 0
    for row in range(height):
        black = len(np.where(grey[row] == 0)[0]) / width
        if black < features.blank_share:
            break
    else:
        return 0
    if features.blank_region == "clip-one-more":
        return row + 1 if row + 1 < height else 0
    return row


def clip_blank_region(shade: np.ndarray, features: Features) -> np.ndarray:
    """Cut blank rows, stretch what is left to the full height, and level its rows if asked for."""
    clipped = resized(shade[blank_rows(shade, features) :], len(shade), 0)
    return levelled(clipped) if features.level_rows else clipped


def levelled(shade: np.ndarray) -> np.ndarray:
    """Each row less its mean, from the lowest to the highest over [0, 255]."""
    rows = np.stack([row - row.mean() for row in shade])
    return (rows - rows.min()) * (255 / max(rows.max() - rows.min(), 1e-6))


def resized(image: np.ndarray, size: int, axis: int) -> np.ndarray:
    """One axis resized bilinearly: pixels are values at their centres, and the edge goes on."""
    count = image.shape[axis]
    centres = ((np.arange(size) + 0.5) * count / size - 0.5).clip(0, count - 1)
    share = np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(count)))
    return np.moveaxis(np.tensordot(share, image, (1, axis)), 0, axis)


def image_of(shade: np.ndarray, features: Features) -> np.ndarray:
    """Shades [M, F] to a colour image float64 [3, H, W] as ImageNet networks know it, enlarged."""
    height, width = shade.shape
    image = (coloured(shade, features) / 255 - IMAGENET_MEAN) / IMAGENET_STD
    image = resized(image, height * features.upsample, 0)
    return resized(image, width * features.upsample, 1).transpose(2, 0, 1)
