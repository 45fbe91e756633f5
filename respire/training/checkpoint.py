"""A run under way, kept in its cell so that it can go on after any kill."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from respire.training.cell import CHECKPOINT_SECONDS, Cell
from respire.training.loop import Fit, OnEpoch

PROGRESS = "progress"


@dataclass
class Checkpoints:
    """Reports a run's epochs, and keeps it where a later one finds it.

    Attributes:
        cell: where it is kept.
        on_epoch: called with each epoch's row.
    """

    cell: Cell
    on_epoch: OnEpoch
    _saved: float = field(default=-math.inf, init=False)

    def start(self) -> Fit | None:
        """Where an interrupted run stood, for ``fit``."""
        progress = self.cell.load(PROGRESS)
        return None if progress is None else Fit.from_state(progress)

    def __call__(self, run: Fit) -> None:
        """What ``fit`` calls after each epoch: saves if what was saved last is old."""
        self.on_epoch(run.history[-1])
        if time.monotonic() - self._saved >= CHECKPOINT_SECONDS:
            self.cell.save(PROGRESS, run.state())
            self._saved = time.monotonic()

    def finish(self, name: str, run: Fit, state: Callable[[], dict[str, object]]) -> None:
        """Keep the finished run's state under a name, and forget how it came about."""
        run.progress = None
        self.cell.save(name, state())
        self.cell.delete(PROGRESS)
