"""What the loss makes of the classes: their weights, and how common they are to the network."""

import torch
from torch import Tensor

from respire.labels import NORMAL
from respire.recipe.fields import Optimisation
from respire.recipe.recipe import Recipe


def class_importance(recipe: Recipe, optimisation: Optimisation) -> Tensor:
    """Weight of each class in the loss, float32 [C], with a mean of 1.

    The mean is over classes, as class-uniform batches hold them: the loss of all workers' batches
    together then needs no further normalisation (torch's divides by each worker's own weights).
    """
    importance = torch.ones(len(recipe.classes))
    importance[NORMAL] = optimisation.normal_loss_weight
    return importance / importance.mean()


def logit_adjustment(cycles: Tensor, optimisation: Optimisation) -> Tensor:
    """How much likelier than in the batches each class is to the network, as logarithms [C].

    A network that is trained on its logits less these learns logits that have them in (logit
    adjustment; Menon et al. 2021). A cycle called normal adds one part in all normal cycles to Sp,
    one called crackle one part in all abnormal ones to Se: with a prior of 1 normal is as common
    as the abnormal classes together, these as in the training cycles; with less, the logarithms
    are as much smaller. ``cycles`` counts the training cycles of each class, int64 [C].
    """
    share = cycles.clamp(min=1).float()
    abnormal = torch.arange(len(cycles), device=cycles.device) != NORMAL
    in_score = torch.where(abnormal, share / share[abnormal].sum(), 1.0)
    in_batches = share if optimisation.sampling == "cycle-uniform" else torch.ones_like(share)
    return optimisation.prior * in_score.log() - in_batches.log()
