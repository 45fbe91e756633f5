"""Pipeline: the one composition from cycles to images, for training, evaluation and inference."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from respire.features.augment import augment_waveforms, white_noise
from respire.features.bank import CycleBank
from respire.features.blank_region import BlankRegion
from respire.features.colour import Palette, level, shades
from respire.features.concatenate import Lead
from respire.features.draws import Draws, draw_windows
from respire.features.frequency_warp import warp_of
from respire.features.keyed import sample_keys
from respire.features.masks import mask_spectrograms
from respire.features.melspectrogram import LogMelSpectrogram
from respire.features.splice import Layout, lay_out, pad, read, slots
from respire.features.time_stretch import stretch_of
from respire.recipe.recipe import Recipe

CPU_CHUNK = 64
"""Windows a CPU takes through the pipeline at once: more would not stay in its cache, and the start
of each operation would be paid for more often with fewer."""

DRAWN = 2**19
"""Cycles of splices that are drawn at once: an epoch's of ICBHI's, and 4 MiB for each of a dozen
tables of them."""

_Step = Callable[[CycleBank, Layout], Tensor]
"""From the layout of some windows to what is wanted of them."""


class Pipeline:
    """Cycles of a bank to images, batched on one device.

    Everything that decides (which cycles, which effects, how strong) is drawn on the host from the
    samples' keys, for an epoch at once, and sent to the device; everything that computes happens on
    the device, and never waits for it.

    ``chosen`` and ``keys`` (features/keyed.py), int64 [B], lie in host memory; the first are
    indices into the bank. Images are float32 [B, 3, H, W] on the device.
    """

    def __init__(self, recipe: Recipe, device: torch.device | str):
        self.recipe = recipe
        self.device = torch.device(device)
        self.chunk = CPU_CHUNK if self.device.type == "cpu" else None
        self.window = recipe.features.samples(recipe.preprocess.sample_rate_hz)
        self.noise = white_noise(device)
        self.spectrogram = LogMelSpectrogram(
            recipe.features, recipe.preprocess.sample_rate_hz, device
        )
        self.blank_region = BlankRegion(recipe.features)
        self.palette = Palette(recipe.features, device)

    def windows(self, bank: CycleBank) -> CycleBank:
        """The bank's entries as the recipe wants them: cycles, or the windows of long ones."""
        long = self.recipe.features.long_cycles == "windows"
        return bank.windowed(self.window) if long else bank

    def training_images(self, bank: CycleBank, chosen: Tensor, keys: Tensor) -> Tensor:
        """Images of training cycles, with everything random keyed by the sample."""
        (draws,) = self.draw(bank, chosen[None], keys[None])
        return self.drawn_images(bank, draws)

    def draw(self, bank: CycleBank, chosen: Tensor, keys: Tensor) -> Iterator[list[Draws]]:
        """What chance decides about training cycles, step after step, for ``drawn_images``.

        Of the cycles and keys of an epoch, int64 [S, b] both: the draws of a step's windows.
        """
        batch, features = chosen.shape[1], self.recipe.features
        step = self._chunks(batch)
        steps = max(1, DRAWN // (batch * slots(bank, self.window, features.padding)))
        for part in zip(chosen.split(steps), keys.split(steps), strict=True):
            sizes = step * len(part[0])
            draws = draw_windows(bank, *part, self.recipe, self.window, sizes, self.device)
            for first in range(0, len(draws), len(step)):
                yield draws[first : first + len(step)]

    def drawn_images(self, bank: CycleBank, draws: list[Draws]) -> Tensor:
        """Images of a step's training cycles."""
        return _joined([self._training_images(bank, part) for part in draws])

    def evaluation_images(
        self, bank: CycleBank, chosen: Tensor, lead: Lead | None = None
    ) -> Tensor:
        """Images of evaluation cycles, or of what they lead: no augmentation, and no label read.

        (``evaluation_padding="smart"`` does read labels; the recipe stamps its results. Padding
        with chance in it draws the same for a cycle every time.)
        """
        return self._evaluation(self._evaluation_images, bank, chosen, lead)

    def unclipped_shades(self, bank: CycleBank, chosen: Tensor) -> Tensor:
        """Shades of evaluation cycles before blank rows are clipped, as ``evaluation_images`` has.

        float32 [B, M, F] in [0, 255] on the device, high frequencies on top (row 0).
        """
        return self._evaluation(self._unclipped_shades, bank, chosen)

    def mean_mel_bands(self, bank: CycleBank, batch: int = 256) -> Tensor:
        """Each cycle's mean decibels in every mel band, float32 [N, M], for the baselines."""
        every = torch.arange(len(bank)).split(batch)
        return torch.cat([self._evaluation(self._mean_mel_bands, bank, part) for part in every])

    def _evaluation(
        self, step: _Step, bank: CycleBank, chosen: Tensor, lead: Lead | None = None
    ) -> Tensor:
        keys = sample_keys(0, 0, bank.identity[chosen])
        padding = self.recipe.features.evaluation_padding
        splice = pad(bank, chosen, self.window, padding, keys, lead)
        layout = lay_out(bank, splice, self.window)
        return _joined([step(bank, part) for part in layout.split(self._chunks(len(chosen)))])

    def _training_images(self, bank: CycleBank, drawn: Draws) -> Tensor:
        effects = drawn.effects
        waveform = augment_waveforms(read(bank, drawn.layout, self.window), effects, self.noise)
        warp = warp_of(drawn.moves, self.recipe.features.n_fft)
        shade = self._shades(self.spectrogram(waveform, warp, stretch_of(effects)))
        return self.palette(mask_spectrograms(shade, effects))

    def _evaluation_images(self, bank: CycleBank, layout: Layout) -> Tensor:
        return self.palette(self._shades(self.spectrogram(read(bank, layout, self.window))))

    def _unclipped_shades(self, bank: CycleBank, layout: Layout) -> Tensor:
        return shades(self.spectrogram(read(bank, layout, self.window)))

    def _shades(self, decibels: Tensor) -> Tensor:
        shade = self.blank_region(shades(decibels))
        return level(shade) if self.recipe.features.level_rows else shade

    def _mean_mel_bands(self, bank: CycleBank, layout: Layout) -> Tensor:
        return self.spectrogram(read(bank, layout, self.window)).mean(-1)

    def _chunks(self, windows: int) -> list[int]:
        """Sizes of the parts that so many windows are taken in."""
        chunk = self.chunk or windows
        return [min(chunk, windows - first) for first in range(0, windows, chunk)]


def _joined(parts: list[Tensor]) -> Tensor:
    # One part by itself needs no copy.
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def image_size(recipe: Recipe) -> tuple[int, int]:
    """Height and width of the recipe's images."""
    features = recipe.features
    frames = 1 + features.samples(recipe.preprocess.sample_rate_hz) // features.hop
    return features.n_mels * features.upsample, frames * features.upsample
