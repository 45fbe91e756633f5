"""What passes between host and GPU in training steps, counted on any machine.

The training loop runs on torch's "meta" device in the GPU's place: there tensors have shapes and no
numbers, and the host's work is all that is done.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.fx.experimental import _config
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from respire.benchmark.noise_bank import noise_bank
from respire.features.bank import CycleBank
from respire.models.network import network_of
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute
from respire.training.loop import Fit, fit

COPIES, WAITS = "copies to the device", "waits for the device"
_ATEN = torch.ops.aten
_MOVES = (_ATEN._to_copy.default, _ATEN.copy_.default)
_ANSWERS = (_ATEN._local_scalar_dense.default, _ATEN.equal.default, _ATEN.is_nonzero.default)
_SIZED_BY_VALUES = (_ATEN.nonzero.default, _ATEN.index.Tensor)


class Traffic(TorchDispatchMode):
    """Counts copies from host to device and waits of the host, and refuses what mixes the two.

    A wait is a number, or a tensor, that the host reads from the device, or one whose values decide
    the size of another. Read tensors are 0 here, and all that may be chosen is.

    Attributes:
        number: what read numbers are here.
        counts: COPIES and WAITS.
    """

    def __init__(self, number: int = 1) -> None:
        super().__init__()
        self.number = number
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Look at one operation."""
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        there = [tensor for tensor in tensors if tensor.is_meta]
        here = [tensor for tensor in tensors if not tensor.is_meta and tensor.dim() > 0]
        if func in _MOVES:
            source, target = args[0], kwargs.get("device")
            if func is _ATEN.copy_.default:
                target, source = args[0].device, args[1]
            to_device = target is not None and torch.device(target).type == "meta"
            if to_device and not source.is_meta:
                self.counts[COPIES] += 1
            if source.is_meta and target is not None and not to_device:
                self.counts[WAITS] += 1
                return torch.zeros(source.shape, dtype=kwargs.get("dtype") or source.dtype)
        elif there and here:
            raise AssertionError(f"{func} mixes tensors of the host and of the device")
        elif there and func in _ANSWERS:
            self.counts[WAITS] += 1
            return self.number
        elif there and func in _SIZED_BY_VALUES:
            chooses = func is _ATEN.nonzero.default or any(
                index is not None and index.dtype == torch.bool for index in args[1]
            )
            self.counts[WAITS] += chooses
            with patch.object(_config, "meta_nonzero_assume_all_nonzero", True):
                return func(*args, **kwargs)
        return func(*args, **kwargs)


@dataclass(frozen=True)
class _Meta(Compute):
    """The stand-in of a GPU; autocast knows no such device, and would change no count."""

    def autocast(self) -> Any:
        return nullcontext()


def traffic_of_steps(recipe: Recipe, steps: tuple[int, int] = (2, 6)) -> dict[str, float]:
    """Copies and waits of one step of ``fit()``, in the mean.

    An epoch's own, of which there are as many whether it is short or long, fall out of the
    difference of two epochs.

    Args:
        recipe: of images, network, optimiser and batch.
        steps: of the shorter and of the longer epoch.
    """
    short, long = (traffic_of_epoch(recipe, count) for count in steps)
    return {name: (long[name] - short[name]) / (steps[1] - steps[0]) for name in (COPIES, WAITS)}


def traffic_of_epoch(recipe: Recipe, steps: int) -> Counter[str]:
    """Copies and waits of an epoch of so many steps, its beginning and end included."""
    bank = noise_bank(steps * recipe.optimisation.batch_size, recipe, "meta")
    with Traffic(len(bank)) as traffic:  # fit() asks the device how many windows there are
        run = _trained(recipe, bank)
    assert len(run.history) == 1
    return traffic.counts


def _trained(recipe: Recipe, bank: CycleBank) -> Fit:
    optimisation = replace(recipe.optimisation, epochs=1)
    given = (recipe, optimisation, _Meta("meta", "fp32"))
    return fit(network_of(recipe), bank, None, *given, seed=0)
