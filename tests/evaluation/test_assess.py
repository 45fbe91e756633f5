import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    brier_score_loss,
    f1_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from respire.evaluation.assess import (
    BEYOND,
    COUNTED,
    EVERY,
    NAMES,
    STATISTICS,
    assess,
    described,
    described_by_device,
    intervals,
    values,
)
from respire.evaluation.beyond import GRID, look_beyond
from respire.labels import CLASSES
from respire.statistics.intervals import no_interval, over_patients


def predictions(patients: int, seed: int = 0, classes: int = 4) -> pd.DataFrame:
    """Ten cycles a patient in two recordings, of all classes, half of them recognised."""
    random = np.random.default_rng(seed)
    label = np.tile([0, 0, 0, 1, 2, 0, 1, 2, 3, 3], patients).clip(max=classes - 1)
    patient = np.repeat(np.arange(patients), 10)
    skill = random.normal(1, 0.5, patients)[patient, None]
    logits = random.normal(size=(len(label), classes)) + skill * np.eye(classes)[label]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    names = next(names for names in CLASSES.values() if len(names) == classes)
    return pd.DataFrame(
        {
            "patient": patient,
            "recording": [f"{one}_{n % 10 // 5}" for n, one in enumerate(patient)],
            "device": np.where(patient % 2, "Meditron", "AKGC417L"),
            "label": label,
            "predicted": p.argmax(axis=1),
            **{f"p_{name}": p[:, index] for index, name in enumerate(names)},
        }
    )


@settings(max_examples=25)
@given(st.integers(1, 30), st.integers(0, 1000))
def test_values_are_recalls_of_normal_and_of_abnormal_cycles_by_their_class(patients, seed):
    rows = predictions(patients, seed)
    measured = values(rows, 4)
    sp = recall_score(rows["label"], rows["predicted"], labels=[0], average="micro")
    se = recall_score(rows["label"], rows["predicted"], labels=[1, 2, 3], average="micro")
    ours = [measured[name] for name in NAMES]
    assert ours == pytest.approx([se, sp, (se + sp) / 2])


@pytest.mark.parametrize("seed", range(3))
def test_what_lies_beyond_is_what_scikit_learn_and_pandas_say(seed):
    rows = predictions(12, seed)
    measured, label = values(rows, 4), rows["label"].to_numpy()
    abnormal, p = label != 0, 1 - rows["p_normal"].to_numpy()
    share, said = calibration_curve(abnormal, p, n_bins=10, strategy="quantile")
    hit = (rows["label"] == rows["predicted"]).groupby([rows["patient"], abnormal]).mean()
    shares = {
        by: pd.DataFrame({"said": rows["predicted"] > 0, "is": abnormal}).groupby(rows[by]).mean()
        for by in ("recording", "patient")
    }
    expected = {
        "auc": roc_auc_score(abnormal, p),
        **{
            f"auc_{name}": roc_auc_score(label == index, rows[f"p_{name}"])
            for index, name in enumerate(CLASSES["4-class"])
            if index
        },
        "macro_f1": f1_score(label, rows["predicted"], average="macro"),
        "ece": np.abs(share - said).mean(),  # 120 cycles, 12 in each bin
        "brier": brier_score_loss(abnormal, p),
        "se_patients": hit.xs(True, level=1).mean(),
        "sp_patients": hit.xs(False, level=1).mean(),
        "score_patients": (hit.xs(True, level=1).mean() + hit.xs(False, level=1).mean()) / 2,
        "recording_r": stats.pearsonr(*shares["recording"].to_numpy().T).statistic,
    }
    assert {name: measured[name] for name in expected} == pytest.approx(expected)
    # Every patient has as many abnormal cycles.
    assert math.isnan(measured["patient_r"])


def test_of_two_classes_the_operating_curve_is_scikit_learns_roc_curve():
    rows = predictions(20, classes=2)
    fpr, tpr, _ = roc_curve(rows["label"], rows["p_abnormal"])
    measured = values(rows, 2)
    for name, sp in {"se_at_sp70": 0.7, "se_at_sp80": 0.8}.items():
        assert measured[name] == pytest.approx(np.interp(1 - sp, fpr, tpr), abs=0.02)
    assert all(math.isnan(measured[f"auc_{name}"]) for name in ("crackle", "wheeze", "both"))


def test_the_order_of_columns_does_not_matter():
    rows = predictions(25)
    assert values(rows[sorted(rows.columns)], 4) == pytest.approx(values(rows, 4), nan_ok=True)


def test_what_was_decided_lies_on_the_operating_curve():
    rows = predictions(25)
    measured = values(rows, 4)
    curve = look_beyond(rows).operating_curve
    assert measured["se"] == pytest.approx(np.interp(measured["sp"], GRID, curve), abs=0.01)
    assert curve[70] == measured["se_at_sp70"]
    assert curve[80] == measured["se_at_sp80"]
    assert curve == sorted(curve, reverse=True)


def test_figures_show_every_device_recording_and_patient():
    rows = predictions(11)
    told = look_beyond(rows)
    assert list(told.reliability) == ["", "AKGC417L", "Meditron"]
    assert sum(b.n for b in told.reliability["Meditron"]) == (rows["device"] == "Meditron").sum()
    assert [len(told.recordings), len(told.patients)] == [22, 11]
    first = rows[rows["recording"] == told.recordings[0].name]
    assert told.recordings[0].annotated == pytest.approx((first["label"] > 0).mean())
    assert told.recordings[0].predicted == pytest.approx((first["predicted"] > 0).mean())
    assert told.recordings[0].cycles == 5


