"""Random numbers keyed by what they are for, not by when they are drawn.

A sample's key is a function of (training seed, epoch, global sample index), so its augmentation
is the same whichever worker computes it, on whichever device, before or after a restart.
"""

import torch
from torch import Tensor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as int64
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical right shift of int64."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    """SplitMix64's finalizer (Steele, Lea and Flood 2014), on int64 [...]."""
    x = (x ^ _shift(x, 30)) * _MIX_1
    x = (x ^ _shift(x, 27)) * _MIX_2
    return x ^ _shift(x, 31)


def sample_keys(seed: int, epoch: int, index: Tensor) -> Tensor:
    """One key a sample, int64 [B], from its global index in the epoch, int64 [B]."""
    run = _mix(torch.tensor([seed], device=index.device) * _GOLDEN + epoch)
    return _mix(_mix(run) + (index + 1) * _GOLDEN)


def uniform(keys: Tensor, stream: int, count: int) -> Tensor:
    """Uniform numbers in [0, 1), float32 [B, count], for keys, int64 [B].

    ``stream`` is which of a sample's random choices this is; streams are independent.
    """
    counter = torch.arange(1, count + 1, device=keys.device) * _GOLDEN
    bits = _mix(_mix(_mix(keys) + stream)[:, None] + counter)
    return _shift(bits, 40).to(torch.float32) * 2.0**-24
