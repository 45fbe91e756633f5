"""One study from Python: opened, and trained."""

from collections.abc import Iterator
from contextlib import contextmanager

from respire.data.splits.split import Cut
from respire.errors import InputError
from respire.recipe.recipe import Recipe
from respire.runtime.session import on_worker
from respire.study.experiment import Planned, open_setting
from respire.study.one_run import Run, train_and_test
from respire.study.place import Place
from respire.study.study import Study


@contextmanager
def open_study(recipe: Recipe, cut: Cut, seed: int, place: Place) -> Iterator[Study]:
    """Find the recordings, open Ray, prepare the cycles and cut them.

    Args:
        recipe: every choice that changes a number.
        cut: who is held out.
        seed: training seed.
        place: where things are; one worker trains.

    Raises:
        InputError: bad input or an unusable setting, found before anything is trained.
    """
    if place.workers != 1:
        raise InputError(f"workers {place.workers}: a study from Python is trained by one")
    with open_setting("study", place, {"": Planned(recipe, cut, seed)}) as setting:
        yield setting.studies[""]


def train(study: Study, stage2: bool = False) -> Run:
    """Train and test a study, in a process of the session that ``open_study`` opened.

    What is finished is not done again, whichever experiment did it; what was begun goes on.

    Args:
        study: what is trained.
        stage2: whether the model is fine-tuned for every device too.

    Raises:
        FloatingPointError: training diverged.
        InputError: what training leaves cannot be kept.
    """
    run = Run(f"seed {study.seed}", study, stage2)
    if not run.finished:
        cycles = study.read("train", "validation", "test")
        on_worker(train_and_test, run, cycles, gpu=study.compute.device == "cuda")
    return run
