from itertools import product

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from cycle_rows import cycles_table
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tiny_fit import CPU, RECIPE

from respire.data.rows import SCHEMA
from respire.errors import InputError
from respire.evaluation.baselines import predict_baselines
from respire.evaluation.evaluate import baseline_predictions
from respire.metrics import overall

DEVICES = ["AKGC417L", "Litt3200", "LittC2SE", "Meditron"]


def cycles(seed: int, n: int, devices: list[str] = DEVICES, classes: int = 4) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {"device": random.choice(devices, n), "label": random.integers(classes, size=n)}
    )


def noise(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 8))


def from_noise(train: pd.DataFrame, test: pd.DataFrame, classes: int = 4) -> dict:
    """Every baseline's predictions where what a cycle sounds like says nothing."""
    features = noise(2, len(train)), noise(3, len(test))
    return predict_baselines(train, test, *features, *features, classes)


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
    assert overall(chosen, classes).score == pytest.approx(best)


def test_majority_predicts_the_commonest_training_class_not_the_commonest_test_class():
    train = pd.DataFrame({"device": "Meditron", "label": [2, 2, 2, 0]})
    test = pd.DataFrame({"device": "Meditron", "label": [0, 0, 0, 1]})
    predicted = from_noise(train, test)["majority"]
    assert predicted["predicted"].tolist() == [2, 2, 2, 2]


def test_an_unseen_device_gets_the_commonest_class():
    train = pd.DataFrame({"device": "AKGC417L", "label": [1, 1, 1, 0]})
    test = pd.DataFrame({"device": ["Litt3200"], "label": [0]})
    predicted = from_noise(train, test)["device only"]
    assert predicted["predicted"].tolist() == [1]


@pytest.mark.parametrize("name", ["mean mel bands", "spectral statistics"])
def test_a_regression_finds_classes_that_differ_in_its_own_features_alone(name: str):
    train, test = cycles(0, 400), cycles(1, 200)
    silent, loud = np.zeros((4, 8)), 3 * np.eye(4, 8)
    features = [
        differ[of["label"]] + noise(seed, len(of))
        for differ in ((loud, silent) if name == "mean mel bands" else (silent, loud))
        for seed, of in ((2, train), (3, test))
    ]
    predicted = predict_baselines(train, test, *features, 4)
    assert overall(predicted.pop(name), 4).score > 0.8
    assert all(overall(other, 4).score < 0.6 for other in predicted.values())


def test_spectral_statistics_are_read_beside_their_own_cycles():
    tables = []
    for seed in (0, 1):
        labels = np.random.default_rng(seed).integers(4, size=(60, 3)).tolist()
        table = cycles_table([[200, 300, 250]] * 60, labels, seed=seed)
        told = [list(np.eye(4)[label]) for label in labels]
        place, field = table.column_names.index("spectral"), SCHEMA.field("spectral")
        tables.append(table.set_column(place, field, pa.array(told, field.type)))
    predicted = baseline_predictions(RECIPE, *tables, CPU)["spectral statistics"]
    assert overall(predicted, 4).score == 1


def test_test_labels_change_no_prediction():
    train, test = cycles(0, 100), cycles(1, 50)
    before = from_noise(train, test)
    after = from_noise(train, test.assign(label=0))
    for name, predicted in before.items():
        pd.testing.assert_series_equal(predicted["predicted"], after[name]["predicted"])


def test_other_columns_and_rows_of_the_test_frame_are_kept():
    train = cycles(0, 50)
    test = cycles(1, 20).assign(recording="r", cycle=range(20)).sample(frac=1, random_state=0)
    for predicted in from_noise(train, test).values():
        pd.testing.assert_frame_equal(predicted.drop(columns="predicted"), test)
        assert predicted["predicted"].dtype == np.int64


def test_a_training_side_of_one_class_is_refused():
    train = pd.DataFrame({"device": "AKGC417L", "label": [1, 1]})
    with pytest.raises(InputError, match="two classes"):
        from_noise(train, train)
