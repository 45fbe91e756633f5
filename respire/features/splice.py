"""Splice: which cycles, in which order, fill a window (paper section 2.1).

Padding a short cycle and concatenating two are the same act: choose a sequence of cycles, join
them, cut to the window. Splices are laid out for the bank's audio on the host, and a batch of them
becomes waveforms by one gather from it.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from respire.data.rows import FULL_SCALE
from respire.features.bank import CycleBank
from respire.features.concatenate import Lead, alone
from respire.features.keyed import uniform
from respire.labels import NORMAL
from respire.recipe.fields import Padding

SMART_STREAM = 1
"""Stream of random numbers that chooses neighbours in smart padding."""
SIDE_STREAM = 3
"""Stream that chooses the side in "repeat-either-side"."""


@dataclass(frozen=True)
class Splice:
    """A batch of sequences of cycles, in host memory.

    Attributes:
        cycle: int64 [B, K], indices into the bank.
        step: int64 [B, K], 1 for a cycle as recorded, -1 for one reversed, 0 for silence that
            lasts to the end of the window.
        skip: int64 [B], samples of the joined cycles that lie before the window.
    """

    cycle: Tensor
    step: Tensor
    skip: Tensor


@dataclass(frozen=True)
class Layout:
    """Splices as the bank's audio is read for them, on the audio's device.

    A window's index into the audio advances by its step, one sample a sample; where a cycle begins
    it jumps, and the step may change.

    Attributes:
        place: int64 [B, K], the samples of the window where cycles begin; T for what lies outside.
        jump: int64 [B, K], by how much the index jumps there.
        change: int64 [B, K], by how much the step changes there; None where it is 1 throughout.
    """

    place: Tensor
    jump: Tensor
    change: Tensor | None

    def split(self, sizes: list[int]) -> list["Layout"]:
        """The batch in parts of these sizes."""
        place, jump = self.place.split(sizes), self.jump.split(sizes)
        change = [None] * len(sizes) if self.change is None else self.change.split(sizes)
        return [Layout(*part) for part in zip(place, jump, change, strict=True)]


def pad(
    bank: CycleBank,
    chosen: Tensor,
    window: int,
    padding: Padding,
    keys: Tensor | None = None,
    lead: Lead | None = None,
) -> Splice:
    """Fill windows that start with the chosen cycles i, or with what CBA made of them, i and j.

    ======================  ================================================================
    ``zero``                [i, silence]
    ``repeat``              [i, i, ...]
    ``repeat-either-side``  the same, or by a coin such that the window ends as the cycle does
                            (released code)
    ``reflect``             [i, reversed i, i, ...]
    ``smart``               [i, then again and again the cycle just before or just after in the
                            same recording, by a coin, if its class is the sample's or normal,
                            else i itself] (paper 2.1, "Smart Padding")
    ======================  ================================================================

    With a second cycle j, "i" above reads "i, j", but for ``smart``: there the neighbours are those
    of j, the cycle that is to be continued.

    Args:
        bank: the cycles.
        chosen: int64 [B], the cycle each window is of.
        window: samples in a window.
        padding: the scheme.
        keys: int64 [B], keys of the samples, needed by ``smart`` and ``repeat-either-side``.
        lead: what the windows start with; each chosen cycle alone if left out.

    Raises:
        ValueError: a scheme with chance in it, without keys.
    """
    lead = lead or alone(chosen)
    if keys is None and padding in ("smart", "repeat-either-side"):
        raise ValueError(f"{padding} padding draws at random: it needs the samples' keys")
    paired = (lead.second >= 0)[:, None]
    last = torch.where(lead.second >= 0, lead.second, lead.first)
    slot = torch.arange(slots(bank, window, padding))
    # The slots of [i, j, i, j, ...] and, as every cycle is its own pair, of [i, i, ...].
    cycle = torch.where(slot % 2 == 0, lead.first[:, None], last[:, None])
    step = torch.ones_like(cycle)
    skip = torch.zeros_like(chosen)
    if padding == "zero":
        step = torch.where(slot < torch.where(paired, 2, 1), 1, 0)
    elif padding == "reflect":
        step = torch.where((slot // torch.where(paired, 2, 1)) % 2 == 0, 1, -1)
        backwards = torch.where(slot % 2 == 0, last[:, None], lead.first[:, None])
        cycle = torch.where(step < 0, backwards, cycle)
    elif padding == "repeat-either-side":
        assert keys is not None
        unit = bank.length[lead.first] + bank.length[last] * (lead.second >= 0)
        copies = (window + unit - 1) // unit
        ends_with_cycle = (uniform(keys, SIDE_STREAM, 1)[:, 0] < 0.5) & (unit < window)
        skip = torch.where(ends_with_cycle, copies * unit - window, 0)
    elif padding == "smart":
        assert keys is not None
        before = uniform(keys, SMART_STREAM, len(slot)) < 0.5
        neighbour = torch.where(before, bank.previous[last][:, None], bank.following[last][:, None])
        label = bank.label[neighbour.clamp(min=0)]
        fits = (label == bank.label[chosen][:, None]) | (label == NORMAL)
        fits &= (neighbour >= 0) & (slot >= torch.where(paired, 2, 1))
        cycle = torch.where(fits, neighbour, torch.where(slot >= 1, last[:, None], cycle))
    return Splice(cycle, step.expand(cycle.shape), skip)


def slots(bank: CycleBank, window: int, padding: Padding) -> int:
    """K, the cycles of each splice: as many as fill a window with the shortest one."""
    return max(2 * math.ceil(window / bank.shortest / 2), 2) if padding != "zero" else 3


def gather(bank: CycleBank, splice: Splice, window: int) -> Tensor:
    """Join each splice's cycles, which must fill the window of T samples, and cut to it.

    float32 [B, T] in (-1, 1), on the bank's device.
    """
    return read(bank, lay_out(bank, splice, window), window)


def lay_out(bank: CycleBank, splice: Splice, window: int) -> Layout:
    """Where in the bank's audio the windows of T samples lie."""
    length = bank.length[splice.cycle].masked_fill(splice.step == 0, window)
    end = length.cumsum(1) - splice.skip[:, None]
    begin = end - length
    # Where in the bank each cycle's first and last sample of the joined sequence lie.
    low, span = bank.first[splice.cycle], splice.step * (length - 1)
    first = torch.where(splice.step < 0, low - span, low).masked_fill(
        splice.step == 0, bank.silence
    )
    last = first + span
    entry = first - splice.step * begin.clamp(max=0)
    after = begin > 0
    jump = entry - torch.where(after, last.roll(1, 1), 0)
    change = splice.step - torch.where(after, splice.step.roll(1, 1), 0)
    place = torch.where((end > 0) & (begin < window), begin.clamp(min=0), window)
    forwards = bool((splice.step == 1).all())
    device = bank.audio.device
    place, jump = (part.to(device, non_blocking=True) for part in (place, jump))
    return Layout(place, jump, None if forwards else change.to(device, non_blocking=True))


def read(bank: CycleBank, layout: Layout, window: int) -> Tensor:
    """The audio of the windows, float32 [B, T] in (-1, 1), on the bank's device."""
    # One column more than the window, for the cycles that lie outside it.
    shape, device = (len(layout.place), window + 1), bank.audio.device
    if layout.change is None:
        index = torch.ones(shape, dtype=torch.int64, device=device)
    else:
        index = torch.zeros(shape, dtype=torch.int64, device=device)
        index.scatter_(1, layout.place, layout.change).cumsum_(1)
    index.scatter_(1, layout.place, layout.jump)
    index[:, window] = 0
    audio = bank.audio.index_select(0, index.cumsum_(1).view(-1)).view(shape)
    if bank.in_host_memory:
        audio = _sent(audio, bank.device)
    return audio[:, :window].to(torch.float32).div_(FULL_SCALE)


def _sent(audio: Tensor, device: torch.device) -> Tensor:
    """The same on the device; a GPU fetches it from pinned memory while the host goes on."""
    audio = audio.pin_memory() if device.type == "cuda" else audio
    return audio.to(device, non_blocking=True)
