import dataclasses

import pytest
import torch

from respire.recipe.fields import Optimisation
from respire.recipe.recipe import Recipe
from respire.training.loss import class_importance, logit_adjustment

RECIPE, OPTIMISATION = Recipe(), Optimisation()


def test_equal_weights_of_classes_are_no_weights():
    recipe = dataclasses.replace(RECIPE, task="2-class")
    assert class_importance(recipe, recipe.optimisation).tolist() == [1, 1]
    third = dataclasses.replace(recipe.optimisation, normal_loss_weight=1 / 3)
    released = torch.tensor([0.1, 0.3, 0.3, 0.3])
    torch.testing.assert_close(class_importance(RECIPE, third), released / released.mean())


@pytest.mark.parametrize("sampling", ["class-uniform", "cycle-uniform"])
def test_the_scores_prior_makes_the_likeliest_class_the_one_that_adds_most_to_the_score(sampling):
    cycles = torch.tensor([400, 60, 30, 10])
    alike = torch.tensor([0.2, 0.5, 0.2, 0.1])  # probabilities if all classes were as common
    seen = alike * cycles
    worth = seen / torch.tensor([400.0, 100.0, 100.0, 100.0])
    optimisation = dataclasses.replace(OPTIMISATION, sampling=sampling)
    learned = alike if sampling == "class-uniform" else seen

    def probabilities(prior: float) -> torch.Tensor:
        adjustment = logit_adjustment(cycles, dataclasses.replace(optimisation, prior=prior))
        return (learned.log() + adjustment).softmax(0)

    torch.testing.assert_close(probabilities(1.0), worth / worth.sum())
    torch.testing.assert_close(probabilities(0.0), alike)
    assert probabilities(0.0)[0] < probabilities(0.5)[0] < probabilities(1.0)[0]


def test_a_class_without_cycles_is_no_reason_to_fail():
    for sampling in ("class-uniform", "cycle-uniform"):
        optimisation = dataclasses.replace(OPTIMISATION, sampling=sampling, prior=1.0)
        assert logit_adjustment(torch.tensor([7, 0, 5, 0]), optimisation).isfinite().all()
