from itertools import product

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from cycle_rows import cycles_table
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tiny_fit import CPU, RECIPE

from respire.data.rows import SCHEMA
from respire.errors import InputError
from respire.evaluation.baselines import INVERSE_PENALTY, MEAN_BANDS, SPECTRAL, predict_baselines
from respire.evaluation.decided import decided
from respire.evaluation.evaluate import baseline_predictions
from respire.labels import CLASSES
from respire.metrics import overall

DEVICES = ["AKGC417L", "Litt3200", "LittC2SE", "Meditron"]
NAMES = {4: CLASSES["4-class"], 2: CLASSES["2-class"]}


def cycles(seed: int, n: int, devices: list[str] = DEVICES, classes: int = 4) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    drawn = {"device": random.choice(devices, n), "label": random.integers(classes, size=n)}
    return identified(pd.DataFrame(drawn))


def identified(cycles: pd.DataFrame) -> pd.DataFrame:
    return cycles.assign(recording="r", cycle=range(len(cycles)))


def noise(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 8))


def from_noise(train: pd.DataFrame, test: pd.DataFrame, classes: int = 4) -> dict:
    """Every baseline's predictions where what a cycle sounds like says nothing."""
    features = noise(2, len(train)), noise(3, len(test))
    told = dict.fromkeys((MEAN_BANDS, SPECTRAL), features)
    return predict_baselines(train, test, told, NAMES[classes])


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.integers(4, 40), st.sampled_from([2, 4]))
def test_no_assignment_of_classes_to_devices_beats_device_only_in_training(seed, n, classes):
    train = cycles(seed, n, classes=classes)
    assume(0 < (train["label"] == 0).sum() < n)
    chosen = from_noise(train, train, classes)["device only"]
    best = max(
        overall(
            train.assign(predicted=train["device"].map(dict(zip(DEVICES, choice, strict=True)))),
            classes,
        ).score
        for choice in product(range(classes), repeat=len(DEVICES))
    )
    assert overall(decided(chosen), classes).score == pytest.approx(best)


def test_majority_predicts_the_commonest_training_class_not_the_commonest_test_class():
    train = identified(pd.DataFrame({"device": "Meditron", "label": [2, 2, 2, 0]}))
    test = identified(pd.DataFrame({"device": "Meditron", "label": [0, 0, 0, 1]}))
    assert decided(from_noise(train, test)["majority"])["predicted"].tolist() == [2, 2, 2, 2]


def test_an_unseen_device_gets_the_commonest_class():
    train = identified(pd.DataFrame({"device": "AKGC417L", "label": [1, 1, 1, 0]}))
    test = identified(pd.DataFrame({"device": ["Litt3200"], "label": [0]}))
    assert decided(from_noise(train, test)["device only"])["predicted"].tolist() == [1]


@pytest.mark.parametrize("name", [MEAN_BANDS, SPECTRAL])
def test_a_regression_finds_classes_that_differ_in_its_own_features_alone(name: str):
    train, test = cycles(0, 400), cycles(1, 200)
    silent, loud = np.zeros((4, 8)), 3 * np.eye(4, 8)
    features = {
        other: tuple(
            (loud if other == name else silent)[of["label"]] + noise(seed, len(of))
            for seed, of in ((2, train), (3, test))
        )
        for other in (MEAN_BANDS, SPECTRAL)
    }
    rows = predict_baselines(train, test, features, NAMES[4])
    scores = {other: overall(decided(of), 4).score for other, of in rows.items()}
    assert scores.pop(name) > 0.8
    assert max(scores.values()) < 0.6


def test_a_regression_is_decided_under_the_same_rule_as_a_model() -> None:
    """Posteriors of scikit-learn's own, under equal classes and under the Score's prior."""
    train, test = cycles(0, 400), cycles(1, 200)
    train = train[(train["label"] != 3) | (train.index % 5 == 0)]  # "both" is rare
    known, unknown = (np.eye(4, 8)[of["label"]] + noise(2, len(of)) for of in (train, test))
    rows = predict_baselines(train, test, {SPECTRAL: (known, unknown)}, NAMES[4])[SPECTRAL]
    regression = LogisticRegression(C=INVERSE_PENALTY[SPECTRAL], max_iter=1000)
    model = make_pipeline(StandardScaler(), regression).fit(known, train["label"])
    count = np.bincount(train["label"])
    in_score = np.append(1.0, count[1:] / count[1:].sum())
    for prior in (0.0, 0.5, 1.0):
        expected = model.predict_proba(unknown) / count * in_score**prior
        expected /= expected.sum(1, keepdims=True)
        shown = decided(rows, prior)[[f"p_{name}" for name in NAMES[4]]].to_numpy()
        np.testing.assert_allclose(shown, expected, atol=1e-5)


def test_a_class_that_training_lacks_is_never_called() -> None:
    for rows in from_noise(cycles(0, 100, classes=3), cycles(1, 50)).values():
        for prior in (0.0, 1.0):
            assert (decided(rows, prior)["predicted"] < 3).all()


def test_spectral_statistics_are_read_beside_their_own_cycles():
    tables = []
    for seed in (0, 1):
        labels = np.random.default_rng(seed).integers(4, size=(60, 3)).tolist()
        table = cycles_table([[200, 300, 250]] * 60, labels, seed=seed)
        told = [list(np.eye(4)[label]) for label in labels]
        place, field = table.column_names.index("spectral"), SCHEMA.field("spectral")
        tables.append(table.set_column(place, field, pa.array(told, field.type)))
    rows = baseline_predictions(RECIPE, *tables, CPU)[SPECTRAL]
    assert overall(decided(rows), 4).score == 1


def test_test_labels_change_no_prediction():
    train, test = cycles(0, 100), cycles(1, 50)
    before, after = from_noise(train, test), from_noise(train, test.assign(label=0))
    for name, rows in before.items():
        pd.testing.assert_frame_equal(rows, after[name].assign(label=rows["label"]))


def test_other_columns_and_rows_of_the_test_frame_are_kept():
    train, test = cycles(0, 50), cycles(1, 20).sample(frac=1, random_state=0)
    for rows in from_noise(train, test).values():
        pd.testing.assert_frame_equal(rows[test.columns], test.reset_index(drop=True))
        assert decided(rows)["predicted"].dtype == np.int64


def test_a_training_side_of_one_class_is_refused():
    train = identified(pd.DataFrame({"device": "AKGC417L", "label": [1, 1]}))
    with pytest.raises(InputError, match="two classes"):
        from_noise(train, train)
