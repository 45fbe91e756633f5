"""From log-probabilities to a class: the one rule by which everything is decided."""

import torch
from torch import Tensor

from respire.labels import NORMAL


def log_prior(counts: Tensor) -> Tensor:
    """How common each class is in the Score, as logarithms: float32 [..., C].

    A cycle called normal adds one part in all normal cycles to Sp, one called crackle one part in
    all abnormal ones to Se: so normal is as common as the abnormal classes together, and these are
    as in the training cycles, whose ``counts`` by class are int64 [..., C].
    """
    share = counts.clamp(min=1).float()
    abnormal = torch.arange(counts.shape[-1], device=counts.device) != NORMAL
    return torch.where(abnormal, share / share[..., abnormal].sum(-1, keepdim=True), 1.0).log()


def under_prior(logits: Tensor, counts: Tensor, change: Tensor | float) -> Tensor:
    """What log-probabilities become under another prior.

    A prior says how common the classes are: at 0 all equally, at 1 as they count in the Score, in
    which the likeliest class is the one that adds most to it (``log_prior``).

    Args:
        logits: float [n, C], under the training prior; -inf for what is never called.
        counts: the training cycles of each class, int64 [C] or [n, C].
        change: the prior that is wanted less that of training, one for all or float [n, 1].

    Returns:
        float [n, C], up to a constant of each row.
    """
    return logits + change * log_prior(counts)


def decide(logits: Tensor, counts: Tensor, change: Tensor | float) -> Tensor:
    """The likeliest class of each row under a prior (``under_prior``), int64 [n]."""
    return under_prior(logits, counts, change).argmax(1)
