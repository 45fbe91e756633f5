"""What everybody else does: windows drawn and made one by one in worker processes.

The thin layer on top of per_sample.py that lets chance decide as the recipe says, to measure the
pipeline against.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits
from torch.utils.data import DataLoader, Dataset, get_worker_info

from respire.benchmark.per_sample import Entry, Sample, training_image
from respire.data.rows import FULL_SCALE
from respire.features.bank import CycleBank
from respire.features.concatenate import MIXED
from respire.labels import NORMAL
from respire.recipe.recipe import Recipe

FIELDS = {
    "noise": ("noise_snr_db", "noise_snr_db"),
    "speed": ("speed_factor", "speed"),
    "loudness": ("loudness_factor", "loudness"),
    "pitch": ("pitch_semitones", "pitch_semitones"),
    "vtlp": ("vtlp_factor", "vtlp"),
}
"""The recipe's field with an effect's range, and the sample's with its parameter."""
ONE_OF = tuple(FIELDS)
"""Effects of which a window gets one at most, if the recipe says so."""


class PerSample(Dataset):
    """Training windows of a bank's cycles as float32 [3, H, W] and class."""

    def __init__(self, bank: CycleBank, recipe: Recipe):
        self.recipe = recipe
        self.window = recipe.features.samples(recipe.preprocess.sample_rate_hz)
        audio = bank.audio.cpu().numpy().astype(np.float32) / np.float32(FULL_SCALE)
        columns = (bank.first, bank.length, bank.label, bank.previous, bank.following)
        self.entries = [
            Entry(audio[first : first + length], label, *(n if n >= 0 else None for n in beside))
            for first, length, label, *beside in zip(*(c.tolist() for c in columns), strict=True)
        ]
        labels = np.array([entry.label for entry in self.entries])
        self.of_class = [np.flatnonzero(labels == label) for label in range(len(recipe.classes))]
        partners = recipe.concatenation.partners
        self.group = bank.cycles[partners].to_numpy() if partners != "any" else np.zeros(len(bank))
        shortest = min(len(entry.audio) for entry in self.entries)
        self.coins = 2 + self.window // max(1, shortest)
        self.random = np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, chosen: int) -> tuple[np.ndarray, int]:
        sample = self.draw(chosen)
        return training_image(self.entries, sample, self.recipe), sample.label

    def draw(self, chosen: int) -> Sample:
        """Let chance decide about the next window of a cycle."""
        label = self.entries[chosen].label
        return Sample(
            label,
            made_of=self.draw_pair(chosen) or (chosen,),
            takes_before=self.random.random(self.coins) < 0.5,
            ends_with_cycle=bool(self.random.random() < 0.5),
            **self.draw_effects(),
        )

    def share_joined(self, label: int) -> float:
        """How often a sample of a class is made of two cycles."""
        recipe, count = self.recipe.concatenation, [len(cycles) for cycles in self.of_class]
        if label == NORMAL and recipe.join_normal:
            abnormal = [other for other in range(1, len(count)) if count[other]]
            by_cycle = self.recipe.optimisation.sampling == "cycle-uniform"
            often = [count[other] if by_cycle else 1 for other in abnormal]
            joined = [self.share_joined(other) for other in abnormal]
            return float(np.average(joined, weights=often)) if abnormal else 0.0
        return 1 - count[label] / max(recipe.multiple_of_normal * count[NORMAL], count[label])

    def draw_pair(self, chosen: int) -> tuple[int, ...]:
        """Two cycles for a new sample of a cycle's class, or none where it stays as it is."""
        recipe, classes = self.recipe.concatenation, self.recipe.classes
        label = self.entries[chosen].label
        if recipe.scheme == "off" or self.random.random() >= self.share_joined(label):
            return ()
        own = self.group == self.group[chosen]
        there = [cycles[own[cycles]] for cycles in self.of_class]
        pair = [label, label]
        if recipe.scheme == "mixed":
            rules = MIXED[classes[label]]
            rule = rules[self.random.choice(len(rules), p=[share for share, *_ in rules])]
            mixed = [classes.index(name) for name in rule[1:]]
            pair = mixed if all(len(there[part]) for part in mixed) else pair
        return tuple(int(self.random.choice(there[part])) for part in pair)

    def draw_effects(self) -> dict[str, Any]:
        """Fields of ``Sample``: which effects the next window gets, and how strong."""
        recipe, features = self.recipe.augmentation, self.recipe.features
        coin, below = self.random.random(), 0.0
        chosen = []
        for name in (*ONE_OF, "shift", "time_mask", "frequency_mask"):
            chance = getattr(recipe, f"{name}_p")
            if recipe.one_at_most and name in ONE_OF:
                gets, below = below <= coin < below + chance, below + chance
            else:
                gets = self.random.random() < chance
            chosen += [name] * gets
        drawn: dict[str, Any] = {
            FIELDS[name][1]: self.random.uniform(*getattr(recipe, FIELDS[name][0]))
            for name in chosen
            if name in FIELDS
        }
        if "pitch" in chosen and recipe.whole_semitones:
            low, high = recipe.pitch_semitones
            steps = np.arange(np.ceil(low), np.floor(high) + 1)
            drawn["pitch_semitones"] = float(self.random.choice(steps))
        if "noise" in chosen:
            drawn["noise"] = self.random.standard_normal(self.window, dtype=np.float32)
        if "shift" in chosen:
            drawn["shift"] = int(self.random.integers(self.window))
        frames = 1 + self.window // features.hop
        for name, size in (("time_mask", frames), ("frequency_mask", features.n_mels)):
            if name in chosen:
                share = self.random.uniform(*getattr(recipe, f"{name}_share"))
                length = round(share * size)
                drawn[name] = int(self.random.integers(size - length + 1)), length
        return drawn


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


def _start_worker(_: int) -> None:
    """Give the process a stream of random numbers of its own, and one thread."""
    worker: Any = get_worker_info()
    worker.dataset.random = np.random.default_rng(worker.seed)
    threadpool_limits(1)
