"""Blank region clipping, BRC: blank high-frequency rows are cut off (paper 2.1, Fig. 3)."""

import torch
from torch import Tensor

from respire.recipe.fields import Features


class BlankRegion:
    """Clips blank rows from the top of images' shades, and stretches the rest to full height.

    A pixel is black whose shade is one of the darkest, those below ``features.blank_db`` where the
    shades span ``features.top_db``; a row is blank if at least ``features.blank_share`` of it is
    black; the blank region is all rows above the highest one that is not blank. A window without
    such a row is left as it is.

    ``clip`` cuts the blank region, where there is one. ``clip-one-more`` cuts one row more, from
    every window, as the released code does (it counts from the first row that is not blank).
    """

    def __init__(self, features: Features):
        self.features = features
        self.black_shades = round(255 * features.blank_db / features.top_db)

    def __call__(self, shade: Tensor) -> Tensor:
        """Clip a batch, float32 [B, M, F] in [0, 255], high frequencies on top (row 0)."""
        if self.features.blank_region == "keep":
            return shade
        return stretch(shade, self.rows(shade))

    def is_blank(self, shade: Tensor) -> Tensor:
        """Whether each row of each image is blank, bool [B, M]; nothing is cut."""
        black = (shade < self.black_shades).sum(2, dtype=torch.int32).double() / shade.shape[2]
        return black >= self.features.blank_share

    def rows(self, shade: Tensor) -> Tensor:
        """Rows to be cut from the top of each image, int64 [B]."""
        filled = ~self.is_blank(shade)
        height = shade.shape[1]
        blank = torch.where(filled.any(1), filled.to(torch.uint8).argmax(1), height)
        rows = blank + (self.features.blank_region == "clip-one-more")
        # Nothing is cut where no row is filled, nor where nothing would be left.
        return torch.where(rows < height, rows, 0)


def stretch(shade: Tensor, rows: Tensor) -> Tensor:
    """Cut rows, int64 [B], less than M, from the top of images [B, M, F], and resize the rest to M.

    Bilinear with pixel centres at half coordinates, as OpenCV and torch (align_corners=False) do.
    """
    height = shade.shape[1]
    centre = torch.arange(height, device=shade.device) + 0.5
    left = height - rows[:, None]
    source = (centre * left / height - 0.5).clamp(min=0)
    upper = source.floor()
    weight = (source - upper)[:, :, None]
    upper = (upper.long() + rows[:, None]).clamp(max=height - 1)
    lower = (upper + 1).clamp(max=height - 1)
    first = height * torch.arange(len(shade), device=shade.device)[:, None]
    every = shade.flatten(0, 1)
    above, below = (
        every.index_select(0, (first + chosen).flatten()).view_as(shade)
        for chosen in (upper, lower)
    )
    return torch.lerp(above, below, weight.to(shade.dtype))
