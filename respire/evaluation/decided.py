"""Predictions decided: a class for every cycle, under any prior."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from respire.metrics import overall
from respire.models.decision import decide, under_prior
from respire.training.predict import LOG_P, PRIOR, TRAINED_ON, count_votes

PRIORS = tuple(tenth / 10 for tenth in range(16))
"""Along which reports show the Score: 0 is equal classes, 1 the Score's own."""
SHOWN_PRIORS = PRIORS[::5]
"""Those in tables."""


def decided(rows: pd.DataFrame, prior: float | None = None) -> pd.DataFrame:
    """A class for every cycle; where long ones are cut into windows, what most of these say.

    Args:
        rows: predictions (training/predict.py), the windows of a cycle one after the other.
        prior: of the classes, to decide under (models/decision.py); None for that of training.

    Returns:
        A row a cycle: the rows' own columns, and ``predicted``, int64, and a probability
        ``p_CLASS`` for each class under that prior, the mean over windows.
    """
    classes = [name.removeprefix(LOG_P) for name in rows.columns if name.startswith(LOG_P)]

    def of_each(prefix: str, kind: type) -> torch.Tensor:
        columns = [f"{prefix}{name}" for name in classes]
        return torch.from_numpy(rows[columns].to_numpy(dtype=kind, copy=True))

    change = 0.0 if prior is None else prior - rows[PRIOR].to_numpy(dtype=np.float32)[:, None]
    given = (of_each(LOG_P, np.float32), of_each(TRAINED_ON, np.int64), torch.as_tensor(change))
    first = rows["window"].to_numpy() == 0
    whole = np.cumsum(first) - 1
    votes = count_votes(decide(*given), torch.from_numpy(whole), first.sum(), len(classes))
    told = [
        *(f"{prefix}{name}" for prefix in (LOG_P, TRAINED_ON) for name in classes),
        *("window", PRIOR),
    ]
    cycles = rows[first].drop(columns=told).assign(predicted=votes.argmax(1).numpy())
    probability = pd.DataFrame(under_prior(*given).softmax(1).numpy()).groupby(whole).mean()
    return cycles.assign(
        **{f"p_{name}": probability[index].to_numpy() for index, name in enumerate(classes)}
    ).reset_index(drop=True)


def averaged(members: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Predictions of several trainings as those of one: of each row, the mean probabilities.

    Args:
        members: predictions (training/predict.py) of the same rows in the same order, of networks
            that were trained on the same cycles under the same prior.
    """
    first = members[0]
    columns = [name for name in first.columns if name.startswith(LOG_P)]
    alike = [name for name in first.columns if name not in columns]
    if not all(first[alike].equals(other[alike]) for other in members[1:]):
        raise ValueError("predictions of other rows, or from other training cycles")
    log_p = np.stack([member[columns].to_numpy() for member in members])
    mean = np.logaddexp.reduce(log_p, axis=0) - np.log(np.float32(len(members)))
    return first.assign(**dict(zip(columns, mean.T, strict=True)))


def along(rows: pd.DataFrame, priors: Sequence[float], classes: int) -> list[float]:
    """The Score of predictions under each prior, NaN where undefined; of so many ``classes``."""
    return [overall(decided(rows, prior), classes).score for prior in priors]
