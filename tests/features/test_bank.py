import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import Entry, windows_of
from tables import SCHEMA, cycles_table

from respire.features.bank import CycleBank

RECORDINGS = st.lists(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 3)), min_size=1, max_size=5),
    min_size=1,
    max_size=5,
)


def table_of(recordings: list[list[tuple[int, int]]]) -> pa.Table:
    return cycles_table(
        [[n for n, _ in recording] for recording in recordings],
        [[label for _, label in recording] for recording in recordings],
        [("Meditron", "AKGC417L")[index % 2] for index in range(len(recordings))],
    )


@settings(max_examples=60, deadline=None)
@given(RECORDINGS)
def test_every_cycle_lies_at_its_offset_beside_its_neighbours(recordings):
    table = table_of(recordings)
    bank = CycleBank.from_table(table, "4-class")
    index = 0
    for row in table.to_pylist():
        audio, count = np.array(row["audio"], np.int16), len(row["samples"])
        ends = np.cumsum(row["samples"])
        for cycle, (end, samples) in enumerate(zip(ends, row["samples"], strict=True)):
            first = int(bank.first[index])
            np.testing.assert_array_equal(
                bank.audio[first : first + int(bank.length[index])], audio[end - samples : end]
            )
            assert int(bank.previous[index]) == (index - 1 if cycle > 0 else -1)
            assert int(bank.following[index]) == (index + 1 if cycle < count - 1 else -1)
            assert bank.cycles.iloc[index].to_dict() == {
                **{name: row[name] for name in ("recording", "patient", "device")},
                "cycle": row["cycle"][cycle],
                "label": row["label"][cycle],
            }
            index += 1
    assert index == len(bank) == len(bank.label)
    assert bank.shortest == min(n for recording in recordings for n, _ in recording)
    assert len(bank.audio) == int(bank.length.sum()) + 1
    assert bank.audio[bank.silence] == 0


def test_the_order_of_rows_and_their_chunks_is_kept():
    table = table_of([[(5, 0), (6, 1)], [(7, 2)], [(8, 3)]])
    chunked = pa.concat_tables([table.slice(2, 1), table.slice(0, 2)])
    bank = CycleBank.from_table(chunked, "4-class")
    assert bank.cycles["patient"].tolist() == [103, 101, 101, 102]
    assert bank.length.tolist() == [8, 5, 6, 7]
    assert bank.previous.tolist() == [-1, -1, 1, -1]


def test_in_the_two_class_task_every_abnormal_class_is_one():
    bank = CycleBank.from_table(table_of([[(9, label) for label in range(4)]]), "2-class")
    assert bank.label.tolist() == bank.cycles["label"].tolist() == [0, 1, 1, 1]


def test_tensors_have_the_types_the_gather_needs():
    bank = CycleBank.from_table(table_of([[(9, 0), (8, 1)]]), "4-class")
    assert bank.audio.dtype == torch.int16
    for tensor in (bank.first, bank.length, bank.label, bank.previous, bank.following, bank.whole):
        assert tensor.dtype == torch.int64


@pytest.mark.parametrize(
    "table",
    [SCHEMA.empty_table(), cycles_table([[20, 0, 30]], [[0, 0, 0]])],
    ids=["no recording", "an empty cycle"],
)
def test_a_bank_without_sound_is_refused(table):
    with pytest.raises(ValueError, match="at least one cycle"):
        CycleBank.from_table(table, "4-class")


def entry(bank: CycleBank, index: int) -> Entry:
    first, before, after = (int(t[index]) for t in (bank.first, bank.previous, bank.following))
    return Entry(
        bank.audio[first : first + int(bank.length[index])].numpy(),
        int(bank.label[index]),
        before if before >= 0 else None,
        after if after >= 0 else None,
    )


@settings(max_examples=80, deadline=None)
@given(RECORDINGS, st.integers(2, 30))
def test_windows_of_long_cycles_are_those_of_the_released_code(recordings, window):
    bank = CycleBank.from_table(table_of(recordings), "4-class")
    windows = bank.windowed(window)
    expected = windows_of([entry(bank, index) for index in range(len(bank))], window)
    assert len(windows) == len(expected)
    for index, theirs in enumerate(expected):
        ours = entry(windows, index)
        np.testing.assert_array_equal(ours.audio, theirs.audio)
        assert (ours.label, ours.before, ours.after) == (theirs.label, theirs.before, theirs.after)
    assert windows.shortest == min(len(theirs.audio) for theirs in expected)
    assert windows.audio is bank.audio


@settings(max_examples=80, deadline=None)
@given(RECORDINGS, st.integers(2, 30))
def test_a_window_knows_its_cycle(recordings, window):
    bank = CycleBank.from_table(table_of(recordings), "4-class")
    windows = bank.windowed(window)
    assert windows.cycles.equals(bank.cycles.iloc[windows.whole.numpy()].reset_index(drop=True))
    assert windows.whole.unique_consecutive().tolist() == list(range(len(bank)))
    first = bank.first[windows.whole]
    assert bool((windows.first >= first).all())
    end = first + bank.length[windows.whole]
    assert bool((windows.first + windows.length <= end).all())


def test_a_bank_without_long_cycles_is_its_own_windows():
    bank = CycleBank.from_table(table_of([[(20, 0), (30, 1)]]), "4-class")
    assert bank.windowed(30) is bank
    assert bank.whole.tolist() == [0, 1]
    cut = bank.windowed(29)
    assert cut.whole.tolist() == [0, 1, 1]
    assert cut.windowed(29) is cut


def test_a_cycles_identity_is_the_same_in_every_bank_and_no_others():
    table = table_of([[(5, 0), (6, 1)], [(7, 2)], [(8, 3), (9, 0)]])
    bank = CycleBank.from_table(table, "4-class")
    part = CycleBank.from_table(table.slice(1), "4-class")
    assert torch.equal(part.identity, bank.identity[2:])
    assert len(bank.identity.unique()) == len(bank)
    windows = bank.windowed(6)
    assert torch.equal(windows.identity, bank.identity[windows.whole])
