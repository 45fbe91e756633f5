"""How far a search is: the end of each trial, told to the user and to MLflow."""

import time
from typing import Any, ClassVar

from ray import tune

from respire.experiments.search.summary import FAILED, FINISHED, OUT_OF_MEMORY, STOPPED
from respire.runtime.tracking import Tracker

MEMORY_SIGNS = ("running low on memory", "out of memory", "MemoryError")
"""What Ray's monitor, a GPU and Python say."""


class Progress(tune.Callback):
    """Ends each trial's MLflow run, and tells how far the search is.

    Tune keeps its callbacks with the search. What comes back of this one is the present process's.

    Attributes:
        now: that of the search which runs in this process.
    """

    now: ClassVar["Progress"]

    def __init__(self, tracker: Tracker, splits: int, samples: int):
        self.tracker, self.splits, self.samples = tracker, splits, samples
        self.began, self.ended_here = time.monotonic(), 0

    def __reduce__(self) -> Any:
        return getattr, (Progress, "now")

    def on_trial_complete(self, *_: Any, trials: list[Any], trial: Any, **__: Any) -> None:
        """A trial came to its end, or was stopped."""
        splits = trial.last_result.get("splits", 0)
        self._end(trials, trial, FINISHED if splits == self.splits else STOPPED)

    def on_trial_error(self, *_: Any, trials: list[Any], trial: Any, **__: Any) -> None:
        """A trial failed."""
        state, reason = failure(trial.get_error())
        self._end(trials, trial, state, f" ({reason})")

    def _end(self, trials: list[Any], trial: Any, state: str, why: str = "") -> None:
        run = self.tracker.child(f"trial {trial.trial_id}")
        run.log_tags({"respire.state": state})
        run.finish("FINISHED" if state in (FINISHED, STOPPED) else "FAILED")
        self.ended_here += 1
        done = len({one.trial_id for one in trials if one.is_finished()} | {trial.trial_id})
        left = (time.monotonic() - self.began) / self.ended_here * (self.samples - done)
        print(
            f"trial {trial.trial_id}: {state}{why}; {done} of {self.samples} trials done, "
            f"about {left / 60:.0f} min left",
            flush=True,
        )


def failure(error: BaseException | str) -> tuple[str, str]:
    """FAILED or OUT_OF_MEMORY, and why in one line; Tune keeps some errors as text only."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    for line in lines:
        if any(sign in line for sign in MEMORY_SIGNS):
            return OUT_OF_MEMORY, line.strip()
    return FAILED, lines[-1].strip()
