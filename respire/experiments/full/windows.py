"""The test recordings heard as anyone's are, in windows, beside their annotated cycles."""

from collections.abc import Mapping

import pandas as pd

from respire.evaluation.windows import OnWindows, compare_windows, truth_of_windows
from respire.inference.model import Model
from respire.inference.model_folder import Card
from respire.inference.recordings import Recording, window_length_s
from respire.models.network import Learnt
from respire.runtime.compute import Compute
from respire.runtime.session import Queue, on_worker
from respire.study.study import Study

TOLD_EVERY = 100
"""Recordings between two lines on the console."""


def can_hear_windows(study: Study) -> bool:
    """Whether windows have what they are to be compared with.

    Cycles that are split apart have neighbours in training, within their windows; and a recipe that
    pads by labels hears nothing that has none.
    """
    padding = study.recipe.features.evaluation_padding
    return not study.split.cut.cycles_apart and padding != "smart"


def hear_windows(
    study: Study,
    card: Card,
    models: Mapping[str, Learnt],
    decided: pd.DataFrame,
    lines: Queue,
) -> OnWindows | None:
    """Score a model on the windows of the test recordings, and on their cycles.

    None where no recording has anything to hear.

    Args:
        study: whose test side is read (again: what is prepared has the cycles only).
        card: of the model.
        models: what it has learnt (inference/model_folder.py).
        decided: the same models' decided predictions of the test cycles.
        lines: what the user sees (session.console).
    """
    cycles = study.cycles[study.cycles["recording"].isin(study.split.test)]
    once = cycles.drop_duplicates("recording").set_index("audio")
    recordings = [Recording(str(file), device=device) for file, device in once["device"].items()]
    told = (card, models, study.compute, recordings, lines)
    answers = on_worker(_heard, *told, gpu=study.compute.device == "cuda")
    if not answers:
        return None
    heard = pd.concat(answers, ignore_index=True)
    windows = heard.assign(
        recording=heard["file"].map(once["recording"]), patient=heard["file"].map(once["patient"])
    )
    recipe = study.recipe
    windows["label"] = truth_of_windows(windows, cycles, recipe.task)
    windows["predicted"] = windows["class"].map({name: n for n, name in enumerate(recipe.classes)})
    same = decided[decided["recording"].isin(windows["recording"])]
    return compare_windows(windows, same, len(recipe.classes), window_length_s(recipe))


def _heard(
    card: Card,
    models: Mapping[str, Learnt],
    compute: Compute,
    recordings: list[Recording],
    lines: Queue,
) -> list[pd.DataFrame]:
    """What the model says of every window; a recording without a sound to hear is left out."""
    frames: list[pd.DataFrame] = []
    done = 0
    for answers in Model(card, models, compute).hear(recordings, lambda *_: None):
        frames.append(answers)
        before, done = done, done + answers["file"].nunique()
        if done // TOLD_EVERY > before // TOLD_EVERY:
            lines.put_nowait(f"windows: {done:,} of {len(recordings):,} recordings heard")
    return frames
