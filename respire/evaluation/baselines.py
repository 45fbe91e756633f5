"""Baselines: what a Score is worth without listening, or with hardly any.

A predictor of "normal" for everything has Se 0, Sp 1 and Score .50, so a Score alone says little.
And the share of abnormal cycles differs between devices, so a model can score by recognising the
stethoscope rather than the sound. Each results table therefore carries four predictors that need
no network, fitted on the training side only and scored exactly as the models are:

- majority: the commonest training class for every cycle;
- device only: the best class for each device, blind to the sound;
- mean mel bands: logistic regression on the average spectrum, blind to anything in time;
- spectral statistics: logistic regression on statistics over time of mel bands, MFCCs and
  descriptors (data/spectral.py), which a network must beat to be worth its training.

A regression's log-probabilities are brought under the Score's prior (models/decision.py), and so
decided under the same prior as those of the model beside it.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from respire.errors import InputError
from respire.labels import NORMAL
from respire.models.decision import log_prior
from respire.training.predict import predictions

SCORES_PRIOR = 1.0
MEAN_BANDS, SPECTRAL = "mean mel bands", "spectral statistics"
INVERSE_PENALTY = {MEAN_BANDS: 1.0, SPECTRAL: 0.01}
"""Of the regressions, scikit-learn's C: 357 weights a class are learnt from some 4,000 cycles.
Chosen beforehand, and for every split the same."""


def predict_baselines(
    train: pd.DataFrame,
    test: pd.DataFrame,
    features: Mapping[str, tuple[np.ndarray, np.ndarray]],
    classes: Sequence[str],
) -> dict[str, pd.DataFrame]:
    """Fit every baseline on the training cycles and let it predict the test cycles.

    None of them draws anything at random. Cycles have columns ``device`` and ``label`` (int, of the
    task's C ``classes``); features, float [n, M] of the training and of the test cycles, are for
    MEAN_BANDS their log-mel bands averaged over time, in dB, for SPECTRAL the statistics.

    Returns:
        For "majority", "device only" and each of the features: predictions (training/predict.py),
        under the Score's prior. The first two call one class under every prior.

    Raises:
        InputError: the training side is empty or holds a single class.
    """
    if train["label"].nunique() < 2:
        raise InputError(
            "baselines: the training side needs cycles of at least two classes; "
            "choose another --split-seed or more data"
        )
    counts = np.bincount(train["label"], minlength=len(classes))
    log_p = {
        "majority": _certain(np.full(len(test), counts.argmax()), len(classes)),
        "device only": _certain(_by_device(train, test, len(classes)), len(classes)),
    }
    for name, (known, unknown) in features.items():
        log_p[name] = _by_features(train["label"], known, unknown, counts, INVERSE_PENALTY[name])
    return {
        name: predictions(test, rows, counts, SCORES_PRIOR, classes) for name, rows in log_p.items()
    }


def _certain(labels: np.ndarray, classes: int) -> np.ndarray:
    """Log-probabilities of classes that are called for certain, float32 [m, C]."""
    return np.where(labels[:, None] == np.arange(classes), 0, -np.inf).astype(np.float32)


def _commonest(labels: pd.Series) -> int:
    return int(np.bincount(labels).argmax())


def _by_device(train: pd.DataFrame, test: pd.DataFrame, classes: int) -> np.ndarray:
    """The assignment of a class to each device with the highest training ICBHI Score, int64 [m].

    Cycles of a device that training has not seen get the commonest class.
    """
    counts = pd.crosstab(train["device"], train["label"])
    counts = counts.reindex(columns=range(classes), fill_value=0)
    # The Score is a sum over devices, each adding hits / (2 x cycles of that side, normal or
    # abnormal): the best assignment is the best class of each device by itself.
    normal = counts[NORMAL].sum()
    abnormal = counts.to_numpy().sum() - normal
    sides = np.where(np.arange(classes) == NORMAL, normal, abnormal)
    best = counts.div(np.maximum(sides, 1), axis="columns").idxmax(axis="columns")
    predicted = test["device"].map(best).fillna(_commonest(train["label"]))
    return predicted.to_numpy(dtype=np.int64)


def _by_features(
    labels: pd.Series, known: np.ndarray, unknown: np.ndarray, counts: np.ndarray, c: float
) -> np.ndarray:
    """Logistic regression on standardised features, under the Score's prior, float32 [m, C].

    It learns how common the classes are in training; that is taken out again. A class that training
    lacks is never called.
    """
    model = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=1000))
    model.fit(known, labels.to_numpy(dtype=np.int64))
    log_p = np.full((len(unknown), len(counts)), -np.inf)
    log_p[:, counts > 0] = model.predict_log_proba(unknown)
    in_score = log_prior(torch.from_numpy(counts)).numpy()
    moved = log_p + in_score - np.log(np.maximum(counts, 1) / counts.sum())
    return (moved - np.logaddexp.reduce(moved, axis=1, keepdims=True)).astype(np.float32)
