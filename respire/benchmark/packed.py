"""Prepared cycles as files that travel: lossless, each a part of them, read with NumPy and pyarrow.

A part is a zip of xz streams (second differences of int16, low and high bytes apart) and meta.json.
"""

import hashlib
import json
import lzma
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from respire.data.rows import SCHEMA, blocks_of, in_order
from respire.data.splits.split import SIDES, Cut
from respire.errors import InputError
from respire.recipe.fields import Preprocess


def pack(
    data: str, out: Path, recipe: Preprocess, parts: int, split_seed: int, recordings: int | None
) -> list[Path]:
    """Prepare recordings and write them in parts, with the sides of an 80-20 split.

    Args:
        data: folder in ICBHI's layout.
        out: where the parts go.
        recipe: rate and band.
        parts: how many files.
        split_seed: who is in test.
        recordings: about so many only, spread over all; None for all.

    Raises:
        InputError: a recording is bad.
    """
    from respire.data.corpora import icbhi  # the audio packages are needed here only
    from respire.data.prepare import ERROR, by_recording, prepare_block

    cycles = icbhi.read_catalogue(data).cycles
    if recordings:
        names = sorted(cycles["recording"].unique())
        chosen = names[:: max(1, len(names) // recordings)]
        cycles = cycles[cycles["recording"].isin(chosen)].reset_index(drop=True)
    split = Cut(split_seed=split_seed).on(cycles)
    with ThreadPoolExecutor() as pool:
        blocks = blocks_of(by_recording(cycles))
        prepared = list(pool.map(lambda block: prepare_block(block, recipe), blocks))
    errors = pa.concat_tables(prepared).column(ERROR.name).drop_null().to_pylist()
    if errors:
        raise InputError(errors[0])
    out.mkdir(parents=True, exist_ok=True)
    files = [out / f"cycles-{part}.zip" for part in range(parts)]
    for part, file in enumerate(files):
        chunks = []
        with zipfile.ZipFile(file, "w") as archive:
            for number, block in list(enumerate(prepared))[part::parts]:
                audio = block.column("audio").combine_chunks().flatten().to_numpy()
                for name, stream in zip(_streams(number), _squeeze(audio), strict=True):
                    archive.writestr(name, stream)
                rows = block.drop_columns(["audio", ERROR.name]).to_pylist()
                chunks.append({"chunk": number, "rows": rows, "sha256": _digest(audio)})
            meta = {
                "part": part,
                "parts": parts,
                "chunks": chunks,
                "preprocess": asdict(recipe),
                "sides": {side: list(getattr(split, side)) for side in SIDES},
            }
            archive.writestr("meta.json", json.dumps(meta), zipfile.ZIP_DEFLATED)
    return files


def unpack(files: Sequence[Path]) -> tuple[pa.Table, dict[str, Any]]:
    """Rows of all parts, sorted by recording, and what meta.json says; every sample is checked.

    Raises:
        InputError: a part is missing or there twice, or is not as it was written.
    """
    tables, metas = [], []
    for file in sorted(files):
        with zipfile.ZipFile(file) as archive:
            meta = json.loads(archive.read("meta.json"))
            for chunk in meta["chunks"]:
                audio = _unsqueeze(*map(archive.read, _streams(chunk["chunk"])))
                if _digest(audio) != chunk["sha256"]:
                    raise InputError(f"{file}: damaged; pack and carry it again")
                ends = np.cumsum([0, *(sum(row["samples"]) for row in chunk["rows"])])
                rows = pa.Table.from_pylist(chunk["rows"], SCHEMA.remove(len(SCHEMA) - 1))
                sounds = pa.LargeListArray.from_arrays(ends, audio)
                tables.append(rows.append_column("audio", sounds).cast(SCHEMA))
        metas.append(meta)
    parts = sorted(meta["part"] for meta in metas)
    if not metas or parts != list(range(metas[0]["parts"])):
        raise InputError(f"--cycles: parts {parts}; give each part that was packed, once")
    return in_order(pa.concat_tables(tables)), metas[0]


def _streams(number: int) -> tuple[str, str]:
    return f"{number}.low.xz", f"{number}.high.xz"


def _digest(audio: np.ndarray) -> str:
    return hashlib.sha256(audio.astype("<i2").tobytes()).hexdigest()


def _squeeze(audio: np.ndarray) -> tuple[bytes, bytes]:
    """Second differences, their sign moved to the lowest bit; low bytes and the rest."""
    bend: np.ndarray = np.diff(np.diff(audio.astype(np.int32), prepend=0), prepend=0)
    folded = ((bend << 1) ^ (bend >> 31)).astype(np.uint32)
    low, high = (folded & 255).astype(np.uint8), (folded >> 8).astype("<u2")
    return lzma.compress(low.tobytes(), preset=1), lzma.compress(high.tobytes(), preset=1)


def _unsqueeze(low: bytes, high: bytes) -> np.ndarray:
    lower = np.frombuffer(lzma.decompress(low), np.uint8).astype(np.int64)
    folded = lower | np.frombuffer(lzma.decompress(high), "<u2").astype(np.int64) << 8
    bend = (folded >> 1) ^ -(folded & 1)
    return bend.cumsum().cumsum().astype(np.int16)
