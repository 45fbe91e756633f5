"""What everybody else does: one window at a time, by NumPy, SciPy and librosa, in worker processes.

The same work as features/pipeline.py, to be measured against (benchmark.py) and to be read beside
it. Nothing is done clumsily to lose: cycles wait decoded in memory, the mel filters and the palette
are computed once, and pitch moves in the spectrum (a phase vocoder takes longer).
"""

from collections.abc import Iterator, Sequence

import librosa
import numpy as np
import soxr
from scipy.ndimage import zoom
from threadpoolctl import threadpool_limits
from torch.utils.data import DataLoader, Dataset, get_worker_info

from respire.features.augment import LOUDNESS_EDGE, LOUDNESS_STRETCH
from respire.features.bank import FULL_SCALE, CycleBank
from respire.features.blank_region import GREY_OF_RGB
from respire.features.colour import IMAGENET_MEAN, IMAGENET_STD, colours
from respire.features.concatenate import MIXED
from respire.features.frequency_warp import KNEE
from respire.labels import CLASSES, NORMAL
from respire.recipe.recipe import Recipe

ONE_OF = ("noise", "speed", "loudness", "pitch", "vtlp")
"""Effects of which a window gets one at most, if the recipe says so."""
RANGES = {
    "noise": "noise_snr_db",
    "speed": "speed_factor",
    "loudness": "loudness_factor",
    "pitch": "pitch_semitones",
    "vtlp": "vtlp_factor",
    "time_mask": "time_mask_share",
    "frequency_mask": "frequency_mask_share",
}
"""The recipe's field with each effect's range."""

Drawn = dict[str, float]
"""The effects a window gets, and the parameter of each."""


class PerSample(Dataset):
    """Training windows of a bank's cycles as float32 [3, H, W] and class."""

    def __init__(self, bank: CycleBank, recipe: Recipe):
        self.recipe, self.features = recipe, recipe.features
        self.rate = recipe.preprocess.sample_rate_hz
        self.samples = self.features.samples(self.rate)
        audio = bank.audio.cpu().numpy().astype(np.float32) / np.float32(FULL_SCALE)
        first, length = bank.first.tolist(), bank.length.tolist()
        self.cycles = [audio[a : a + n] for a, n in zip(first, length, strict=True)]
        self.label, self.previous, self.following = (
            column.tolist() for column in (bank.label, bank.previous, bank.following)
        )
        self.classes = CLASSES[recipe.task]
        labels = np.array(self.label)
        self.of_class = [np.flatnonzero(labels == label) for label in range(len(self.classes))]
        self.filters = librosa.filters.mel(
            sr=self.rate,
            n_fft=self.features.n_fft,
            n_mels=self.features.n_mels,
            fmin=self.features.mel_low_hz,
            fmax=self.features.mel_high_hz,
        )
        palette = colours(self.features)
        self.palette = ((palette / 255 - IMAGENET_MEAN) / IMAGENET_STD).astype(np.float32)
        grey = (palette @ GREY_OF_RGB).round()
        self.lightest_black = int((grey < self.features.blank_grey).sum())
        self.random = np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self.cycles)

    def __getitem__(self, chosen: int) -> tuple[np.ndarray, int]:
        drawn = self.draw_effects()
        lead = self.concatenated(self.label[chosen]) or [chosen]
        waveform = self.augmented(self.padded(lead, self.label[chosen]), drawn)
        return self.image(self.shades(waveform, drawn), drawn), self.label[chosen]

    def concatenated(self, label: int) -> list[int]:
        """Two cycles for a new sample of a class, or none where the sample stays as it is."""
        recipe = self.recipe.concatenation
        have = len(self.of_class[label])
        wanted = recipe.multiple_of_normal * len(self.of_class[NORMAL])
        if recipe.scheme == "off" or self.random.random() >= 1 - have / max(wanted, have):
            return []
        pair = [label, label]
        if recipe.scheme == "mixed":
            rules = MIXED[self.classes[label]]
            rule = rules[self.random.choice(len(rules), p=[share for share, *_ in rules])]
            pair = [self.classes.index(name) for name in rule[1:]]
        if any(len(self.of_class[part]) == 0 for part in pair):
            pair = [label, label]
        return [int(self.random.choice(self.of_class[part])) for part in pair]

    def padded(self, lead: Sequence[int], label: int) -> np.ndarray:
        """The lead and what fills the window after it, float32 [T]."""
        padding, window = self.features.padding, self.samples
        if padding == "repeat-either-side":
            unit = np.concatenate([self.cycles[index] for index in lead])
            at_end = len(unit) < window and self.random.random() < 0.5
            return np.resize(unit[::-1], window)[::-1] if at_end else np.resize(unit, window)
        parts, filled = [], 0
        for part in self.filling(lead, label):
            parts.append(part)
            filled += len(part)
            if filled >= window:
                break
        return np.concatenate(parts)[:window]

    def filling(self, lead: Sequence[int], label: int) -> Iterator[np.ndarray]:
        """Waveforms that follow one another in a window, without end."""
        own = [self.cycles[index] for index in lead]
        yield from own
        last = lead[-1]
        while True:
            match self.features.padding:
                case "zero":
                    yield np.zeros(self.samples, np.float32)
                case "reflect":
                    own = [cycle[::-1] for cycle in reversed(own)]
                    yield from own
                case "smart":
                    before = self.random.random() < 0.5
                    neighbour = (self.previous if before else self.following)[last]
                    fits = neighbour >= 0 and self.label[neighbour] in (label, NORMAL)
                    yield self.cycles[neighbour if fits else last]
                case _:
                    yield from own

    def draw_effects(self) -> Drawn:
        """Which effects the next window gets, and how strong."""
        recipe = self.recipe.augmentation
        drawn: Drawn = {}
        coin, below = self.random.random(), 0.0
        for name in (*ONE_OF, "shift", "time_mask", "frequency_mask"):
            chance = getattr(recipe, f"{name}_p")
            if recipe.one_at_most and name in ONE_OF:
                gets, below = below <= coin < below + chance, below + chance
            else:
                gets = self.random.random() < chance
            if gets:
                bounds = getattr(recipe, RANGES[name]) if name in RANGES else (0.0, 1.0)
                drawn[name] = self.random.uniform(*bounds)
        return drawn

    def augmented(self, waveform: np.ndarray, drawn: Drawn) -> np.ndarray:
        """The effects on the waveform, float32 [T]."""
        window = len(waveform)
        if "speed" in drawn:
            played = soxr.resample(waveform, self.rate * drawn["speed"], self.rate)
            waveform = np.resize(played, window)
        if "loudness" in drawn:
            first, last = (round(share * window) for share in LOUDNESS_STRETCH)
            time = np.arange(window, dtype=np.float32)
            depth = np.clip(np.minimum(time - first, last - time) / LOUDNESS_EDGE, 0, 1)
            waveform = waveform * (1 + (drawn["loudness"] - 1) * (1 - np.cos(np.pi * depth)) / 2)
        if "shift" in drawn:
            waveform = np.roll(waveform, int(drawn["shift"] * window))
        if "noise" in drawn:
            noise = self.random.standard_normal(window, dtype=np.float32)
            ratio = np.linalg.norm(waveform) / np.linalg.norm(noise)
            waveform = waveform + noise * np.float32(ratio * 10 ** (-drawn["noise"] / 20))
        return waveform

    def shades(self, waveform: np.ndarray, drawn: Drawn) -> np.ndarray:
        """The mel spectrogram between its quietest and loudest point, [M, F] in [0, 255]."""
        spectrum = librosa.stft(
            waveform,
            n_fft=self.features.n_fft,
            hop_length=self.features.hop,
            pad_mode="constant",
        )
        power = spectrum.real**2 + spectrum.imag**2
        if "pitch" in drawn or "vtlp" in drawn:
            power = warped(power, drawn.get("pitch", 0.0), drawn.get("vtlp", 1.0))
        decibels = librosa.power_to_db(
            self.filters @ power, ref=np.max, top_db=self.features.top_db
        )
        lowest, highest = decibels.min(), decibels.max()
        return (decibels[::-1] - lowest) * (255 / max(highest - lowest, 1e-6))

    def image(self, shade: np.ndarray, drawn: Drawn) -> np.ndarray:
        """Blank rows clipped, masked, coloured and enlarged, float32 [3, H, W]."""
        shade = self.clipped(shade)
        if self.features.level_rows:
            shade = shade - shade.mean(1, keepdims=True)
            shade = (shade - shade.min()) * (255 / max(np.ptp(shade), 1e-6))
        for axis, name in ((1, "time_mask"), (0, "frequency_mask")):
            if name in drawn:
                length = round(drawn[name] * shade.shape[axis])
                first = self.random.integers(shade.shape[axis] - length + 1)
                masked = np.swapaxes(shade, 0, axis)[first : first + length]
                masked[:] = shade.mean()
        image = self.palette[shade.astype(np.uint8)]
        if self.features.upsample > 1:
            image = resized(image, (self.features.upsample, self.features.upsample, 1))
        return np.ascontiguousarray(image.transpose(2, 0, 1))

    def clipped(self, shade: np.ndarray) -> np.ndarray:
        """Blank rows cut from the top, the rest stretched to the full height."""
        if self.features.blank_region == "keep":
            return shade
        filled = (shade < self.lightest_black).mean(1) < self.features.blank_share
        rows = int(filled.argmax()) + (self.features.blank_region == "clip-one-more")
        if not filled.any() or not 0 < rows < len(shade):
            return shade
        return resized(shade[rows:], (len(shade) / (len(shade) - rows), 1))


