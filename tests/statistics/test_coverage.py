from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from respire.data.corpora.corpus import open_corpus
from respire.statistics.coverage import SPREAD, over_patients, over_splits, simulated_sides
from respire.statistics.intervals import no_interval
from respire.statistics.variance import decompose

REAL = Path(__file__).resolve().parents[3] / "shared/data/icbhi"
needs_real_data = pytest.mark.skipif(not REAL.exists(), reason=f"no recordings at {REAL}")


@pytest.mark.parametrize("share", [0.0, 0.4, 0.9])
def test_exact_intervals_hold_the_truth_as_often_as_they_say(share):
    found = over_splits(8, 2, share, seed=0, experiments=1500)
    for name in ("mean", "within"):
        # Exact by theory: only the simulation's own error is left.
        low, high = stats.binom.ppf((0.0005, 0.9995), 1500, 0.95) / 1500
        assert low <= found[name] <= high
    for name in ("between", "total"):
        assert 0.93 <= found[name] <= 1


def test_it_counts_what_decompose_says_of_the_experiments_it_draws():
    random, share = np.random.default_rng([5, 4]), 0.3
    held = {"between": 0, "total": 0}
    for _ in range(50):
        effects = SPREAD * np.sqrt(share) * random.standard_normal((4, 1))
        values = 0.5 + effects + SPREAD * np.sqrt(1 - share) * random.standard_normal((4, 3))
        found = decompose(values, n_test=0, n_train=1, level=0.8)
        held["between"] += found.between.low <= share * SPREAD**2 <= found.between.high
        held["total"] += found.total.low <= SPREAD**2 <= found.total.high
    told = over_splits(4, 3, share, seed=5, experiments=50, level=0.8)
    assert {name: told[name] * 50 for name in held} == pytest.approx(held)


def test_the_same_seed_gives_the_same_coverage_and_a_lower_level_less():
    told = over_splits(5, 2, 0.5, seed=1, experiments=300)
    assert told == over_splits(5, 2, 0.5, seed=1, experiments=300)
    less = over_splits(5, 2, 0.5, seed=1, experiments=300, level=0.8)
    assert all(less[name] < told[name] for name in told)


def unequal(patients: int, seed: int) -> pd.DataFrame:
    """Patients with as unequal numbers of cycles as ICBHI's: 3 to 178 normal, or abnormal, ones."""
    random = np.random.default_rng(seed)
    cycles = np.exp(random.normal(2.9, 1.1, (patients, 2))).clip(3, 180).astype(int)
    frames = [
        pd.DataFrame({"patient": patient, "label": np.repeat([0, 1], of)})
        for patient, of in enumerate(cycles)
    ]
    return pd.concat(frames, ignore_index=True)


def other_intervals(predictions: pd.DataFrame, seed: int, sides: int) -> dict[str, float]:
    """How often the percentile bootstrap and the linearised t interval hold the true Score."""
    hits, cycles = simulated_sides(predictions, seed, sides)
    patients, n = len(cycles), cycles.sum(axis=0)
    draws = np.random.default_rng(seed).multinomial(patients, [1 / patients] * patients, size=600)
    drawn = np.tensordot(draws, hits, 1) / (draws @ cycles)[:, None]
    low, high = np.quantile(drawn.mean(axis=2), (0.025, 0.975), axis=0)
    rates = hits.sum(axis=0) / n
    apart = ((hits - rates * cycles[:, None]) / n).mean(axis=2)
    error = np.sqrt(patients / (patients - 1) * (apart**2).sum(axis=0))
    reach, score = stats.t.ppf(0.975, patients - 1) * error, rates.mean(axis=1)
    return {
        "bootstrap": np.mean((low <= 0.5) & (high >= 0.5)),
        "linearised": np.mean(np.abs(score - 0.5) <= reach),
    }


@needs_real_data
@pytest.mark.parametrize(("patients", "least"), [(25, 0.915), (49, 0.925)])
def test_of_icbhis_patients_too(patients, least):
    cycles = open_corpus(str(REAL)).cycles[["patient", "label"]]
    random, ours, others = np.random.default_rng(0), [], []
    for seed in range(8):
        drawn = random.choice(cycles["patient"].unique(), patients, replace=False)
        side = cycles[cycles["patient"].isin(drawn)]
        if no_interval(side) is None:
            ours.append(over_patients(side, seed, sides=500))
            others.append(other_intervals(side, seed, 500))
    assert pd.DataFrame(others).mean().max() < np.mean(ours) - 0.005
    assert least < np.mean(ours) < 0.96


@pytest.mark.parametrize("patients", [25, 49])
def test_of_unequal_patients_the_jackknife_holds_the_truth_more_often_than_others(patients):
    sides = [unequal(patients, seed) for seed in range(6)]
    ours = np.mean([over_patients(of, n, sides=500) for n, of in enumerate(sides)])
    others = pd.DataFrame([other_intervals(of, n, 500) for n, of in enumerate(sides)]).mean()
    assert others.max() < ours - 0.004
    assert 0.91 < ours < 0.96
