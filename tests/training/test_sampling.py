import numpy as np
import pytest
import torch
from cycle_rows import cycles_table
from hypothesis import given, settings
from hypothesis import strategies as st

from respire.errors import InputError
from respire.features.bank import CycleBank
from respire.training.sampling import World, plan_epoch

TABLE = cycles_table([[50, 60, 70]] * 12, [[0, 0, 1], [0, 0, 0], [0, 2, 3]] * 4)
BANK = CycleBank.from_table(TABLE, "4-class")


def test_every_class_is_drawn_equally_often_though_the_bank_is_skewed():
    plan = plan_epoch(BANK, 40_000, 64, 0, 1, World(), shard=False)
    counts = np.bincount(BANK.cycles["label"].to_numpy()[plan.cycle.flatten()], minlength=4)
    np.testing.assert_allclose(counts / counts.sum(), 0.25, atol=0.01)


def test_every_cycle_of_a_class_is_drawn_equally_often():
    plan = plan_epoch(BANK, 40_000, 64, 0, 1, World(), shard=False)
    counts = np.bincount(plan.cycle.flatten(), minlength=len(BANK))
    for label in range(4):
        mine = counts[BANK.cycles["label"] == label]
        np.testing.assert_allclose(mine / mine.sum(), 1 / len(mine), atol=0.02)


@settings(max_examples=30)
@given(st.integers(1, 300), st.integers(0, 5))
def test_no_cycle_comes_again_before_all_have_come(windows, seed):
    plan = plan_epoch(BANK, windows, 8, seed, 1, World(), False, "cycle-uniform")
    drawn = plan.cycle.flatten()
    for start in range(0, len(drawn), len(BANK)):
        part = drawn[start : start + len(BANK)]
        assert len(part.unique()) == len(part)
    assert not torch.equal(drawn, drawn.sort().values)


@settings(max_examples=30)
@given(st.integers(1, 300), st.sampled_from([1, 2, 4]), st.integers(0, 5), st.integers(1, 5))
def test_replicated_workers_together_see_exactly_one_workers_samples(windows, n, seed, epoch):
    alone = plan_epoch(BANK, windows, 8, seed, epoch, World(), shard=False)
    parts = [plan_epoch(BANK, windows, 8, seed, epoch, World(r, n), shard=False) for r in range(n)]
    assert torch.equal(torch.cat([p.cycle for p in parts], 1), alone.cycle)
    assert torch.equal(torch.cat([p.sample for p in parts], 1), alone.sample)


def test_sharded_workers_draw_as_many_windows_with_keys_of_their_own():
    parts = [plan_epoch(BANK, 100, 8, 0, 1, World(r, 2), shard=True) for r in range(2)]
    assert parts[0].cycle.shape == parts[1].cycle.shape == (13, 4)
    assert not torch.equal(parts[0].cycle, parts[1].cycle)
    samples = torch.cat([p.sample.flatten() for p in parts])
    assert sorted(samples.tolist()) == list(range(104))


def test_epochs_and_seeds_differ_and_repeat():
    first = plan_epoch(BANK, 100, 8, 0, 1, World(), shard=False)
    assert torch.equal(first.cycle, plan_epoch(BANK, 100, 8, 0, 1, World(), shard=False).cycle)
    for seed, epoch in ((0, 2), (1, 1)):
        other = plan_epoch(BANK, 100, 8, seed, epoch, World(), shard=False)
        assert not torch.equal(first.cycle, other.cycle)


def test_a_batch_that_the_workers_do_not_divide_is_refused():
    with pytest.raises(InputError, match="3 workers do not divide"):
        plan_epoch(BANK, 100, 8, 0, 1, World(0, 3), shard=False)
