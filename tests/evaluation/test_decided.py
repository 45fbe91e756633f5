"""Classes for cycles: windows that vote, priors that are changed after training."""

import numpy as np
import pandas as pd
import pytest
import torch
from cycle_rows import cycles_table
from hypothesis import given
from hypothesis import strategies as st

from respire.evaluation.decided import along, averaged, decided
from respire.features.bank import CycleBank
from respire.features.pipeline import Pipeline
from respire.labels import CLASSES
from respire.metrics import overall
from respire.recipe.fields import Features
from respire.recipe.recipe import Recipe
from respire.training.predict import predictions

NAMES = CLASSES["4-class"]
KINDS = ("log_p_", "trained_on_")
COUNTS = np.array([2063, 1215, 501, 363])
"""The official training side's."""


def said(log_p: np.ndarray, prior: float = 0.5) -> pd.DataFrame:
    """Predictions of a cycle each."""
    n = len(log_p)
    cycles = pd.DataFrame({"recording": "r", "patient": 1, "device": "d", "cycle": range(n)})
    labels = np.arange(n) % 4
    return predictions(cycles.assign(label=labels), log_p, COUNTS, prior, NAMES)


def drawn(seed: int, n: int = 200) -> np.ndarray:
    logits = torch.from_numpy(np.random.default_rng(seed).normal(size=(n, 4), scale=2))
    return logits.log_softmax(1).float().numpy()


@given(st.integers(0, 2**16), st.floats(0, 2), st.floats(0, 1))
def test_another_prior_is_bayes_rule(seed: int, prior: float, trained: float) -> None:
    """Posteriors under one prior, divided by it and multiplied by the other, in NumPy alone."""
    share = np.append(1.0, COUNTS[1:] / COUNTS[1:].sum())
    likelihood = np.exp(drawn(seed, 20).astype(float)) / share**trained
    posterior = likelihood * share**prior
    posterior /= posterior.sum(1, keepdims=True)
    rows = decided(said(drawn(seed, 20), trained), prior)
    np.testing.assert_allclose(rows[[f"p_{name}" for name in NAMES]], posterior, atol=1e-5)
    clear = np.ptp(np.sort(posterior, 1)[:, -2:], axis=1) > 1e-4
    assert (rows["predicted"].to_numpy() == posterior.argmax(1))[clear].all()


def test_under_the_scores_prior_the_class_is_the_one_that_adds_most_to_the_score() -> None:
    equal = drawn(3)
    hits = np.exp(equal) * COUNTS  # expected of each class, but for a factor of the row
    per_hit = 1 / np.array([COUNTS[0], *[COUNTS[1:].sum()] * 3])
    best = (hits * per_hit).argmax(1)
    assert (decided(said(equal, 0.0), 1.0)["predicted"] == best).all()


def test_the_training_prior_is_the_default_and_changes_nothing() -> None:
    log_p = drawn(5)
    rows = decided(said(log_p, 0.3))
    assert (rows["predicted"] == log_p.argmax(1)).all()
    np.testing.assert_allclose(rows["p_both"], np.exp(log_p[:, 3]), atol=1e-6)
    pd.testing.assert_frame_equal(rows, decided(said(log_p, 0.3), 0.3))


def test_what_is_certain_stays_under_every_prior() -> None:
    certain = np.where(np.eye(4)[np.arange(40) % 4], 0, -np.inf).astype(np.float32)
    for prior in (0.0, 1.0, 2.0):
        rows = decided(said(certain), prior)
        assert (rows["predicted"] == rows["label"]).all()
        assert (rows[[f"p_{name}" for name in NAMES]].to_numpy() == np.exp(certain)).all()


def test_each_row_is_decided_by_its_own_counts() -> None:
    one, other = said(drawn(1)), said(drawn(2)).assign(recording="s", trained_on_normal=10)
    for name in NAMES[1:]:
        other[f"trained_on_{name}"] = 10
    together = decided(pd.concat([one, other], ignore_index=True), 1.5)
    apart = pd.concat([decided(one, 1.5), decided(other, 1.5)], ignore_index=True)
    pd.testing.assert_frame_equal(together, apart)


def test_the_score_along_the_prior_is_that_of_each() -> None:
    rows = said(drawn(9))
    scores = along(rows, (0.0, 0.5, 1.0), 4)
    assert scores == [overall(decided(rows, prior), 4).score for prior in (0.0, 0.5, 1.0)]
    normals = [(decided(rows, prior)["predicted"] == 0).sum() for prior in (0.0, 0.5, 1.0, 2.0)]
    assert normals == sorted(normals)


