"""CycleBank: a worker's recordings as one flat audio tensor, in device memory."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor

from respire.recipe import NORMAL, Task

FULL_SCALE = 32767.0
"""What 1.0 is stored as (data/preprocess.py)."""


@dataclass(frozen=True)
class CycleBank:
    """Cycles of whole recordings, so that a cycle always lies beside its neighbours.

    There is no CPU data loader: a batch of windows is one gather from ``audio``.

    Attributes:
        audio: int16 [S + 1], all cycles end to end; the last sample is a zero, read as silence.
        first: int64 [N], where each cycle starts in ``audio``.
        length: int64 [N], samples of each cycle.
        label: int64 [N], class of each cycle under the task.
        previous: int64 [N], the cycle just before in the same recording, -1 where there is none.
        following: int64 [N], the cycle just after in the same recording, -1 where there is none.
        cycles: one row a cycle, in the same order: recording, patient, device, cycle, label.
        shortest: samples of the shortest cycle.
    """

    audio: Tensor
    first: Tensor
    length: Tensor
    label: Tensor
    previous: Tensor
    following: Tensor
    cycles: pd.DataFrame
    shortest: int

    def __len__(self) -> int:
        return len(self.cycles)

    @classmethod
    def from_table(
        cls, table: pa.Table, task: Task, device: torch.device | str = "cpu"
    ) -> "CycleBank":
        """Build the bank from rows of the cycles' Parquet schema (data/cycles.py).

        Args:
            table: one row a recording, its cycles nested.
            task: decides the labels; under "2-class" crackle, wheeze and both are "abnormal".
            device: where the tensors live.

        Raises:
            ValueError: the table holds no cycle, or an empty one.
        """
        lengths = _flat(table, "samples").astype(np.int64)
        if len(lengths) == 0 or lengths.min() == 0:
            raise ValueError("a CycleBank needs at least one cycle, and a sample in each")
        counts = np.array([len(cycles) for cycles in table.column("samples").to_pylist()])
        recording = np.repeat(np.arange(len(table)), counts)
        label = _flat(table, "label").astype(np.int64)
        if task == "2-class":
            label = (label != NORMAL).astype(np.int64)
        index = np.arange(len(lengths))
        same_as_next = recording[:-1] == recording[1:]
        columns = {
            name: np.repeat(table.column(name).to_numpy(), counts)
            for name in ("recording", "patient", "device")
        }
        cycles = pd.DataFrame({**columns, "cycle": _flat(table, "cycle"), "label": label})
        audio = np.append(_flat(table, "audio"), np.int16(0))

        def on_device(values: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(device)

        return cls(
            audio=on_device(audio),
            first=on_device(np.cumsum(lengths) - lengths),
            length=on_device(lengths),
            label=on_device(label),
            previous=on_device(np.where(np.append(False, same_as_next), index - 1, -1)),
            following=on_device(np.where(np.append(same_as_next, False), index + 1, -1)),
            cycles=cycles,
            shortest=int(lengths.min()),
        )

    @property
    def silence(self) -> int:
        """Index in ``audio`` of the sample that is always zero."""
        return len(self.audio) - 1


def _flat(table: pa.Table, column: str) -> np.ndarray:
    """The nested lists of a column end to end."""
    return table.column(column).combine_chunks().flatten().to_numpy(zero_copy_only=False)
