"""Windows in place of cycles: what a window truly holds, and what that does to the Score."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from respire.labels import NORMAL, UNKNOWN, Task
from respire.metrics import overall
from respire.statistics.intervals import difference_of_units, no_interval


@dataclass(frozen=True)
class OnWindows:
    """Scores of windows beside those of the annotated cycles of the same recordings.

    Attributes:
        window_s: length of a window.
        recordings: how many were heard.
        without_cycle: windows in which no cycle's midpoint lies; they have no truth, and no Score.
        windows: Scores of the others (``Scores.to_json``).
        cycles: of the cycles.
        difference: the former less the latter, paired over patients (``PatientDifference``);
            None where ``no_interval`` says why.
        no_interval: empty where there is one.
    """

    window_s: float
    recordings: int
    without_cycle: int
    windows: Mapping[str, Any]
    cycles: Mapping[str, Any]
    difference: Mapping[str, Any] | None
    no_interval: str


def truth_of_windows(windows: pd.DataFrame, cycles: pd.DataFrame, task: Task) -> np.ndarray:
    """The class of each window: the union of those of the cycles whose midpoint lies in it.

    Args:
        windows: with columns recording, start_s and end_s; a midpoint on either lies in it.
        cycles: of the same recordings, with column label too: 0 normal, 1 crackle, 2 wheeze, 3
            both.
        task: the classes that are told apart.

    Returns:
        int64 [n], UNKNOWN where no midpoint lies.
    """
    middles = cycles[["recording", "label"]].assign(
        middle_s=(cycles["start_s"] + cycles["end_s"]) / 2
    )
    sides = windows[["recording", "start_s", "end_s"]].assign(window=np.arange(len(windows)))
    pairs = sides.merge(middles, on="recording")
    within = pairs[pairs["middle_s"].between(pairs["start_s"], pairs["end_s"])]
    truth = np.full(len(windows), UNKNOWN, np.int64)
    truth[within["window"]] = NORMAL
    np.bitwise_or.at(truth, within["window"], within["label"])  # both is crackle and wheeze
    return np.minimum(truth, 1) if task == "2-class" else truth


def compare_windows(
    windows: pd.DataFrame, cycles: pd.DataFrame, classes: int, window_s: float
) -> OnWindows:
    """Score windows beside the cycles of the same recordings.

    Args:
        windows: a row a window, with columns recording, patient, label (``truth_of_windows``) and
            predicted.
        cycles: a row a cycle, decided (evaluation/decided.py).
        classes: number of classes.
        window_s: length of a window.
    """
    true = windows[windows["label"] != UNKNOWN]
    cycles = cycles[cycles["patient"].isin(true["patient"])]
    difference = difference_of_units(true, cycles)
    return OnWindows(
        window_s=window_s,
        recordings=windows["recording"].nunique(),
        without_cycle=len(windows) - len(true),
        windows=overall(true, classes).to_json(),
        cycles=overall(cycles, classes).to_json(),
        difference=None if difference is None else difference.to_json(),
        no_interval=no_interval(true) or no_interval(cycles) or "",
    )
