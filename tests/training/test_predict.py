import dataclasses

import numpy as np
import torch
from cycle_rows import cycles_table
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from respire.features.bank import CycleBank
from respire.features.pipeline import Pipeline
from respire.labels import CLASSES
from respire.recipe.fields import Features
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute
from respire.training.predict import count_votes, predict

RECIPE = Recipe(features=Features(window_seconds=0.5, long_cycles="windows", n_mels=32, upsample=1))


class Recited(nn.Module):
    """Gives out prepared logits, whatever it sees."""

    def __init__(self, logits: torch.Tensor):
        super().__init__()
        self.logits, self.given = logits, 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.given += len(images)
        return self.logits[self.given - len(images) : self.given]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=40))
def test_the_majority_of_a_cycles_windows_wins_and_of_equals_the_first_class(windows):
    whole = torch.tensor([cycle for cycle, _ in windows])
    predicted = np.array([label for _, label in windows])
    logits = torch.eye(4)[predicted]
    votes = count_votes(logits, whole, 5).argmax(1)
    for cycle in set(whole.tolist()):
        counted = np.bincount(predicted[whole.numpy() == cycle], minlength=4)
        assert votes[cycle] == counted.argmax()


def test_windows_vote_on_the_class_and_average_their_probabilities():
    # Of half-overlapping windows of 0.5 s the first cycle has four, the others one each.
    bank = CycleBank.from_table(cycles_table([[4500, 1000], [1500]], [[1, 0], [2]]), "4-class")
    logits = torch.tensor([[2.0, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1]])
    pipeline = Pipeline(RECIPE, "cpu")
    assert pipeline.windows(bank).whole.tolist() == [0, 0, 0, 0, 1, 2]
    logits = torch.cat([logits[:1], logits])
    table = predict(Recited(logits), pipeline, bank, CLASSES["4-class"], Compute("cpu", "fp32"))
    assert table["predicted"].tolist() == [0, 2, 3]
    columns = [f"p_{name}" for name in CLASSES["4-class"]]
    expected = [logits[:4].softmax(1).mean(0), logits[4].softmax(0), logits[5].softmax(0)]
    np.testing.assert_allclose(table[columns].to_numpy(), torch.stack(expected), atol=1e-6)
    assert table["label"].tolist() == [1, 0, 2]


def test_clipped_cycles_are_predicted_one_by_one():
    clipped = dataclasses.replace(
        RECIPE, features=dataclasses.replace(RECIPE.features, long_cycles="clip")
    )
    bank = CycleBank.from_table(cycles_table([[4500, 1000], [1500]]), "4-class")
    logits = torch.eye(4)[:3]
    table = predict(
        Recited(logits),
        Pipeline(clipped, "cpu"),
        bank,
        CLASSES["4-class"],
        Compute("cpu", "fp32"),
    )
    assert table["predicted"].tolist() == [0, 1, 2]
