from itertools import pairwise

import numpy as np
import pytest
import torch
from cycle_rows import cycles_table
from hypothesis import given, settings
from hypothesis import strategies as st

from respire.benchmark.per_sample import Entry, Sample, fill_window
from respire.data.rows import FULL_SCALE
from respire.features.bank import CycleBank
from respire.features.concatenate import Lead, alone
from respire.features.keyed import sample_keys, uniform
from respire.features.splice import SIDE_STREAM, SMART_STREAM, Splice, gather, pad
from respire.recipe.fields import Padding

RECORDINGS = st.lists(
    st.lists(st.tuples(st.integers(1, 60), st.integers(0, 3)), min_size=1, max_size=5),
    min_size=1,
    max_size=4,
)
WINDOW = st.integers(1, 200)
PADDINGS = ["zero", "repeat", "repeat-either-side", "reflect", "smart"]


def bank_of(recordings: list[list[tuple[int, int]]]) -> CycleBank:
    lengths = [[n for n, _ in recording] for recording in recordings]
    labels = [[label for _, label in recording] for recording in recordings]
    return CycleBank.from_table(cycles_table(lengths, labels), "4-class")


def cycle_audio(bank: CycleBank, index: int) -> np.ndarray:
    first, length = int(bank.first[index]), int(bank.length[index])
    return bank.audio[first : first + length].numpy().astype(np.float32) / np.float32(FULL_SCALE)


def entries_of(bank: CycleBank) -> list[Entry]:
    return [
        Entry(
            cycle_audio(bank, index),
            int(bank.label[index]),
            None if bank.previous[index] < 0 else int(bank.previous[index]),
            None if bank.following[index] < 0 else int(bank.following[index]),
        )
        for index in range(len(bank))
    ]


def filled(
    bank: CycleBank, lead: Lead, label: torch.Tensor, window: int, padding: Padding, keys
) -> np.ndarray:
    """One window at a time, one cycle at a time."""
    entries = entries_of(bank)
    takes_before = uniform(keys, SMART_STREAM, window + 2) < 0.5
    ends_with_cycle = uniform(keys, SIDE_STREAM, 1)[:, 0] < 0.5
    windows = []
    for row, pair in enumerate(zip(lead.first.tolist(), lead.second.tolist(), strict=True)):
        made_of = tuple(index for index in pair if index >= 0)
        sample = Sample(
            int(label[row]), made_of, takes_before[row].tolist(), bool(ends_with_cycle[row])
        )
        windows.append(fill_window(entries, sample, window, padding))
    return np.stack(windows)


@settings(max_examples=100)
@given(RECORDINGS, WINDOW, st.sampled_from(PADDINGS), st.integers(0, 1000))
def test_windows_of_single_cycles_are_those_of_a_loop(recordings, window, padding, seed):
    bank = bank_of(recordings)
    chosen = torch.arange(len(bank))
    keys = sample_keys(seed, 1, chosen)
    windows = gather(bank, pad(bank, chosen, window, padding, keys), window)
    assert windows.dtype == torch.float32
    expected = filled(bank, alone(chosen), bank.label, window, padding, keys)
    np.testing.assert_array_equal(windows.numpy(), expected)


@settings(max_examples=100)
@given(st.data(), RECORDINGS, WINDOW, st.sampled_from(PADDINGS), st.integers(0, 1000))
def test_windows_of_pairs_and_single_cycles_are_those_of_a_loop(
    data, recordings, window, padding, seed
):
    bank = bank_of(recordings)
    index = st.integers(0, len(bank) - 1)
    first = torch.tensor(data.draw(st.lists(index, min_size=1, max_size=6)))
    second = torch.tensor([data.draw(st.one_of(st.just(-1), index)) for _ in range(len(first))])
    # The sample's class is its own; under CBA the first cycle may be of another one.
    chosen = torch.tensor([data.draw(index) for _ in range(len(first))])
    lead = Lead(torch.where(second < 0, chosen, first), second)
    keys = sample_keys(seed, 1, chosen)
    windows = gather(bank, pad(bank, chosen, window, padding, keys, lead), window)
    expected = filled(bank, lead, bank.label[chosen], window, padding, keys)
    np.testing.assert_array_equal(windows.numpy(), expected)


