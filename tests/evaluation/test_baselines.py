from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from respire.errors import InputError
from respire.evaluation.baselines import predict_baselines
from respire.evaluation.decided import decided
from respire.labels import CLASSES
from respire.metrics import overall

NAMES = {4: CLASSES["4-class"], 2: CLASSES["2-class"]}
FOUR = NAMES[4]
DEVICES = ["AKGC417L", "Litt3200", "LittC2SE", "Meditron"]


def cycles(seed: int, n: int, devices: list[str] = DEVICES, classes: int = 4) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return identified(
        pd.DataFrame(
            {"device": random.choice(devices, n), "label": random.integers(classes, size=n)}
        )
    )


def identified(cycles: pd.DataFrame) -> pd.DataFrame:
    return cycles.assign(recording="r", cycle=range(len(cycles)))


def noise(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 8))


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.integers(4, 40), st.sampled_from([2, 4]))
def test_no_assignment_of_classes_to_devices_beats_device_only_in_training(seed, n, classes):
    train = cycles(seed, n, classes=classes)
    assume(0 < (train["label"] == 0).sum() < n)
    chosen = predict_baselines(train, train, noise(seed, n), noise(seed, n), NAMES[classes])[
        "device only"
    ]
    best = max(
        overall(
            train.assign(predicted=train["device"].map(dict(zip(DEVICES, choice, strict=True)))),
            classes,
        ).score
        for choice in product(range(classes), repeat=len(DEVICES))
    )
    assert overall(decided(chosen), classes).score == pytest.approx(best)


def test_majority_predicts_the_commonest_training_class_not_the_commonest_test_class():
    train = pd.DataFrame({"device": "Meditron", "label": [2, 2, 2, 0]})
    test = identified(pd.DataFrame({"device": "Meditron", "label": [0, 0, 0, 1]}))
    predicted = predict_baselines(train, test, noise(0, 4), noise(1, 4), FOUR)["majority"]
    assert decided(predicted)["predicted"].tolist() == [2, 2, 2, 2]


def test_an_unseen_device_gets_the_commonest_class():
    train = pd.DataFrame({"device": "AKGC417L", "label": [1, 1, 1, 0]})
    test = identified(pd.DataFrame({"device": ["Litt3200"], "label": [0]}))
    predicted = predict_baselines(train, test, noise(0, 4), noise(1, 1), FOUR)["device only"]
    assert decided(predicted)["predicted"].tolist() == [1]


def test_mean_mel_bands_finds_classes_that_differ_in_their_spectrum():
    train, test = cycles(0, 400), cycles(1, 200)
    loud = 3 * np.eye(4, 8)
    predicted = predict_baselines(
        train, test, loud[train["label"]] + noise(2, 400), loud[test["label"]] + noise(3, 200), FOUR
    )["mean mel bands"]
    assert overall(decided(predicted), 4).score > 0.8


def test_test_labels_change_no_prediction():
    train, test = cycles(0, 100), cycles(1, 50)
    features = noise(2, 100), noise(3, 50)
    before = predict_baselines(train, test, *features, FOUR)
    after = predict_baselines(train, test.assign(label=0), *features, FOUR)
    for name, predicted in before.items():
        unlabelled = after[name].assign(label=predicted["label"])
        pd.testing.assert_frame_equal(predicted, unlabelled)


def test_other_columns_and_rows_of_the_test_frame_are_kept():
    train = cycles(0, 50)
    test = cycles(1, 20).sample(frac=1, random_state=0)
    for predicted in predict_baselines(train, test, noise(2, 50), noise(3, 20), FOUR).values():
        pd.testing.assert_frame_equal(predicted[test.columns], test.reset_index(drop=True))
        assert decided(predicted)["predicted"].dtype == np.int64


def test_a_training_side_of_one_class_is_refused():
    train = pd.DataFrame({"device": "AKGC417L", "label": [1, 1]})
    with pytest.raises(InputError, match="two classes"):
        predict_baselines(train, train, noise(0, 2), noise(0, 2), FOUR)


def test_a_regression_is_decided_under_the_same_rule_as_a_model() -> None:
    """Posteriors of scikit-learn's own, under equal classes and under the Score's prior."""
    train, test = cycles(0, 400), cycles(1, 200)
    train = train[(train["label"] != 3) | (train.index % 5 == 0)]  # "both" is rare
    features = np.eye(4, 8)[train["label"]] + noise(2, len(train))
    unseen = np.eye(4, 8)[test["label"]] + noise(3, 200)
    rows = predict_baselines(train, test, features, unseen, FOUR)["mean mel bands"]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    posterior = model.fit(features, train["label"]).predict_proba(unseen)
    count = np.bincount(train["label"])
    in_score = np.append(1.0, count[1:] / count[1:].sum())
    for prior in (0.0, 0.5, 1.0):
        expected = posterior / count * in_score**prior
        expected /= expected.sum(1, keepdims=True)
        shown = decided(rows, prior)[[f"p_{name}" for name in FOUR]].to_numpy()
        np.testing.assert_allclose(shown, expected, atol=1e-5)


def test_a_class_that_training_lacks_is_never_called() -> None:
    train, test = cycles(0, 100, classes=3), cycles(1, 50)
    for rows in predict_baselines(train, test, noise(2, 100), noise(3, 50), FOUR).values():
        for prior in (0.0, 1.0):
            assert (decided(rows, prior)["predicted"] < 3).all()
