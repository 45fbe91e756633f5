"""Splice: which cycles, in which order, fill a window (paper section 2.1).

Padding a short cycle and concatenating two are the same act: choose a sequence of cycles, join
them, cut to the window. A batch of splices becomes waveforms by one gather from the bank.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from respire.features.bank import FULL_SCALE, CycleBank
from respire.features.keyed import uniform
from respire.recipe import NORMAL, Padding

SMART_STREAM = 1
"""Stream of random numbers that chooses neighbours in smart padding."""


@dataclass(frozen=True)
class Splice:
    """A batch of sequences of cycles.

    Attributes:
        cycle: int64 [B, K], indices into the bank.
        step: int64 [B, K], 1 for a cycle as recorded, -1 for one reversed, 0 for silence that
            lasts to the end of the window.
    """

    cycle: Tensor
    step: Tensor


def pad(
    bank: CycleBank, chosen: Tensor, window: int, padding: Padding, keys: Tensor | None = None
) -> Splice:
    """Fill windows that start with the chosen cycles.

    ``zero`` is [i, silence]; ``repeat`` [i, i, ...]; ``reflect`` [i, reversed i, i, ...]; ``smart``
    [i, then again and again the cycle just before or just after in the same recording, by a coin,
    if its class is that of i or normal, else i itself] (paper 2.1, "Smart Padding").

    Args:
        bank: the cycles.
        chosen: int64 [B], the cycle each window is of.
        window: samples in a window.
        padding: the scheme.
        keys: int64 [B], keys of the samples, needed by ``smart`` alone.

    Raises:
        ValueError: smart padding without keys.
    """
    if padding == "zero":
        cycle = chosen[:, None].expand(-1, 2)
        return Splice(cycle, torch.tensor([1, 0], device=chosen.device).expand(len(chosen), -1))
    slots = math.ceil(window / bank.shortest)
    cycle = chosen[:, None].expand(-1, slots)
    step = torch.ones(slots, dtype=torch.int64, device=chosen.device)
    if padding == "reflect":
        step[1::2] = -1
    if padding == "smart":
        if keys is None:
            raise ValueError("smart padding draws neighbours at random: it needs the samples' keys")
        before = uniform(keys, SMART_STREAM, slots) < 0.5
        before[:, 0] = False
        neighbour = torch.where(
            before, bank.previous[chosen][:, None], bank.following[chosen][:, None]
        )
        label = bank.label[neighbour.clamp(min=0)]
        fits = (label == bank.label[chosen][:, None]) | (label == NORMAL)
        fits &= neighbour >= 0
        fits[:, 0] = False
        cycle = torch.where(fits, neighbour, cycle)
    return Splice(cycle, step.expand(len(chosen), -1))


def gather(bank: CycleBank, splice: Splice, window: int) -> Tensor:
    """Join each splice's cycles and cut to the window.

    Args:
        bank: the cycles.
        splice: [B, K]; its cycles must fill the window.
        window: samples T in a window.

    Returns:
        float32 [B, T] in (-1, 1).
    """
    batch = len(splice.cycle)
    length = bank.length[splice.cycle].masked_fill(splice.step == 0, window)
    end = length.cumsum(1).clamp(max=window)
    start = torch.cat([torch.zeros_like(end[:, :1]), end[:, :-1]], dim=1)
    # Sample t of the window is audio[origin + step * t], with origin and step fixed in a segment.
    first = bank.first[splice.cycle]
    edge = torch.where(splice.step < 0, first + length - 1, first)
    origin = torch.where(splice.step == 0, bank.silence, edge - splice.step * start)
    segment = torch.repeat_interleave(
        torch.arange(origin.numel(), device=end.device),
        (end - start).flatten(),
        output_size=batch * window,
    )
    time = torch.arange(window, device=end.device).repeat(batch)
    index = origin.flatten()[segment] + splice.step.flatten()[segment] * time
    return (bank.audio[index].to(torch.float32) / FULL_SCALE).view(batch, window)