@settings(max_examples=100)
@given(st.data(), RECORDINGS, st.integers(1, 80))
def test_one_gather_joins_any_splice(data, recordings, window):
    bank = bank_of(recordings)
    slots = -(-2 * window // min(bank.shortest, window))
    rows, index = data.draw(st.integers(1, 4)), st.integers(0, len(bank) - 1)
    cycle = torch.tensor([[data.draw(index) for _ in range(slots)] for _ in range(rows)])
    step = torch.tensor(
        [[data.draw(st.sampled_from([1, 1, -1, 0])) for _ in range(slots)] for _ in range(rows)]
    )
    skip = torch.tensor([data.draw(st.integers(0, window)) for _ in range(rows)])
    silence = np.zeros(window, np.float32)
    joined = [
        np.concatenate(
            [cycle_audio(bank, c)[::s] if s else silence for c, s in zip(cs, ss, strict=True)]
        )
        for cs, ss in zip(cycle.tolist(), step.tolist(), strict=True)
    ]
    expected = [
        sound[first : first + window] for sound, first in zip(joined, skip.tolist(), strict=True)
    ]
    windows = gather(bank, Splice(cycle, step, skip), window)
    np.testing.assert_array_equal(windows.numpy(), np.stack(expected))


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("second", [-1, 1], ids=["one cycle", "two cycles"])
def test_what_is_longer_than_the_window_is_clipped_at_its_end(padding, second):
    bank = bank_of([[(50, 0), (30, 0)]])
    chosen = torch.zeros(20, dtype=torch.int64)
    lead = Lead(chosen, torch.full_like(chosen, second))
    keys = sample_keys(0, 1, torch.arange(20))
    windows = gather(bank, pad(bank, chosen, 40, padding, keys, lead), 40)
    np.testing.assert_array_equal(windows.numpy(), np.tile(cycle_audio(bank, 0)[:40], (20, 1)))


def test_a_window_repeated_to_either_side_begins_or_ends_as_its_cycle_does():
    bank = bank_of([[(30, 0)]])
    chosen = torch.zeros(400, dtype=torch.int64)
    keys = sample_keys(0, 1, torch.arange(400))
    windows = gather(bank, pad(bank, chosen, 100, "repeat-either-side", keys), 100).numpy()
    cycle = cycle_audio(bank, 0)
    begins = (windows[:, :30] == cycle).all(1)
    ends = (windows[:, -30:] == cycle).all(1)
    assert (begins ^ ends).all()
    assert 0.4 < ends.mean() < 0.6


def test_a_pair_repeats_as_one_and_is_reversed_as_one():
    bank = bank_of([[(3, 0)], [(2, 0)]])
    i, j = cycle_audio(bank, 0), cycle_audio(bank, 1)
    lead = Lead(torch.tensor([0]), torch.tensor([1]))
    expected = {
        "zero": [i, j, np.zeros(8)],
        "repeat": [i, j, i, j, i[:3]],
        "reflect": [i, j, j[::-1], i[::-1], i],
    }
    for padding, parts in expected.items():
        window = gather(bank, pad(bank, lead.first, 13, padding, lead=lead), 13)
        np.testing.assert_array_equal(window[0].numpy(), np.concatenate(parts)[:13])


@settings(max_examples=60)
@given(RECORDINGS, WINDOW, st.integers(0, 1000))
def test_smart_padding_takes_only_neighbours_of_the_same_class_or_normal(recordings, window, seed):
    bank = bank_of(recordings)
    chosen = torch.arange(len(bank))
    splice = pad(bank, chosen, window, "smart", sample_keys(seed, 1, chosen))
    assert (splice.cycle[:, 0] == chosen).all()
    for index, slots in zip(chosen.tolist(), splice.cycle.tolist(), strict=True):
        own = bank.cycles.iloc[index]
        for slot in set(slots) - {index}:
            neighbour = bank.cycles.iloc[slot]
            assert abs(slot - index) == 1
            assert neighbour["recording"] == own["recording"]
            assert neighbour["label"] in (own["label"], 0)


def test_smart_padding_uses_both_neighbours_and_falls_back_on_the_cycle_itself():
    bank = bank_of([[(10, 0), (10, 1), (10, 1), (10, 2)], [(10, 1)]])
    chosen = torch.tensor([1, 2, 4]).repeat(20)
    splice = pad(bank, chosen, 400, "smart", sample_keys(3, 1, torch.arange(60)))
    taken = {index: set(splice.cycle[chosen == index].unique().tolist()) for index in (1, 2, 4)}
    assert taken == {1: {0, 1, 2}, 2: {1, 2}, 4: {4}}


def test_smart_padding_of_a_pair_continues_its_second_cycle():
    bank = bank_of([[(10, 0), (10, 1), (10, 0)], [(10, 0), (10, 0), (10, 2)]])
    chosen = torch.ones(40, dtype=torch.int64)
    lead = Lead(chosen, torch.full_like(chosen, 4))
    splice = pad(bank, chosen, 400, "smart", sample_keys(3, 1, torch.arange(40)), lead)
    assert (splice.cycle[:, :2] == torch.tensor([1, 4])).all()
    assert set(splice.cycle[:, 2:].unique().tolist()) == {3, 4}


@pytest.mark.parametrize("padding", ["smart", "repeat-either-side"])
def test_padding_by_chance_without_keys_is_refused(padding):
    with pytest.raises(ValueError, match="keys"):
        pad(bank_of([[(10, 0)]]), torch.tensor([0]), 20, padding)


@pytest.mark.parametrize("padding", ["smart", "repeat-either-side"])
def test_padding_is_the_same_whichever_batch_a_sample_falls_into(padding):
    bank = bank_of([[(7, 0), (11, 0), (5, 1)], [(9, 2), (4, 0)]])
    chosen = torch.tensor([0, 1, 2, 3, 4, 1])
    keys = sample_keys(5, 2, torch.arange(6))
    whole = gather(bank, pad(bank, chosen, 100, padding, keys), 100)
    parts = [
        gather(bank, pad(bank, chosen[a:b], 100, padding, keys[a:b]), 100)
        for a, b in pairwise((0, 2, 5, 6))
    ]
    assert torch.equal(whole, torch.cat(parts))