def test_of_a_grid_of_two_tasks_each_is_decided_as_if_it_were_alone() -> None:
    four, two = said(drawn(1)), said(drawn(2))
    two = two.drop(columns=[f"{kind}{name}" for kind in KINDS for name in NAMES[1:]])
    two = two.assign(log_p_normal=np.log(0.7), log_p_abnormal=np.log(0.3), trained_on_abnormal=9)
    grid = pd.concat([four.assign(variant="4"), two.assign(variant="2")], ignore_index=True)
    for name, alone in (("4", four), ("2", two)):
        rows = decided(grid[grid["variant"] == name].drop(columns="variant"))
        expected = decided(alone)
        pd.testing.assert_frame_equal(rows[expected.columns], expected, check_dtype=False)
        assert {*rows.columns} == {*expected.columns}
    with pytest.raises(ValueError, match="predictions of several tasks"):
        decided(grid)


@pytest.mark.parametrize("windows", [True, False])
def test_windows_vote_on_the_class_and_average_their_probabilities(windows: bool) -> None:
    # Of half-overlapping windows of 0.5 s the first cycle has four, the others one each.
    features = Features(window_seconds=0.5, n_mels=32, upsample=1)
    features = Features(**vars(features) | {"long_cycles": "windows" if windows else "clip"})
    bank = CycleBank.from_table(cycles_table([[4500, 1000], [1500]], [[1, 0], [2]]), "4-class")
    cut = Pipeline(Recipe(features=features), "cpu").windows(bank)
    logits = torch.tensor(
        [[2.0, 0, 0, 0]] * 2 + [[0, 1.0, 0, 0]] * 2 + [[0, 0, 3.0, 0], [0, 0, 0, 1]]
    )
    logits = logits if windows else logits[[0, 4, 5]]
    assert cut.whole.tolist() == ([0, 0, 0, 0, 1, 2] if windows else [0, 1, 2])
    rows = predictions(cut.cycles, logits.log_softmax(1).numpy(), COUNTS, 0.0, NAMES)
    table = decided(rows)
    assert table["predicted"].tolist() == [0, 2, 3]
    whole = logits[: len(logits) - 2].softmax(1).mean(0)
    expected = torch.stack([whole, logits[-2].softmax(0), logits[-1].softmax(0)])
    np.testing.assert_allclose(table[[f"p_{name}" for name in NAMES]], expected, atol=1e-6)
    assert table["label"].tolist() == [1, 0, 2]


@given(st.integers(0, 2**16), st.integers(1, 4))
def test_trainings_averaged_have_the_mean_of_their_probabilities(seed: int, count: int) -> None:
    of_each = [drawn(seed + number, 30) for number in range(count)]
    mean = np.mean([np.exp(log_p.astype(float)) for log_p in of_each], axis=0)
    rows = decided(averaged([said(log_p) for log_p in of_each]))
    np.testing.assert_allclose(rows[[f"p_{name}" for name in NAMES]], mean, atol=1e-6)


def test_a_class_that_no_training_calls_is_not_called_by_their_average() -> None:
    never = torch.from_numpy(drawn(1))
    never[:, 3] = -torch.inf
    never = never.log_softmax(1).numpy()
    mean = averaged([said(never), said(never)])
    assert (mean["log_p_both"] == -np.inf).all()
    np.testing.assert_allclose(mean["log_p_normal"], never[:, 0], atol=1e-6)


def test_predictions_of_other_cycles_or_under_other_priors_are_not_averaged() -> None:
    ours = said(drawn(1))
    for theirs in (ours.iloc[::-1], ours.assign(prior=1.0)):
        with pytest.raises(ValueError, match="predictions of other rows"):
            averaged([ours, theirs])


@given(st.integers(0, 2**16), st.floats(0, 1.5), st.floats(0, 1.5))
def test_networks_of_other_training_cycles_are_averaged_under_one_prior(
    seed: int, trained: float, wanted: float
) -> None:
    """A device that was fine-tuned in one seed and kept stage 1 in another (Bayes in NumPy)."""
    few = np.array([3, 20, 5, 1])
    ours, theirs = said(drawn(seed, 20), trained), said(drawn(seed + 1, 20), trained)
    theirs[[f"trained_on_{name}" for name in NAMES]] = few

    def share(counts: np.ndarray) -> np.ndarray:
        return np.append(1.0, counts[1:] / counts[1:].sum())

    both = np.stack([np.exp(drawn(seed + n, 20).astype(float)) for n in range(2)])
    both[1] *= (share(COUNTS) / share(few)) ** trained
    both /= both.sum(2, keepdims=True)
    posterior = both.mean(0) * share(COUNTS) ** (wanted - trained)
    posterior /= posterior.sum(1, keepdims=True)
    rows = decided(averaged([ours, theirs]), wanted)
    np.testing.assert_allclose(rows[[f"p_{name}" for name in NAMES]], posterior, atol=1e-5)