def test_several_seeds_are_measured_one_by_one_and_not_pooled():
    members = [predictions(12), predictions(12, seed=5)]
    # The second is surer of everything: pooled, its cycles would outrank the first one's.
    members[1]["p_normal"] **= 8
    pooled = pd.concat([rows.assign(seed=n) for n, rows in enumerate(members)])
    told, of_each = values(pooled, 4), [values(rows, 4) for rows in members]
    for name in EVERY:
        expected = np.mean([of[name] for of in of_each])
        assert told[name] == pytest.approx(expected, nan_ok=True)
    assert told["auc"] != pytest.approx(values(pooled.drop(columns="seed"), 4)["auc"], abs=1e-3)


def test_measures_stand_in_the_order_of_the_list_each_with_its_interval_over_patients():
    rows = predictions(25)
    measures = {measure.name: measure for measure in assess(rows, 4)}
    found, measured = over_patients(rows), values(rows, 4)
    assert list(measures) == list(EVERY) == [statistic.name for statistic in STATISTICS]
    for statistic in STATISTICS:
        measure = measures[statistic.name]
        assert measure.value == pytest.approx(measured[statistic.name], nan_ok=True)
        assert (measure.label, measure.more_is_better) == (
            statistic.label,
            statistic.more_is_better,
        )
        assert measure.n == COUNTED[statistic.counted](rows)
        assert (measure.interval is None) == bool(measure.why_no_interval)
    for name in NAMES:
        assert measures[name].interval == pytest.approx(getattr(found, name))
    assert (measures["se"].n, measures["recording_r"].n, measures["score_patients"].n) == (
        250,
        50,
        25,
    )
    worse = [name for name, measure in measures.items() if not measure.more_is_better]
    assert worse == ["ece", "brier"]


def test_an_interval_is_a_t_interval_of_the_values_without_each_patient():
    rows = predictions(12)
    ends = intervals(rows, 4)
    assert (ends["level"], ends["patients"]) == (0.95, 12)
    without = [values(rows[rows["patient"] != patient], 4) for patient in range(12)]
    for statistic in BEYOND:
        of_each = np.array([of[statistic.name] for of in without])
        error = np.sqrt(11 / 12 * ((of_each - of_each.mean()) ** 2).sum())
        expected = stats.t.interval(0.95, 11, values(rows, 4)[statistic.name], error)
        if statistic.name == "patient_r":
            assert ends["patient_r"] is None
        else:
            assert ends[statistic.name] == pytest.approx(np.clip(expected, statistic.least, 1))


def test_too_few_patients_have_no_interval_and_the_measures_say_why():
    rows = predictions(9)
    for measure in assess(rows, 4):
        assert measure.interval is None
        assert measure.why_no_interval == no_interval(rows) != ""


def test_who_is_not_known_is_no_patient_and_leaves_no_interval():
    rows = predictions(12)
    rows["patient"] = rows["patient"].astype(str)
    known = rows[rows["patient"] != "3"]
    rows["patient"] = rows["patient"].where(rows["patient"] != "3", "")
    assert intervals(rows, 4) is None
    assert described(rows, 4)["counted"]["patients"] == 11
    for name in ("se_patients", "sp_patients", "score_patients"):
        assert values(rows, 4)[name] == values(known, 4)[name]
    assert values(rows, 4)["recording_r"] != values(known, 4)["recording_r"]
    assert [answer.name for answer in look_beyond(rows).patients] == sorted(set(known["patient"]))
    nobody = values(rows.assign(patient=""), 4)
    assert math.isnan(nobody["score_patients"])
    assert nobody["score"] == values(rows, 4)["score"]


def test_what_hangs_on_one_patient_has_no_interval():
    rows = predictions(12)
    rows["label"] = rows["label"].where((rows["label"] < 3) | (rows["patient"] == 0), 1)
    measures = {measure.name: measure for measure in assess(rows, 4)}
    assert measures["auc_both"].value > 0
    assert measures["auc_both"].interval is None
    assert "without one of the patients" in measures["auc_both"].why_no_interval


def test_what_cannot_be_had_is_nan_in_values_and_beside_the_rest_in_results():
    rows = predictions(3).query("label > 0")
    assert math.isnan(values(rows, 4)["sp"])
    assert math.isnan(values(rows, 4)["score"])
    stored = described(rows, 4)
    assert stored["n"] == stored["counted"]["cycles"] == len(rows)
    assert np.sum(stored["confusion"]) == len(rows)
    assert stored["se"] == values(rows, 4)["se"]


def test_classes_alone_without_probabilities_leave_only_what_needs_them_undefined():
    rows = predictions(12)[["patient", "label", "predicted"]]
    undefined = {name for name, value in values(rows, 4).items() if math.isnan(value)}
    ranks = {statistic.name for statistic in BEYOND if statistic.name.startswith(("auc", "se_at"))}
    assert undefined == {*ranks, "ece", "brier", "recording_r", "patient_r"}


@settings(max_examples=15)
@given(st.integers(1, 10), st.randoms(use_true_random=False))
def test_devices_add_up_to_all_cycles(patients, random):
    rows = predictions(patients)
    rows["device"] = [random.choice(["AKGC417L", "Litt3200"]) for _ in range(len(rows))]
    devices = described_by_device(rows, 4)
    assert list(devices) == sorted(rows["device"].unique())
    confusions = [np.array(of_device["confusion"]) for of_device in devices.values()]
    np.testing.assert_array_equal(sum(confusions), np.array(described(rows, 4)["confusion"]))
