"""Rows of the cycles' Parquet schema, made up for tests."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from respire.data.rows import SCHEMA
from respire.data.spectral import SPECTRAL_NAMES


def cycles_table(
    lengths: Sequence[Sequence[int]],
    labels: Sequence[Sequence[int]] | None = None,
    devices: Sequence[str] | None = None,
    seed: int = 0,
    rate: int = 4000,
) -> pa.Table:
    """One recording a sequence of cycle lengths (samples), of noise or what the label demands.

    Crackle cycles carry clicks and wheeze cycles a tone, so that a network can learn them. The
    statistics of their spectra are noise.
    """
    rng, statistics = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    rows = []
    for index, sizes in enumerate(lengths):
        label = labels[index] if labels is not None else rng.integers(0, 4, len(sizes)).tolist()
        device = devices[index] if devices is not None else "AKGC417L"
        patient = 101 + index
        ends = np.cumsum(sizes) / rate
        rows.append(
            {
                "recording": f"{patient}_1b1_Al_sc_{device}",
                "patient": patient,
                "session": "1b1",
                "location": "Al",
                "mode": "sc",
                "device": device,
                "cycle": list(range(len(sizes))),
                "start_s": [0.0, *ends[:-1].tolist()],
                "end_s": ends.tolist(),
                "label": label,
                "samples": list(sizes),
                "audio": np.concatenate(
                    [_cycle(n, c, rng, rate) for n, c in zip(sizes, label, strict=True)]
                ).tolist(),
                "spectral": list(statistics.normal(size=(len(sizes), len(SPECTRAL_NAMES)))),
            }
        )
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _cycle(samples: int, label: int, rng: np.random.Generator, rate: int) -> np.ndarray:
    sound = rng.normal(0, 0.05, samples)
    if label in (1, 3):
        sound[rng.integers(0, samples, max(1, samples // 400))] += 0.8
    if label in (2, 3):
        sound += 0.3 * np.sin(2 * np.pi * 400 * np.arange(samples) / rate)
    return (np.clip(sound, -0.99, 0.99) * 32767).round().astype(np.int16)
