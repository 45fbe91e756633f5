"""The split by recording, which several published Scores above 65 stand on: patients are shared.

It puts recordings of one patient on both sides. It is here to measure what that is worth, and
everything it produces is stamped.
"""

import random
from collections.abc import Iterable

import numpy as np

from respire.data.splits.draw import validation_share

TRAIN_SHARE = 0.6
"""Of the recordings, those in validation among them."""


def draw_recordings(
    names: Iterable[str], split_seed: int, inner_seed: int
) -> dict[str, tuple[str, ...]]:
    """Recordings on sides, whoever their patients are: "train", "validation" and "test", sorted.

    As published code does it: the sorted names are shuffled by ``random.Random(1)``, which split
    seed 0 stands for, and cut at 60% (552 recordings of ICBHI against 368).
    """
    drawn = sorted(names)
    random.Random(split_seed + 1).shuffle(drawn)
    size = round(TRAIN_SHARE * len(drawn))
    validation, train = validation_share(np.array(drawn[:size]), inner_seed)
    sides = {"train": train, "validation": validation, "test": np.sort(drawn[size:])}
    return {side: tuple(map(str, names)) for side, names in sides.items()}
