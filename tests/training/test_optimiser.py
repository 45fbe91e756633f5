"""The average of weights that is kept, against its recursion in plain numbers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from respire.training.optimiser import average_of


def averaged(decay: float, values: list[float]) -> nn.Module:
    """A network that had these weights and running statistics, step after step."""
    network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    average = average_of(network, decay)
    assert average is not None
    for step, value in enumerate(values):
        with torch.no_grad():
            network[0].weight.fill_(value)
            network[1].running_mean.fill_(-value)
            network[1].num_batches_tracked.fill_(step)
        average.update_parameters(network)
    return average.module


@given(st.floats(0.01, 0.999), st.lists(st.floats(-9, 9, width=32), min_size=1, max_size=30))
def test_it_decays_by_its_factor_and_faster_while_there_were_few_steps(
    decay: float, values: list[float]
) -> None:
    expected = values[0]
    for step, value in enumerate(values[1:], 1):
        kept = min(decay, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * value
    network = averaged(decay, values)
    assert network[0].weight.item() == pytest.approx(expected, abs=1e-4)
    assert network[1].running_mean.item() == pytest.approx(-expected, abs=1e-4)


def test_the_first_step_is_forgotten_within_an_epoch_of_a_small_device() -> None:
    left = averaged(0.99, [1.0] + [0.0] * 11)[0].weight.item()
    assert left < 0.01 < 0.99**11


def test_there_is_none_unless_it_is_wanted() -> None:
    assert average_of(nn.Linear(1, 1), 0.0) is None