def per_sample_loader(
    bank: CycleBank, recipe: Recipe, chosen: Sequence[int], workers: int
) -> DataLoader:
    """Images of the chosen cycles in batches, made by as many processes."""
    return DataLoader(
        PerSample(bank, recipe),
        batch_size=recipe.optimisation.batch_size,
        sampler=chosen,
        num_workers=workers,
        worker_init_fn=_start_worker,
        persistent_workers=True,
    )


def warped(power: np.ndarray, semitones: float, vtlp_factor: float) -> np.ndarray:
    """Move the power [K, F] at each frequency to where pitch shift and VTLP take it."""
    highest = len(power) - 1
    knee = KNEE * highest * min(vtlp_factor, 1.0)
    ratio = 2 ** (semitones / 12)
    moved = np.interp(np.arange(highest + 1), [0, knee, highest], [0, knee / vtlp_factor, highest])
    origin = moved / ratio
    stretch = ratio / np.gradient(moved)
    lower = np.floor(origin).astype(int)
    weight = (origin - lower)[:, None]
    silence = max(0, int(lower[-1]) + 2 - len(power))
    power = np.pad(power, ((0, silence), (0, 0)))
    return (power[lower] * (1 - weight) + power[lower + 1] * weight) / stretch[:, None]


def resized(image: np.ndarray, factors: Sequence[float]) -> np.ndarray:
    """Bilinear, with pixel centres at half coordinates."""
    return zoom(image, factors, order=1, mode="nearest", grid_mode=True)


def _start_worker(_: int) -> None:
    """Give the process a stream of random numbers of its own, and one thread."""
    worker = get_worker_info()
    assert worker is not None
    assert isinstance(worker.dataset, PerSample)
    worker.dataset.random = np.random.default_rng(worker.seed)
    threadpool_limits(1)
