import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from respire.metrics import (
    Scores,
    confusion_matrix,
    percent,
    shortcomings,
)


@st.composite
def labelled(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    classes = draw(st.sampled_from([2, 4]))
    pairs = draw(
        st.lists(st.tuples(st.integers(0, classes - 1), st.integers(0, classes - 1)), max_size=60)
    )
    truth, predicted = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return truth, predicted, classes


@given(labelled())
def test_confusion_and_recall_equal_scikit_learn(case):
    truth, predicted, classes = case
    scores = Scores.of(truth, predicted, classes)
    labels = range(classes)
    if len(truth):
        np.testing.assert_array_equal(
            scores.confusion, reference.confusion_matrix(truth, predicted, labels=labels)
        )
    np.testing.assert_allclose(
        scores.recall,
        reference.recall_score(truth, predicted, labels=labels, average=None, zero_division=np.nan)
        if len(truth)
        else np.full(classes, np.nan),
    )


@given(labelled())
def test_se_sp_and_score_equal_the_papers_fractions(case):
    truth, predicted, classes = case
    scores = Scores.of(truth, predicted, classes)
    abnormal = truth != 0
    se = np.mean(predicted[abnormal] == truth[abnormal]) if abnormal.any() else np.nan
    sp = np.mean(predicted[~abnormal] == 0) if (~abnormal).any() else np.nan
    np.testing.assert_allclose([scores.se, scores.sp, scores.score], [se, sp, (se + sp) / 2])
    assert scores.n == len(truth)


@given(labelled())
def test_scores_survive_strict_json(case):
    scores = Scores.of(*case)
    stored = json.loads(json.dumps(scores.to_json(), allow_nan=False))
    assert Scores.from_json(stored).to_json() == stored == scores.to_json()


def test_a_wheeze_called_crackle_is_a_miss():
    assert Scores.of([0, 2], [0, 1], 4).se == 0


def test_calling_everything_normal_scores_one_half_and_does_not_work():
    scores = Scores.of([0, 0, 1, 2, 3], [0, 0, 0, 0, 0], 4)
    assert (scores.se, scores.sp, scores.score) == (0, 1, 0.5)
    assert shortcomings(scores, {})


@pytest.mark.parametrize(
    ("truth", "predicted"),
    [([0, 4], [0, 0]), ([0, 1], [0, -1]), ([0, 1], [0]), ([[0]], [[0]])],
)
def test_labels_out_of_range_or_of_other_length_are_refused(truth, predicted):
    with pytest.raises(ValueError, match=r"must"):
        confusion_matrix(truth, predicted, 4)


GOOD = Scores(np.array([[8, 2, 0, 0], [2, 6, 1, 1], [1, 1, 7, 1], [2, 1, 1, 6]]))


@pytest.mark.parametrize(
    ("change", "baseline", "reason"),
    [
        ({}, [[10, 0], [0, 10]], "not above that of the baseline"),
        ({3: [5, 5, 0, 0]}, [[0, 10], [10, 0]], "no cycle of class both is recognised"),
        ({3: [0, 0, 0, 0]}, [[0, 10], [10, 0]], "no test cycle of class both"),
        ({0: [0, 0, 0, 0]}, [[0, 10], [10, 0]], "no test cycle of class normal"),
        (
            {1: [9, 1, 0, 0], 2: [9, 0, 1, 0], 3: [9, 0, 0, 1]},
            [[0, 10], [10, 0]],
            r"Se of 10\.0% is not at least 30\.0%",
        ),
    ],
)
def test_a_model_that_falls_short_does_not_work_and_hears_why(change, baseline, reason):
    confusion = GOOD.confusion.copy()
    for row, counts in change.items():
        confusion[row] = counts
    baselines = {"majority": Scores(np.array(baseline))}
    assert pd.Series(shortcomings(Scores(confusion), baselines)).str.contains(reason).any()


def test_a_model_above_every_threshold_works():
    assert not shortcomings(GOOD, {"majority": Scores(np.array([[10, 0], [10, 0]]))})


def test_equalling_a_baseline_is_not_enough():
    assert shortcomings(GOOD, {"twin": GOOD})


def test_undefined_fractions_are_written_as_a_dash():
    assert [percent(None), percent(float("nan")), percent(0.5556)] == ["–", "–", "55.6"]
