"""Prepared cycles as Arrow tables, one row a recording."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset

SCHEMA = pa.schema(
    [
        ("recording", pa.string()),
        ("patient", pa.int64()),
        ("session", pa.string()),
        ("location", pa.string()),
        ("mode", pa.string()),
        ("device", pa.string()),
        ("cycle", pa.list_(pa.int32())),
        ("start_s", pa.list_(pa.float64())),
        ("end_s", pa.list_(pa.float64())),
        ("label", pa.list_(pa.int8())),
        ("samples", pa.list_(pa.int32())),
        ("audio", pa.large_list(pa.int16())),
        ("spectral", pa.list_(pa.large_list(pa.float32()))),
    ]
)
"""A row is a recording; ``audio`` holds its cycles joined, ``samples`` the length of each, and
``spectral`` a list of statistics a cycle (data/spectral.py).

All audio may be sorted or joined at once, and 32 bits count 149 hours of it at 4 kHz.
"""
PATIENT = SCHEMA.get_field_index("patient")
NOBODY = ""
"""The patient of a recording of which none is known."""


def known(patients: pd.Series) -> pd.Series:
    """Those of cycles' patients who are known."""
    return patients[patients != NOBODY]


def schema_of(patient: pa.DataType) -> pa.Schema:
    """SCHEMA, where patients are called as in a catalogue: ICBHI's by number, others' by text."""
    return SCHEMA.set(PATIENT, pa.field("patient", patient))


WITHOUT_SPECTRAL = SCHEMA.remove(SCHEMA.get_field_index("spectral"))
"""Where only audio is needed."""
RECORDINGS_A_BLOCK = 32
"""Some seconds of work for one Ray task, a few megabytes of cycles."""


def pick(table: pa.Table, rows: Sequence[int] | np.ndarray) -> pa.Table:
    """Some rows of cycles, in the order given, copied once.

    Where pyarrow filters or sorts lists, it numbers all their elements: four times the memory.
    """
    if not len(rows):
        return table.slice(0, 0)
    return pa.concat_tables([table.slice(row, 1) for row in rows]).combine_chunks()


def of_device(table: pa.Table, device: str) -> pa.Table:
    """Rows of cycles of one device's recordings."""
    return pick(table, np.flatnonzero(pyarrow.compute.equal(table.column("device"), device)))


def in_order(table: pa.Table) -> pa.Table:
    """Rows of cycles sorted by recording name."""
    return pick(table, pyarrow.compute.sort_indices(table.column("recording")).to_pylist())


def spectral_of(table: pa.Table) -> np.ndarray:
    """Statistics of every cycle's spectra, float32 [N, 357], in the order of the rows' cycles."""
    cycles = pyarrow.compute.list_flatten(table.column("spectral"))
    return pyarrow.compute.list_flatten(cycles).to_numpy().reshape(len(cycles), -1)


def blocks_of(table: pa.Table) -> list[pa.Table]:
    """Rows in the parts that Ray works on, without a copy."""
    starts = range(0, len(table), RECORDINGS_A_BLOCK)
    return [table.slice(start, RECORDINGS_A_BLOCK) for start in starts]


FULL_SCALE = 32767
"""What 1.0 is stored as: value = round(32767 x)."""
