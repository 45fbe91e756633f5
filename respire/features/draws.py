"""Draws: what chance decides about training windows, all at once on the host, sent at once."""

from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from torch import Tensor

from respire.features.augment import Effect, Effects, draw_effects
from respire.features.bank import CycleBank
from respire.features.concatenate import concatenate
from respire.features.frequency_warp import Moves, moves_of
from respire.features.splice import Layout, lay_out, pad
from respire.recipe.recipe import Recipe

Rows = TypeVar("Rows", Effect, Moves)
"""``rows`` of a batch, rising, and as many values of each kind."""


@dataclass(frozen=True)
class Draws:
    """Some windows: where their audio lies, and what effects they get, on the device."""

    layout: Layout
    effects: Effects
    moves: Moves


def draw_windows(
    bank: CycleBank,
    chosen: Tensor,
    keys: Tensor,
    recipe: Recipe,
    window: int,
    sizes: list[int],
    device: torch.device,
) -> list[Draws]:
    """Draw windows of training cycles, in parts of these sizes.

    A window's draws follow from its cycle and its key alone, so they are the same whichever others
    are drawn with it.

    Args:
        bank: the cycles.
        chosen: int64 [...], indices into the bank, on the CPU.
        keys: int64 of the same shape (features/keyed.py).
        recipe: of paddings, concatenation and effects.
        window: samples in a window.
        sizes: windows in each part, all of them together.
        device: where effects are computed.
    """
    chosen, keys = chosen.flatten(), keys.flatten()
    lead = concatenate(bank, chosen, keys, recipe)
    splice = pad(bank, chosen, window, recipe.features.padding, keys, lead)
    layouts = lay_out(bank, splice, window).split(sizes)
    effects = draw_effects(keys, recipe.augmentation)
    parts = _split(moves_of(effects), sizes, device)
    kinds = [name for name, kind in vars(effects).items() if isinstance(kind, Effect)]
    by_kind = [_split(getattr(effects, name), sizes, device) for name in kinds]
    every = (
        replace(effects, **dict(zip(kinds, part, strict=True)))
        for part in zip(*by_kind, strict=True)
    )
    return [Draws(*part) for part in zip(layouts, every, parts, strict=True)]


def _split(batch: Rows, sizes: list[int], device: torch.device) -> list[Rows]:
    """The rows of each part of a batch, counted from the part's first, on the device."""
    size = torch.tensor(sizes)
    end = size.cumsum(0)
    part = torch.searchsorted(end, batch.rows, right=True)
    counts = torch.bincount(part, minlength=len(sizes)).tolist()
    own = replace(batch, rows=batch.rows - (end - size)[part])
    sent = (getattr(own, column.name).to(device, non_blocking=True) for column in fields(own))
    return [type(batch)(*one) for one in zip(*(all.split(counts) for all in sent), strict=True)]
