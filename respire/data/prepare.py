"""A block of recordings to cycles, without Ray."""

import hashlib
import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from respire.data.audio import no_sound, read_channels
from respire.data.preprocess import preprocess, slice_cycles
from respire.data.rows import FULL_SCALE, schema_of
from respire.data.spectral import spectral_statistics
from respire.errors import InputError
from respire.recipe.fields import Preprocess
from respire.recipe.identity import NUMERICS_VERSION, recipe_identity

_OF_RECORDING = ["recording", "patient", "session", "location", "mode", "device"]
_OF_CYCLE = ["cycle", "start_s", "end_s", "label"]
ERROR = pa.field("error", pa.string())
"""In the files only: why a recording could not be prepared, null where it could."""

NO_SOUND = pa.field("no_sound", pa.string())
"""In the files only: why a recording has nothing to hear, null where it has."""


def no_sound_warnings(rows: pa.Table) -> tuple[str, ...]:
    """A warning that names the recordings without sound, by columns recording and NO_SOUND."""
    reasons = zip(
        *(rows.column(name).to_pylist() for name in ("recording", "no_sound")), strict=True
    )
    told = sorted(f"{recording} ({reason})" for recording, reason in reasons if reason)
    more = f" and {len(told) - 5} more" if len(told) > 5 else ""
    return (f"recordings without sound: {', '.join(told[:5])}{more}",) if told else ()


def key_of(cycles: pd.DataFrame, recipe: Preprocess, fingerprint: str) -> str:
    """A digest of everything that can change a sample; where the audio lies cannot."""
    rows = pd.util.hash_pandas_object(cycles[_OF_RECORDING + _OF_CYCLE], index=False)
    parts = [NUMERICS_VERSION, recipe_identity(recipe), fingerprint]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
    digest.update(rows.to_numpy().tobytes())
    return digest.hexdigest()[:16]


def by_recording(cycles: pd.DataFrame) -> pa.Table:
    """A catalogue with a row a recording, sorted by its name, and lists of its cycles' columns."""
    cycles = cycles.sort_values("recording", kind="stable", ignore_index=True)
    first = np.flatnonzero(~cycles["recording"].duplicated())
    once = cycles.loc[first, [*_OF_RECORDING, "audio"]]
    table = pa.Table.from_pandas(once, preserve_index=False)
    ends = pa.array(np.append(first, len(cycles)), pa.int32())
    for column in _OF_CYCLE:
        lists = pa.ListArray.from_arrays(ends, pa.array(cycles[column]))
        table = table.append_column(column, lists)
    return table


def prepare_block(batch: pa.Table, recipe: Preprocess, spectral: bool = True) -> pa.Table:
    """Rows of ``by_recording`` to rows in SCHEMA, and why a recording could not be prepared.

    So bad input comes back as data, not as a failed task. Without ``spectral`` that column is left
    out, and need not be computed.
    """
    rows = [_prepare_recording(row, recipe, spectral) for row in batch.to_pylist()]
    patient = batch.schema.field("patient").type
    schema = schema_of(pa.string() if pa.types.is_large_string(patient) else patient)
    if not spectral:
        schema = schema.remove(schema.get_field_index("spectral"))
    return pa.Table.from_pylist(rows, schema=schema.append(ERROR).append(NO_SOUND))


def _prepare_recording(row: dict[str, Any], recipe: Preprocess, spectral: bool) -> dict[str, Any]:
    audio = samples = np.empty(0, np.int16)
    statistics: list[np.ndarray] = []
    where = problem = silence = None
    try:
        channels, rate = read_channels(row["audio"])
        silence = no_sound(channels)
        waveform = preprocess(channels.mean(axis=1), rate, recipe)
        where = row["audio"]  # what is wrong with its cycles does not say of which recording
        audio, samples = slice_cycles(waveform, row["start_s"], row["end_s"], recipe.sample_rate_hz)
        if spectral:
            statistics = _spectral(audio, samples, recipe.sample_rate_hz)
    except InputError as error:
        problem = f"{where}: {error}" if where else str(error)
    prepared = {"audio": audio, "samples": samples, "spectral": statistics}
    return {**row, **prepared, ERROR.name: problem, NO_SOUND.name: silence}


def _spectral(audio: np.ndarray, samples: np.ndarray, rate_hz: int) -> list[np.ndarray]:
    """Statistics of each cycle (data/spectral.py) as it is kept, rounded to 16 bits."""
    cycles = np.split(audio / FULL_SCALE, samples.cumsum()[:-1])
    return [spectral_statistics(cycle, rate_hz) for cycle in cycles]
