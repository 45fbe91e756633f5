"""What the loss makes of the classes: their weights, and how common they are to the network."""

import torch
from torch import Tensor

from respire.labels import NORMAL
from respire.models.decision import log_prior
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
    adjustment; Menon et al. 2021), and so calls what is likeliest under the recipe's prior
    (models/decision.py). ``cycles`` counts the training cycles of each class, int64 [C].
    """
    share = cycles.clamp(min=1).float()
    in_batches = share if optimisation.sampling == "cycle-uniform" else torch.ones_like(share)
    return optimisation.prior * log_prior(cycles) - in_batches.log()
