"""Decibels to shades, and shades to the images that ImageNet networks know."""

import matplotlib
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding, interpolate

from respire.recipe.fields import Features

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Statistics of the images that torchvision's weights were trained on."""


def colours(features: Features) -> np.ndarray:
    """The recipe's colour map, uint8 [256, 3], darkest first."""
    name = {"grey": "gray"}.get(features.colour_map, features.colour_map)
    return matplotlib.colormaps[name](range(256), bytes=True)[:, :3]


def shades(decibels: Tensor) -> Tensor:
    """Decibels to shades between each window's quietest and loudest point (released code).

    From [B, M, F], low frequencies first, to [B, M, F] in [0, 255], high frequencies on top. A
    silent window has no range; it becomes the darkest shade.
    """
    return _stretched(decibels.flip(1))


def level(shade: Tensor) -> Tensor:
    """Shades [B, M, F] relative to their row's mean, stretched over [0, 255] again, in place.

    Rows that do not change in time become all alike.
    """
    return _stretched(shade.sub_(shade.mean(2, keepdim=True)))


def _stretched(image: Tensor) -> Tensor:
    """Each image's values from its lowest to its highest over [0, 255], in place."""
    lowest = image.amin(dim=(1, 2), keepdim=True)
    highest = image.amax(dim=(1, 2), keepdim=True)
    return image.sub_(lowest).mul_(255 / (highest - lowest).clamp(min=1e-6))


class Palette:
    """Shades [B, M, F] to standardised images [B, 3, H, W]."""

    def __init__(self, features: Features, device: torch.device | str):
        colour = torch.from_numpy(colours(features)).to(torch.float32) / 255
        standardised = (colour - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD)
        self.colour = standardised.to(device)
        self.upsample = features.upsample

    def __call__(self, shade: Tensor) -> Tensor:
        """Colour shades in [0, 255] and enlarge; the images are channels last in memory."""
        # A quotient may round to just above 255.
        image = embedding(shade.to(torch.int32).clamp_(max=255), self.colour).permute(0, 3, 1, 2)
        if self.upsample > 1:
            image = interpolate(image, scale_factor=self.upsample, mode="bilinear")
        return image
