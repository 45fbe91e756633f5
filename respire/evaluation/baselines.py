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
"""

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from respire.errors import InputError
from respire.labels import NORMAL

SPECTRAL_C = 0.01
"""Inverse strength of the regularisation of 357 weights a class, learnt from some 4,000 cycles.

Chosen beforehand, and for every split the same.
"""


def predict_baselines(
    train: pd.DataFrame,
    test: pd.DataFrame,
    train_features: np.ndarray,
    test_features: np.ndarray,
    train_spectral: np.ndarray,
    test_spectral: np.ndarray,
    classes: int,
) -> dict[str, pd.DataFrame]:
    """Fit every baseline on the training cycles and let it predict the test cycles.

    None of them draws anything at random. Cycles have columns ``device`` and ``label`` (int, of the
    task's C classes); features, float [n, M], are their log-mel bands averaged over time, in dB;
    spectral, float [n, 357], the statistics of their spectra.

    Returns:
        For "majority", "device only", "mean mel bands" and "spectral statistics": the test frame
        with a column ``predicted`` (int64).

    Raises:
        InputError: the training side is empty or holds a single class.
    """
    if train["label"].nunique() < 2:
        raise InputError(
            "baselines: the training side needs cycles of at least two classes; "
            "choose another --split-seed or more data"
        )
    predicted = {
        "majority": np.full(len(test), _commonest(train["label"])),
        "device only": _by_device(train, test, classes),
        "mean mel bands": _by_spectrum(train["label"], train_features, test_features),
        "spectral statistics": _by_spectrum(
            train["label"], train_spectral, test_spectral, SPECTRAL_C
        ),
    }
    return {name: test.assign(predicted=labels) for name, labels in predicted.items()}


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


def _by_spectrum(
    labels: pd.Series, train_features: np.ndarray, test_features: np.ndarray, c: float = 1.0
) -> np.ndarray:
    """Logistic regression on standardised features, classes weighted equally, int64 [m]."""
    regression = LogisticRegression(C=c, class_weight="balanced", max_iter=1000)
    model = make_pipeline(StandardScaler(), regression)
    return model.fit(train_features, labels.to_numpy(dtype=np.int64)).predict(test_features)
