"""CycleBank: a worker's recordings as one flat audio tensor, in device memory if they fit."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor

from respire.labels import CLASSES, NORMAL, UNKNOWN, Task
from respire.recipe.fields import Partners

GPU_SHARE = 1 / 8
"""Of a GPU's free memory, what one bank may take: a process holds two or three, several processes
may share the GPU, and the network needs most of it."""
CLASS_COUNT = max(map(len, CLASSES.values()))
"""Of the task with the most classes; the others lack the last ones."""


@dataclass(frozen=True)
class Groups:
    """Entries of a bank that belong together: all, those of a device, or those of a recording.

    Attributes:
        group: int64 [N], each entry's.
        entries: int64 [N], the entries by group, and in each by class.
        count: int64 [G, CLASS_COUNT], how many each group has of each class.
        first: int64 [G, CLASS_COUNT], where in ``entries`` they begin.
    """

    group: Tensor
    entries: Tensor
    count: Tensor
    first: Tensor

    @classmethod
    def of(cls, group: Tensor, label: Tensor) -> "Groups":
        """From each entry's group, counted from 0, and its class, int64 [N] both."""
        cell = group * CLASS_COUNT + label
        groups = int(group.max()) + 1
        count = torch.bincount(cell, minlength=groups * CLASS_COUNT)
        first = (count.cumsum(0) - count).view(groups, CLASS_COUNT)
        return cls(group, cell.argsort(stable=True), count.view(groups, CLASS_COUNT), first)


@dataclass(frozen=True)
class CycleBank:
    """Cycles of whole recordings, so that a cycle always lies beside its neighbours.

    There is no CPU data loader: a batch of windows is one gather from ``audio``. The audio lives in
    device memory, unless it would crowd a GPU: then it stays in host memory, and each batch goes to
    the device once it is gathered. The tables stay in host memory, so that choosing cycles never
    waits for a GPU.

    Attributes:
        audio: int16 [S + 1], all cycles end to end; the last sample is a zero, read as silence.
        device: where windows of them are wanted.
        first: int64 [N], where each cycle starts in ``audio``.
        length: int64 [N], samples of each cycle.
        label: int64 [N], class of each cycle under the task, or UNKNOWN.
        previous: int64 [N], the cycle just before in the same recording, -1 where there is none.
        following: int64 [N], the cycle just after in the same recording, -1 where there is none.
        cycles: one row a cycle, in the same order: recording, patient, device, cycle, label.
        shortest: samples of the shortest cycle.
        whole: int64 [N], the cycle each entry is a window of; its own index unless ``windowed``.
    """

    audio: Tensor
    device: torch.device
    first: Tensor
    length: Tensor
    label: Tensor
    previous: Tensor
    following: Tensor
    cycles: pd.DataFrame
    shortest: int
    whole: Tensor

    def __len__(self) -> int:
        return len(self.cycles)

    @classmethod
    def from_table(
        cls, table: pa.Table, task: Task, device: torch.device | str = "cpu"
    ) -> "CycleBank":
        """Build the bank from rows of the cycles' Parquet schema (data/rows.py).

        The task decides the labels: under "2-class" crackle, wheeze and both are "abnormal". The
        audio lives on the device, where windows are wanted, if there is room for it.

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
            label = np.where(label == UNKNOWN, label, label != NORMAL).astype(np.int64)
        index = np.arange(len(lengths))
        same_as_next = recording[:-1] == recording[1:]
        columns = {
            name: np.repeat(table.column(name).to_numpy(), counts)
            for name in ("recording", "patient", "device")
        }
        cycles = pd.DataFrame({**columns, "cycle": _flat(table, "cycle"), "label": label})
        # One copy, straight from the table's chunks: this may be most of the process's memory.
        audio = torch.from_numpy(np.concatenate([*_chunks(table, "audio"), np.zeros(1, np.int16)]))
        device = torch.device(device)
        return cls(
            audio=audio.to(_home(audio, device)),
            device=device,
            first=torch.from_numpy(np.cumsum(lengths) - lengths),
            length=torch.from_numpy(lengths),
            label=torch.from_numpy(label),
            previous=torch.from_numpy(np.where(np.append(False, same_as_next), index - 1, -1)),
            following=torch.from_numpy(np.where(np.append(same_as_next, False), index + 1, -1)),
            cycles=cycles,
            shortest=int(lengths.min()),
            whole=torch.from_numpy(index),
        )

    def windowed(self, window: int) -> "CycleBank":
        """Cut every cycle longer than the window into half-overlapping windows (released code).

        The last window of a cycle is what is left of it; it is padded like any short cycle. (The
        released code pads it with the whole cycle; it concerns the 15 of 6,898 cycles that are
        longer than 8 s.) The bank that it gives has a row a window of so many samples, over the
        same audio; ``whole`` says of which cycle.
        """
        if int(self.length.max()) <= window:
            return self
        hop = window // 2
        beyond = self.length - window
        pieces = torch.where(beyond > 0, 2 + beyond.div(hop, rounding_mode="floor"), 1)
        whole = torch.arange(len(self)).repeat_interleave(pieces)
        first_piece = pieces.cumsum(0) - pieces
        offset = (torch.arange(len(whole)) - first_piece[whole]) * hop
        length = (self.length[whole] - offset).clamp(max=window)

        def neighbour(cycle: Tensor, piece: Tensor) -> Tensor:
            return torch.where(cycle < 0, -1, piece[cycle])[whole]

        return replace(
            self,
            first=self.first[whole] + offset,
            length=length,
            label=self.label[whole],
            previous=neighbour(self.previous, first_piece + pieces - 1),
            following=neighbour(self.following, first_piece),
            cycles=self.cycles.iloc[whole.numpy()].reset_index(drop=True),
            shortest=int(length.min()),
            whole=whole,
        )

    def groups(self, partners: Partners) -> Groups:
        """Its entries in groups; each kind of groups is worked out once."""
        if partners not in self._groups:
            # One group of all takes no memory.
            group = torch.zeros(1, dtype=torch.int64).expand(len(self))
            if partners != "any":
                group = torch.from_numpy(pd.factorize(self.cycles[partners])[0].astype(np.int64))
            self._groups[partners] = Groups.of(group, self.label)
        return self._groups[partners]

    @cached_property
    def _groups(self) -> dict[Partners, Groups]:
        return {}

    @cached_property
    def identity(self) -> Tensor:
        """A number for each entry's recording and cycle, int64 [N], the same in every bank."""
        hashed = pd.util.hash_pandas_object(self.cycles[["recording", "cycle"]], index=False)
        return torch.from_numpy(hashed.to_numpy(copy=True).view(np.int64))

    @property
    def in_host_memory(self) -> bool:
        """Whether the audio was too large for its device."""
        return self.audio.device.type != self.device.type

    @property
    def silence(self) -> int:
        """Index in ``audio`` of the sample that is always zero."""
        return len(self.audio) - 1


def _home(audio: Tensor, device: torch.device) -> torch.device:
    """Where the audio lives: on its device, unless that is a GPU with little memory to spare."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if audio.nbytes > GPU_SHARE * free:
            return torch.device("cpu")
    return device


def _flat(table: pa.Table, column: str) -> np.ndarray:
    """The nested lists of a column end to end."""
    return np.concatenate(_chunks(table, column))


def _chunks(table: pa.Table, column: str) -> list[np.ndarray]:
    """The nested lists of each chunk of a column end to end, not copied."""
    return [chunk.flatten().to_numpy() for chunk in table.column(column).chunks]
