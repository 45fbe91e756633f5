import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import cycles_table

from respire.features.bank import FULL_SCALE, CycleBank
from respire.features.keyed import sample_keys
from respire.features.splice import Splice, gather, pad

RECORDINGS = st.lists(
    st.lists(st.tuples(st.integers(1, 60), st.integers(0, 3)), min_size=1, max_size=5),
    min_size=1,
    max_size=4,
)


def bank_of(recordings: list[list[tuple[int, int]]]) -> CycleBank:
    lengths = [[n for n, _ in recording] for recording in recordings]
    labels = [[label for _, label in recording] for recording in recordings]
    return CycleBank.from_table(cycles_table(lengths, labels), "4-class")


def cycle_audio(bank: CycleBank, index: int, step: int, window: int) -> np.ndarray:
    if step == 0:
        return np.zeros(window, np.float32)
    first, length = int(bank.first[index]), int(bank.length[index])
    audio = bank.audio[first : first + length].numpy().astype(np.float32) / np.float32(FULL_SCALE)
    return audio[::step]


def joined(bank: CycleBank, splice: Splice, window: int) -> np.ndarray:
    """One splice at a time, one cycle at a time."""
    return np.stack(
        [
            np.concatenate(
                [
                    cycle_audio(bank, int(c), int(s), window)
                    for c, s in zip(cycles, steps, strict=True)
                ]
            )[:window]
            for cycles, steps in zip(splice.cycle, splice.step, strict=True)
        ]
    )


@settings(max_examples=60, deadline=None)
@given(RECORDINGS, st.integers(1, 200), st.sampled_from(["zero", "repeat", "reflect", "smart"]))
def test_one_gather_joins_what_a_loop_over_cycles_joins(recordings, window, padding):
    bank = bank_of(recordings)
    chosen = torch.arange(len(bank))
    splice = pad(bank, chosen, window, padding, sample_keys(0, 1, chosen))
    windows = gather(bank, splice, window)
    assert windows.shape == (len(bank), window)
    np.testing.assert_array_equal(windows.numpy(), joined(bank, splice, window))


@settings(max_examples=60, deadline=None)
@given(RECORDINGS, st.integers(1, 200), st.integers(0, 1000))
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


def test_smart_padding_without_keys_is_refused():
    with pytest.raises(ValueError, match="keys"):
        pad(bank_of([[(10, 0)]]), torch.tensor([0]), 20, "smart")


def test_padding_is_the_same_whichever_batch_a_sample_falls_into():
    bank = bank_of([[(7, 0), (11, 0), (5, 1)], [(9, 2), (4, 0)]])
    chosen = torch.tensor([0, 1, 2, 3, 4, 1])
    keys = sample_keys(5, 2, torch.arange(6))
    whole = gather(bank, pad(bank, chosen, 100, "smart", keys), 100)
    parts = [
        gather(bank, pad(bank, c, 100, "smart", k), 100)
        for c, k in zip(chosen.split(2), keys.split(2), strict=True)
    ]
    assert torch.equal(whole, torch.cat(parts))


def test_a_cycle_longer_than_the_window_is_clipped_at_its_end():
    bank = bank_of([[(50, 0)]])
    window = gather(bank, pad(bank, torch.tensor([0]), 20, "repeat"), 20)
    np.testing.assert_array_equal(window[0].numpy(), cycle_audio(bank, 0, 1, 20)[:20])
