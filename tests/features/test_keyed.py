import numpy as np
import torch
from scipy.stats import kstest

from respire.features.keyed import sample_keys, uniform


def test_numbers_are_uniform_and_neighbouring_keys_are_uncorrelated():
    draws = uniform(sample_keys(7, 3, torch.arange(4000)), 1, 10).double().numpy()
    assert kstest(draws.ravel(), "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(draws[:-1, 0], draws[1:, 0])[0, 1]) < 0.06
    assert np.abs(np.corrcoef(draws.T) - np.eye(10)).max() < 0.08


def test_seed_epoch_index_and_stream_each_change_the_numbers():
    index = torch.arange(50)
    base = uniform(sample_keys(0, 1, index), 1, 3)
    for other in (
        uniform(sample_keys(1, 1, index), 1, 3),
        uniform(sample_keys(0, 2, index), 1, 3),
        uniform(sample_keys(0, 1, index + 50), 1, 3),
        uniform(sample_keys(0, 1, index), 2, 3),
    ):
        assert (base == other).float().mean() < 0.01


def test_a_sample_keeps_its_numbers_in_any_batch():
    index = torch.arange(10)
    assert torch.equal(
        uniform(sample_keys(4, 2, index), 1, 5)[6:], uniform(sample_keys(4, 2, index[6:]), 1, 5)
    )
