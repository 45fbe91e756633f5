"""Predictions decided: a class for every cycle, under any prior."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from respire.metrics import overall
from respire.models.decision import decide, under_prior
from respire.training.predict import LOG_P, PRIOR, TRAINED_ON, count_votes

PRIORS = tuple(tenth / 10 for tenth in range(16))
"""Along which reports show the Score: 0 is equal classes, 1 the Score's own."""
SHOWN = slice(None, None, 5)
"""Of what is along PRIORS, what tables show."""
SHOWN_PRIORS = PRIORS[SHOWN]


def decided(rows: pd.DataFrame, prior: float | None = None) -> pd.DataFrame:
    """A class for every cycle; where long ones are cut into windows, what most of these say.

    Args:
        rows: predictions (training/predict.py), the windows of a cycle one after the other.
        prior: of the classes, to decide under (models/decision.py); None for that of training.

    Returns:
        A row a cycle: the rows' own columns, and ``predicted``, int64, and a probability
        ``p_CLASS`` for each class under that prior, the mean over windows.

    Raises:
        ValueError: rows are of several tasks.
    """
    classes = _classes(rows)
    change = 0.0 if prior is None else prior - rows[PRIOR].to_numpy(dtype=np.float32)[:, None]
    given = (*_told(rows, classes), torch.as_tensor(change))
    first = rows["window"].to_numpy() == 0
    whole = np.cumsum(first) - 1
    votes = count_votes(decide(*given), torch.from_numpy(whole), first.sum(), len(classes))
    told = [name for name in rows.columns if name.startswith((LOG_P, TRAINED_ON))] + [
        "window",
        PRIOR,
    ]
    cycles = rows[first].drop(columns=told).assign(predicted=votes.argmax(1).numpy())
    probability = pd.DataFrame(under_prior(*given).softmax(1).numpy()).groupby(whole).mean()
    return cycles.assign(
        **{f"p_{name}": probability[index].to_numpy() for index, name in enumerate(classes)}
    ).reset_index(drop=True)


def averaged(members: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Predictions of several trainings as those of one: of each row, the mean probabilities.

    Args:
        members: predictions (training/predict.py) of the same rows in the same order, under the
            same prior. Where the training cycles of a row's networks differ (of one seed a device
            was fine-tuned, of another it kept stage 1), each member's probabilities are first
            brought under the counts of the first, as ``under_prior`` brings them to another prior.
    """
    first, classes = members[0], _classes(members[0])
    counted = [f"{prefix}{name}" for prefix in (LOG_P, TRAINED_ON) for name in classes]
    alike = [member.drop(columns=counted) for member in members]
    if not all(alike[0].equals(other) for other in alike[1:]):
        raise ValueError("predictions of other rows, or under other priors")
    prior = torch.from_numpy(first[PRIOR].to_numpy(dtype=np.float32, copy=True))[:, None]
    _, counts = _told(first, classes)
    log_p = torch.stack(
        [
            under_prior(under_prior(said, own, -prior), counts, prior)
            for said, own in (_told(member, classes) for member in members)
        ]
    )
    mean = (log_p.log_softmax(-1).logsumexp(0) - np.log(len(members))).numpy()
    return first.assign(**{f"{LOG_P}{name}": mean[:, at] for at, name in enumerate(classes)})


def along(rows: pd.DataFrame, priors: Sequence[float], classes: int) -> list[float]:
    """The Score of predictions under each prior, NaN where undefined; of so many ``classes``."""
    return [overall(decided(rows, prior), classes).score for prior in priors]


def _classes(rows: pd.DataFrame) -> list[str]:
    """The classes that predictions tell of, in their order; a column without numbers is of others.

    Raises:
        ValueError: rows are of several tasks.
    """
    known = rows.filter(regex=f"^{LOG_P}").notna()
    if not (known.all() | ~known.any()).all():
        raise ValueError("predictions of several tasks; decide those of each by themselves")
    return [name.removeprefix(LOG_P) for name in known.columns if known[name].any()]


def _told(rows: pd.DataFrame, classes: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Log-probabilities, float32 [n, C], and training cycles, int64 [n, C], of each class."""
    log_p, counts = (
        rows[[f"{prefix}{name}" for name in classes]].to_numpy(dtype=kind, copy=True)
        for prefix, kind in ((LOG_P, np.float32), (TRAINED_ON, np.int64))
    )
    return torch.from_numpy(log_p), torch.from_numpy(counts)
