import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from respire.data.corpora.icbhi_format import parse_name
from respire.data.cycles import CyclesApart, PreparedCycles
from respire.data.rows import SCHEMA
from respire.data.splits.by_cycle import take_apart
from respire.data.splits.split import SIDES, Cut
from respire.runtime.storage import Storage

NAMES = ("101_1b1_Al_sc_Meditron", "101_2b1_Ar_sc_Meditron", "102_1b1_Tc_mc_AKGC417L")
COUNTS = st.lists(st.integers(1, 5), min_size=1, max_size=3)


def recordings(counts: list[int]) -> pa.Table:
    """Rows of recordings with so many cycles, each sample of a cycle telling which it is."""
    rows = []
    for number, count in enumerate(counts):
        samples = [2 + cycle + number for cycle in range(count)]
        audio = [100 * number + cycle for cycle in range(count) for _ in range(samples[cycle])]
        name = parse_name(NAMES[number])
        rows.append(
            {
                "recording": NAMES[number],
                **name._asdict(),
                "cycle": list(range(count)),
                "start_s": [float(cycle) for cycle in range(count)],
                "end_s": [cycle + 0.5 for cycle in range(count)],
                "label": [cycle % 4 for cycle in range(count)],
                "samples": samples,
                "audio": audio,
                "spectral": [[float(number), float(cycle)] for cycle in range(count)],
            }
        )
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def one_by_one(table: pa.Table) -> list[dict]:
    """The reference: a row a cycle, cut by a loop."""
    rows = []
    for row in table.to_pylist():
        begin = 0
        for at, length in enumerate(row["samples"]):
            of_cycle = ("cycle", "start_s", "end_s", "label", "spectral")
            lists = {name: [row[name][at]] for name in of_cycle}
            patient, session, *rest = row["recording"].split("_")
            rows.append(
                row
                | lists
                | {
                    "recording": "_".join([patient, f"{session}c{at}", *rest]),
                    "samples": [length],
                    "audio": row["audio"][begin : begin + length],
                }
            )
            begin += length
    return sorted(rows, key=lambda row: row["recording"])


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch):
    def of(counts: list[int]) -> CyclesApart:
        table = recordings(counts)
        monkeypatch.setattr(PreparedCycles, "read", lambda *_: table)
        monkeypatch.setattr(PreparedCycles, "recordings", lambda _: frozenset(NAMES[: len(counts)]))
        return CyclesApart.of(PreparedCycles(Storage.at("nowhere"), "key", ("one was bad",)))

    return of


@pytest.mark.parametrize("counts", [[1], [3], [2, 5], [1, 4, 2]])
def test_a_cycle_taken_apart_keeps_its_samples_and_all_that_is_known_of_it(prepared, counts):
    apart = prepared(counts)
    rows = apart.read(sorted(apart.recordings()))
    assert rows.schema.equals(SCHEMA)
    assert rows.to_pylist() == one_by_one(recordings(counts))


def test_only_the_cycles_asked_for_are_read_and_a_missing_one_is_named(prepared):
    apart = prepared([3, 2])
    assert apart.read(["101_1b1c2_Al_sc_Meditron"]).column("audio").to_pylist() == [[2] * 4]
    with pytest.raises(KeyError, match="101_1b1c3_Al_sc_Meditron"):
        apart.read(["101_1b1c3_Al_sc_Meditron"])
    assert apart.key != "key"
    assert apart.skipped == ("one was bad",)


def catalogue(counts: list[int]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "recording": NAMES[number],
                "patient": parse_name(NAMES[number]).patient,
                "device": parse_name(NAMES[number]).device,
                "cycle": cycle,
                "label": cycle % 4,
            }
            for number, count in enumerate(counts)
            for cycle in range(count)
        ]
    )


@given(COUNTS)
def test_catalogue_and_rows_call_the_cycles_the_same(counts):
    cycles = take_apart(catalogue(counts))
    assert sorted(cycles["recording"]) == [
        row["recording"] for row in one_by_one(recordings(counts))
    ]
    assert all(
        parse_name(row.recording)[0] == row.patient and parse_name(row.recording)[4] == row.device
        for row in cycles.itertuples()
    )


@given(st.integers(0, 50), st.integers(0, 50))
def test_every_cycle_is_on_one_side_and_a_fifth_is_in_test(split_seed, inner_seed):
    cycles = take_apart(catalogue([40, 40, 20]))
    split = Cut("by-cycle", split_seed, inner_seed).on(cycles)
    names = [name for side in SIDES for name in getattr(split, side)]
    assert sorted(names) == sorted(cycles["recording"])
    assert [len(getattr(split, side)) for side in SIDES] == [64, 16, 20]
    assert split.stamps == ("cycles of one patient are on both sides",)


def test_who_is_in_test_follows_from_the_outer_seed_alone():
    cycles = take_apart(catalogue([40, 40, 20]))
    a, b, c = (Cut("by-cycle", *seeds).on(cycles) for seeds in ((0, 0), (0, 1), (1, 0)))
    assert a.test == b.test
    assert a.validation != b.validation
    assert a.test != c.test
    shuffled = cycles.sample(frac=1, random_state=np.random.RandomState(0))
    assert Cut("by-cycle").on(shuffled) == a
