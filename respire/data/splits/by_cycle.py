"""The split by cycle, for which recordings are taken apart: every cycle one of its own.

It puts cycles of one patient, even of one recording, on both sides, which no other split does on
purpose. It is here to measure what that is worth, and everything it produces is stamped.
"""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute

from respire.data.rows import SCHEMA, schema_of
from respire.data.splits.draw import TEST_SHARE, cut_share, validation_share


def take_apart(cycles: pd.DataFrame) -> pd.DataFrame:
    """A catalogue (data/catalogue.py) in which each cycle is the one cycle of a recording.

    Such a recording keeps patient, location, mode and device; the cycle's number joins its session.
    """
    names = [
        _name(recording, cycle)
        for recording, cycle in zip(cycles["recording"], cycles["cycle"], strict=True)
    ]
    return cycles.assign(recording=names).sort_values("recording", ignore_index=True)


def draw_cycles(names: np.ndarray, split_seed: int, inner_seed: int) -> dict[str, tuple[str, ...]]:
    """Cycles on sides as large as those of an 80-20 split, whoever their patients are.

    Of the names of cycles taken apart, str [n]: "train", "validation" and "test", each sorted.
    """
    test, rest = cut_share(names, TEST_SHARE, [0, split_seed])
    validation, train = validation_share(rest, inner_seed)
    sides = {"train": train, "validation": validation, "test": test}
    return {side: tuple(map(str, names)) for side, names in sides.items()}


def rows_apart(table: pa.Table) -> pa.Table:
    """Rows of recordings (SCHEMA) as rows of cycles."""
    table = table.combine_chunks()
    columns = {name: table.column(name) for name in SCHEMA.names}
    cycle = pa.compute.list_flatten(columns["cycle"]).to_numpy()
    counts = pa.compute.list_value_length(columns["cycle"]).to_numpy()
    samples = pa.compute.list_flatten(columns["samples"]).to_numpy()
    recordings = np.repeat(columns["recording"].to_numpy(), counts)
    one_each = np.arange(len(cycle) + 1, dtype=np.int32)
    ends = np.append(0, samples.cumsum())
    made = {}
    for field in SCHEMA:
        if pa.types.is_nested(field.type):
            values = pa.compute.list_flatten(columns[field.name]).combine_chunks()
            if field.name == "audio":
                made[field.name] = pa.LargeListArray.from_arrays(ends, values)
            else:
                made[field.name] = pa.ListArray.from_arrays(one_each, values)
        else:
            made[field.name] = columns[field.name].take(np.repeat(np.arange(len(table)), counts))
    made["recording"] = pa.array(map(_name, recordings, cycle), pa.string())
    return pa.table(made, schema=schema_of(table.schema.field("patient").type))


def _name(recording: str, cycle: int) -> str:
    parts = recording.split("_", 2)  # ICBHI's second one is the session
    parts[len(parts[:2]) - 1] += f"c{cycle}"
    return "_".join(parts)
