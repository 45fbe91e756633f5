"""Pipeline: the one composition from cycles to images, for training, evaluation and inference."""

import matplotlib
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from respire.features.bank import CycleBank
from respire.features.keyed import sample_keys
from respire.features.melspectrogram import LogMelSpectrogram
from respire.features.splice import Splice, gather, pad
from respire.recipe import Recipe

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Statistics of the images that torchvision's weights were trained on."""


class Pipeline:
    """Cycles of a bank to images, batched on one device.

    Waveforms pass through in this order: splice, gather, log-mel spectrogram, image. Anything that
    changes a waveform [B, T] belongs between gather and spectrogram, anything that changes a
    spectrogram [B, M, F] just before the image.
    """

    def __init__(self, recipe: Recipe, device: torch.device | str):
        self.features = recipe.features
        self.window = recipe.features.samples(recipe.preprocess.sample_rate_hz)
        self.spectrogram = LogMelSpectrogram(
            recipe.features, recipe.preprocess.sample_rate_hz, device
        )
        self.palette = _palette(recipe.features.colour_map).to(device)

    def training_images(self, bank: CycleBank, chosen: Tensor, keys: Tensor) -> Tensor:
        """Images of training cycles, with everything random keyed by the sample.

        Args:
            bank: the cycles.
            chosen: int64 [B], indices into the bank.
            keys: int64 [B] (features/keyed.py).

        Returns:
            float32 [B, 3, H, W].
        """
        return self._images(bank, pad(bank, chosen, self.window, self.features.padding, keys))

    def evaluation_images(self, bank: CycleBank, chosen: Tensor) -> Tensor:
        """Images of evaluation cycles: nothing random, and no label read.

        (``evaluation_padding="smart"`` does read labels; the recipe stamps its results.)

        Args:
            bank: the cycles.
            chosen: int64 [B], indices into the bank.

        Returns:
            float32 [B, 3, H, W].
        """
        return self._images(bank, self._evaluation_splice(bank, chosen))

    def mean_mel_bands(self, bank: CycleBank, batch: int = 256) -> Tensor:
        """Each cycle's mean decibels in every mel band, float32 [N, M], for the baselines."""
        cycles = torch.arange(len(bank), device=bank.first.device)
        return torch.cat(
            [
                self.spectrogram(
                    gather(bank, self._evaluation_splice(bank, chosen), self.window)
                ).mean(-1)
                for chosen in cycles.split(batch)
            ]
        )

    def _evaluation_splice(self, bank: CycleBank, chosen: Tensor) -> Splice:
        keys = sample_keys(0, 0, chosen)
        return pad(bank, chosen, self.window, self.features.evaluation_padding, keys)

    def _images(self, bank: CycleBank, splice: Splice) -> Tensor:
        return self._colour(self.spectrogram(gather(bank, splice, self.window)))

    def _colour(self, decibels: Tensor) -> Tensor:
        """Decibels [B, M, F] to standardised images [B, 3, H, W], high frequencies on top."""
        lowest = decibels.amin(dim=(1, 2), keepdim=True)
        highest = decibels.amax(dim=(1, 2), keepdim=True)
        # A silent window has no range; it becomes the palette's darkest colour.
        level = (decibels - lowest) / (highest - lowest).clamp(min=1e-6)
        shade = (level * 255).to(torch.int64).flip(1)
        image = self.palette[shade].permute(0, 3, 1, 2)
        if self.features.upsample > 1:
            image = interpolate(image, scale_factor=self.features.upsample, mode="bilinear")
        return image


def _palette(colour_map: str) -> Tensor:
    """The colour map's 256 colours, standardised as ImageNet images are, float32 [256, 3]."""
    name = {"grey": "gray"}.get(colour_map, colour_map)
    colours = torch.tensor(matplotlib.colormaps[name](range(256))[:, :3], dtype=torch.float32)
    return (colours - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD)
