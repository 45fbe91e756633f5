import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
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
    for tensor in (bank.first, bank.length, bank.label, bank.previous, bank.following):
        assert tensor.dtype == torch.int64


@pytest.mark.parametrize(
    "table",
    [SCHEMA.empty_table(), cycles_table([[20, 0, 30]], [[0, 0, 0]])],
    ids=["no recording", "an empty cycle"],
)
def test_a_bank_without_sound_is_refused(table):
    with pytest.raises(ValueError, match="at least one cycle"):
        CycleBank.from_table(table, "4-class")
