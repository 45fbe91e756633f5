import tracemalloc
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from cycle_rows import SCHEMA, cycles_table
from hypothesis import given, settings
from hypothesis import strategies as st

from respire.benchmark.per_sample import Entry, windows_of
from respire.features.bank import GPU_SHARE, CycleBank, _home
from respire.features.pipeline import Pipeline
from respire.features.splice import gather, pad
from respire.recipe.presets import quick

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


@settings(max_examples=60)
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


@settings(max_examples=80)
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


@settings(max_examples=80)
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


@settings(max_examples=60)
@given(RECORDINGS, st.sampled_from(["any", "device", "recording"]), st.integers(2, 50))
def test_groups_hold_the_entries_of_each_class_that_belong_together(recordings, partners, window):
    bank = CycleBank.from_table(table_of(recordings), "4-class").windowed(window)
    groups = bank.groups(partners)
    name = [0] * len(bank) if partners == "any" else bank.cycles[partners].tolist()
    for index in range(len(bank)):
        group = int(groups.group[index])
        for label in range(4):
            first, count = int(groups.first[group, label]), int(groups.count[group, label])
            assert groups.entries[first : first + count].tolist() == [
                other
                for other in range(len(bank))
                if name[other] == name[index] and int(bank.label[other]) == label
            ]
    assert int(groups.count.sum()) == len(bank)
    assert bank.groups(partners) is groups


AUDIO = torch.zeros(1000, dtype=torch.int16)


@pytest.mark.parametrize(
    ("free", "home"), [(2000 / GPU_SHARE, "cuda"), (2000 / GPU_SHARE - 1, "cpu"), (0, "cpu")]
)
def test_audio_that_would_crowd_a_gpu_stays_in_host_memory(monkeypatch, free, home):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 80 * 2**30))
    assert _home(AUDIO, torch.device("cuda")).type == home
    bank = CycleBank.from_table(table_of([[(9, 0)]]), "4-class", "cpu")
    assert not bank.in_host_memory


def test_a_bank_in_host_memory_is_the_same_but_for_where_its_windows_go(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (0, 80 * 2**30))
    table = table_of([[(50, 0), (6, 1)], [(7, 2)]])
    bank = CycleBank.from_table(table, "4-class", "cuda")
    assert bank.in_host_memory
    assert bank.windowed(20).in_host_memory
    here = CycleBank.from_table(table, "4-class", "cpu")
    assert torch.equal(bank.audio, here.audio)
    there = replace(bank, device=torch.device("meta"))
    windows = gather(there, pad(there, torch.arange(3), 20, "repeat"), 20)
    assert (windows.device.type, windows.dtype, windows.shape) == ("meta", torch.float32, (3, 20))


def test_windows_that_are_sent_to_their_device_are_the_same(monkeypatch):
    bank = CycleBank.from_table(table_of([[(50, 0), (6, 1)], [(7, 2)]]), "4-class")
    splice = pad(bank, torch.arange(3), 20, "repeat")
    held = gather(bank, splice, 20)
    monkeypatch.setattr(CycleBank, "in_host_memory", True)
    assert torch.equal(gather(bank, splice, 20), held)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_makes_the_same_images_of_audio_in_either_memory(monkeypatch):
    table = cycles_table([[9000, 31000, 12000, 7000]] * 8)
    on_gpu = CycleBank.from_table(table, "4-class", "cuda")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (0, 80 * 2**30))
    on_host = CycleBank.from_table(table, "4-class", "cuda")
    assert (on_gpu.in_host_memory, on_host.in_host_memory) == (False, True)
    pipeline, chosen = Pipeline(quick(), "cuda"), torch.arange(32)
    images = [pipeline.training_images(bank, chosen, chosen) for bank in (on_gpu, on_host)]
    assert torch.equal(*images)


OURS = pa.proxy_memory_pool(pa.system_memory_pool())
"""Counts what Arrow allocates, and must outlive it."""


def test_audio_is_copied_once_on_its_way_into_the_bank():
    size = 2**22
    table = cycles_table([[9]])
    audio = pa.array([np.zeros(size, np.int16)], SCHEMA.field("audio").type)
    long = table.set_column(SCHEMA.get_field_index("audio"), "audio", audio)
    long = long.set_column(
        SCHEMA.get_field_index("samples"), "samples", pa.array([[size]], pa.list_(pa.int32()))
    )
    chunked = pa.concat_tables([long] * 3)
    theirs = pa.default_memory_pool()
    pa.set_memory_pool(OURS)
    tracemalloc.start()
    try:
        bank = CycleBank.from_table(chunked, "4-class")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(theirs)
    assert bank.audio.nbytes <= peak + OURS.max_memory() < 1.1 * bank.audio.nbytes


def test_more_samples_can_be_joined_than_32_bits_count():
    assert pa.types.is_large_list(SCHEMA.field("audio").type)
