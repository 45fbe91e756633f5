"""A run under way, kept in its cell so that it can go on after any kill."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from respire.errors import InputError
from respire.runtime.run_folder import RunFolder
from respire.training.loop import Fit, OnEpoch

PROGRESS = ("progress", "progress-before")
"""Saved in turn: where the newer cannot be read, the older can."""
DAMAGED = "damaged_checkpoints"
"""In the first row that is reported afterwards: how many could not be read."""


@dataclass(frozen=True)
class Pace:
    """How often a run under way is saved: weights are large, and stores are slow.

    At least so many seconds after it was saved last, and so many times as long as that took: it
    takes a twentieth of the time at most.
    """

    least_s: float = 15.0
    times: float = 19.0

    def due(self, saved: float, took_s: float) -> bool:
        """Whether what was saved at ``saved``, by the monotonic clock, is old enough by now."""
        return time.monotonic() - saved >= max(self.least_s, self.times * took_s)


PACE = Pace()


@dataclass
class Checkpoints:
    """Calls ``on_epoch`` with a run's rows, and keeps it in a cell, where a later one finds it."""

    cell: RunFolder
    on_epoch: OnEpoch
    _saved: tuple[float, float] | None = field(default=None, init=False)
    _turn: int = field(default=0, init=False)
    _damaged: int = field(default=0, init=False)

    def start(self) -> Fit | None:
        """Where an interrupted run stood, for ``fit``: as far as can be read."""
        found = None
        for turn, name in enumerate(PROGRESS):
            try:
                state = self.cell.load(name)
            except InputError:
                self._damaged += 1
                continue
            if state is None:
                continue
            run = Fit.from_state(state)
            if found is None or len(run.history) > len(found.history):
                found, self._turn = run, 1 - turn
        return found

    def __call__(self, run: Fit) -> None:
        """What ``fit`` calls after each epoch: saves if what was saved last is old."""
        said = {DAMAGED: float(self._damaged)} if self._damaged else {}
        self._damaged = 0
        self.on_epoch(run.history[-1] | said)
        if self._saved is None or PACE.due(*self._saved):
            began = time.monotonic()
            self.cell.save(PROGRESS[self._turn], run.state())
            ended = time.monotonic()
            self._saved, self._turn = (ended, ended - began), 1 - self._turn

    def finish(self, name: str, run: Fit, state: Callable[[], dict[str, object]]) -> None:
        """Keep the finished run's state under a name, and forget how it came about."""
        run.progress = None
        self.cell.save(name, state())
        for kept in PROGRESS:
            self.cell.delete(kept)
