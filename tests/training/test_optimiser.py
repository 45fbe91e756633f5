"""The average of weights that is kept, against its recursion in plain numbers and torch's own."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from respire.models.network import respirenet
from respire.recipe.fields import Model
from respire.training.optimiser import MovingAverage


def averaged(decay: float, values: list[float]) -> nn.Module:
    """A network that had these weights and running statistics, step after step."""
    network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    average = MovingAverage(network, decay)
    for step, value in enumerate(values):
        with torch.no_grad():
            network[0].weight.fill_(value)
            network[1].running_mean.fill_(-value)
            network[1].num_batches_tracked.fill_(step)
        average.update()
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


def test_it_is_that_of_torch_bit_by_bit_and_counts_as_the_network_does() -> None:
    torch.manual_seed(0)
    network = respirenet(Model(backbone="shufflenet_v2_x0_5", weights="none"), 4)

    def decays_faster_at_first(kept, new, steps) -> None:  # type: ignore[no-untyped-def]
        decay = min(0.9, (1 + int(steps)) / (10 + int(steps)))
        get_ema_multi_avg_fn(decay)(kept, new, steps)

    ours = MovingAverage(network, 0.9)
    theirs = AveragedModel(network, multi_avg_fn=decays_faster_at_first, use_buffers=True)
    for step in range(12):
        with torch.no_grad():
            for tensor in network.state_dict().values():
                tensor.copy_(torch.randn(tensor.shape) if tensor.is_floating_point() else step)
        ours.update()
        theirs.update_parameters(network)
        if step == 5:  # a checkpoint of either is one of the other
            again = MovingAverage(network, 0.9)
            again.load_state_dict(theirs.state_dict())
            ours = again
    for name, averaged in theirs.state_dict().items():
        if averaged.is_floating_point():
            assert torch.equal(ours.state_dict()[name], averaged), name
    assert int(ours.n_averaged) == 12
    counts = {n: b for n, b in network.named_buffers() if n.endswith("num_batches_tracked")}
    assert all(int(ours.module.state_dict()[name]) == int(counts[name]) == 11 for name in counts)


def test_a_network_without_counts_is_averaged_too() -> None:
    network = nn.Linear(2, 1)
    average = MovingAverage(network, 0.5)
    average.update()
    assert torch.equal(average.module.weight, network.weight)
