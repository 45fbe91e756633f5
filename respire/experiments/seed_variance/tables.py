"""Tables of many runs: results.json in, rows of text out."""

from collections.abc import Mapping, Sequence
from typing import Any

from respire.metrics import percent
from respire.report.numbers import between, ends, points
from respire.report.reproduction import STAGES
from respire.report.table import Table

METRICS = {"score": "Score", "se": "Se", "sp": "Sp"}
COMPONENTS = {"between": "between splits", "within": "between seeds", "total": "one run"}
SHARES = {
    "cycles": "Test cycles",
    "normal": "Normal (% of cycles)",
    "both": "Both (% of cycles)",
    "largest": "Five largest patients (%)",
}
"""Labels of what a test side is made of; a device's is its name."""


def scores(results: Mapping[str, Any]) -> Table:
    """Means over splits and seeds, baselines beside them."""
    rows = []
    for name, variant in results["variants"].items():
        runs = len(results["seeds"]) * len(variant["splits"])
        for stage in results["stages"]:
            found = variant["variance"][stage]
            means = {
                metric: sum(split["scores"][stage][metric] for split in variant["splits"])
                / len(variant["splits"])
                for metric in METRICS
            }
            score = found["score"]
            rows.append(
                (
                    name,
                    STAGES[stage],
                    *(percent(means[metric]) for metric in ("se", "sp", "score")),
                    "–" if score is None else within(score["mean"]),
                    "–" if score is None else points(deviation(score, "total")["value"]),
                    f"{runs}",
                )
            )
        for baseline, of in variant["baselines"].items():
            spread = of["standard_deviation"]
            rows.append(
                (
                    name,
                    f"baseline: {baseline}",
                    *(percent(of[metric]) for metric in ("se", "sp", "score")),
                    "–",
                    "–" if spread is None else points(spread),
                    f"{of['splits']}",
                )
            )
    return Table(
        "Mean test scores (%)",
        ("Recipe", "", "Se", "Sp", "Score", "Interval of mean Score", "SD of a run", "n"),
        tuple(rows),
        text_columns=2,
        note="n: runs; of a baseline, splits. Interval: of this data set's average over splits "
        "(t, by the mean square between splits). SD: of the Score of one training on one split, "
        "in points.",
    )


def components(results: Mapping[str, Any]) -> Table:
    """Standard deviations between splits and between seeds."""
    rows = []
    for name, variant in results["variants"].items():
        for stage in results["stages"]:
            for metric, title in METRICS.items():
                found = variant["variance"][stage][metric]
                if found is None:
                    continue
                for part, label in COMPONENTS.items():
                    spread = deviation(found, part)
                    share = found["share"] if part == "between" else None
                    rows.append(
                        (
                            f"{name}, {STAGES[stage].lower()}",
                            f"{title}, {label}",
                            points(spread["value"]),
                            within(spread),
                            f"{spread['degrees_of_freedom']}",
                            "–"
                            if share is None
                            else f"{percent(share['value'])} ({within(share)})",
                            f"{found['splits']}\u00a0×\u00a0{found['seeds']}",
                        )
                    )
    return Table(
        "Components of variance, as standard deviations (points)",
        (
            *("Recipe", "Component", "SD", "Interval", "Degrees of freedom"),
            *("Share of variance (%)", "n"),
        ),
        tuple(rows),
        text_columns=2,
        note="n: splits × training seeds in each. One-way random effects, seeds nested in splits "
        "(Searle, Casella and McCulloch 1992); intervals take both effects to be normal."
        + _held(results),
    )


def plan(results: Mapping[str, Any]) -> Table:
    """How many splits would be needed."""
    rows = []
    for name, variant in results["variants"].items():
        for stage in results["stages"]:
            found = variant["variance"][stage]["score"]
            if found is None:
                continue
            asked = found["plan"]
            rows.append(
                (
                    f"{name}, {STAGES[stage].lower()}",
                    f"{points(found['single_half_width']['value'])} "
                    f"({within(found['single_half_width'])})",
                    _interval_of(asked["this_data_set"]),
                    _interval_of(asked["new_patients"]),
                    f"{points(asked['least_half_width']['value'])} "
                    f"({within(asked['least_half_width'])})",
                    f"{found['splits']}\u00a0×\u00a0{found['seeds']}",
                )
            )
    return Table(
        "What one run is worth, and how many splits are needed",
        (
            *("", "One run (± points)", "Splits for ± 1 point, these patients"),
            *("Splits for ± 1 point, new patients", "Least for new patients (± points)", "n"),
        ),
        tuple(rows),
        note="n: splits × training seeds measured; splits needed are of one training each. New "
        "patients: with the overlap term of Nadeau and Bengio (2003), which no number of splits "
        "removes; ∞: no number is enough.",
    )


def comparison(results: Mapping[str, Any]) -> Table:
    """The paired comparison of two recipes."""
    compared = results["comparison"]
    rows = []
    for stage, of in compared["stages"].items():
        for metric, title in METRICS.items():
            found = of[metric]
            if found is None:
                continue
            test, posterior = found["new_patients"], found["posterior"]
            rows.append(
                (
                    f"{STAGES[stage]}, {title}",
                    f"{100 * found['mean']:+.1f}",
                    f"{100 * found['standard_deviation']:.1f}",
                    between(found["this_data_set"]),
                    between((test["low"], test["high"])),
                    f"{test['p']:.2g}",
                    *(f"{posterior[who]:.2f}" for who in ("a_better", "equal", "b_better")),
                    f"{found['splits']}",
                )
            )
    return Table(
        f"{compared['a']} (A) less {compared['b']} (B), points",
        (
            *("", "Mean", "SD", "Interval, these patients", "Interval, new patients", "p"),
            *("A better", "Equal", "B better", "n"),
        ),
        tuple(rows),
        note="n: splits, training seeds averaged. These patients: t interval of the average over "
        "splits. New patients and p: corrected resampled t-test (Nadeau and Bengio 2003). A "
        "better, equal, B better: probabilities by the Bayesian correlated t-test (Benavoli et al. "
        "2017), equal being within a point either way." + _held_on_new(compared["coverage"]),
    )


def _held(results: Mapping[str, Any]) -> str:
    """How often intervals of such experiments hold the truth, as the end of a note."""
    coverage = next(iter(results["variants"].values()))["coverage"]
    if coverage is None:
        return ""
    held = ", ".join(f"{name} {share:.0%}" for name, share in coverage.items())
    return f" Simulated coverage of the intervals for such a Score: {held}."


def _held_on_new(coverage: Sequence[Mapping[str, float]]) -> str:
    """How often the interval for new patients holds the truth, as the end of a note."""
    if not coverage:
        return ""
    held = ", ".join(
        f"{of['coverage']:.0%} of the time where any two correlate by {of['correlation']:.2f}"
        for of in coverage
    )
    return (
        f" On simulated differences the interval for new patients holds the truth {held}; it is "
        f"made for the second."
    )


def deviation(found: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    """A component of a decomposition as a standard deviation."""
    return found["standard_deviations"][part]


def within(estimate: Mapping[str, Any]) -> str:
    """Both ends of an estimate in percent."""
    return ends((estimate["low"], estimate["high"]))


def _interval(stored: Mapping[str, Any]) -> str:
    found = stored["interval"]
    return ends(None if found is None else found["score"])


def _interval_of(splits: Mapping[str, Any]) -> str:
    value, low, high = ("∞" if n is None else f"{n:,}" for n in splits.values())
    return f"{value} ({low}–{high})"


LARGEST = 8
"""Patients that are listed of each end of the range."""


def splits(results: Mapping[str, Any]) -> Table:
    """Every split's mean Score and what its test side is made of."""
    stage = results["stages"][-1]
    shares = [
        share
        for share in next(iter(results["variants"].values()))["composition"]
        if share != "cycles"
    ]
    return Table(
        "Splits, the worst first",
        (
            *("Recipe", "Split", "Score (%)", "Interval", "Cycles", "Patients"),
            *(share.capitalize() if share.islower() else share for share in shares),
        ),
        tuple(
            (
                name,
                str(split["split_seed"]),
                percent(split["scores"][stage]["score"]),
                _interval(split["scores"][stage]),
                f"{split['cycles']:,}",
                str(split["patients"]),
                *(percent(split[share]) for share in shares),
            )
            for name, variant in results["variants"].items()
            for split in sorted(
                variant["splits"], key=lambda split: split["scores"][stage]["score"]
            )
        ),
        text_columns=2,
        note=f"Score: mean of {len(results['seeds'])} training seeds; its interval is over the "
        f"patients of that test side (percentile bootstrap{_covered(results, stage)}). Shares in % "
        "of the test cycles; largest: of the five patients with the most.",
    )


def correlations(results: Mapping[str, Any]) -> Table:
    """How the splits' Scores go with what is tested."""
    return Table(
        "What a split's Score goes with",
        ("Recipe", "Of the test side", "r", "Interval", "p", "n"),
        tuple(
            (
                name,
                SHARES.get(share, f"{share} (% of cycles)"),
                *(
                    ("–", "–", "–")
                    if found is None
                    else (
                        f"{found['r']:+.2f}",
                        f"{found['low']:+.2f} to {found['high']:+.2f}",
                        f"{found['p']:.2f}",
                    )
                ),
                str(len(variant["splits"])),
            )
            for name, variant in results["variants"].items()
            for share, found in variant["composition"].items()
        ),
        text_columns=2,
        note="n: splits. Pearson's correlation with the mean Score over training seeds, Fisher's "
        "interval; p is of one look, and these are several.",
    )


def ends_of_range(results: Mapping[str, Any]) -> Table:
    """The patients of the worst and of the best split."""
    return Table(
        f"The two ends of the range: their {LARGEST} largest patients",
        ("Split", "Patient", "Device", "Cycles", "Abnormal (%)", "Recognised (%)"),
        tuple(
            (
                f"{name}: {which}, split {end['split_seed']}",
                str(patient["patient"]),
                patient["devices"],
                f"{patient['cycles']:,}",
                percent(patient["abnormal"]),
                percent(patient["recognised"]),
            )
            for name, variant in results["variants"].items()
            for which, end in variant["ends"].items()
            for patient in end["patients"][:LARGEST]
        ),
        text_columns=3,
        note="Recognised: cycles given exactly their class, mean of the training seeds.",
    )


def selection(results: Mapping[str, Any]) -> Table | None:
    """What choosing the epoch on test would have been worth; None where test was not watched."""
    rows = []
    for name, variant in results["variants"].items():
        cost = variant["selection_cost"]
        if cost is None:
            continue
        gain = cost["best_less_chosen"]
        rows.append(
            (
                name,
                *(percent(cost[epoch]) for epoch in ("chosen", "last", "best")),
                f"{100 * (cost['best'] - cost['chosen']):+.1f}",
                "–" if gain is None else between(gain["this_data_set"]),
                str(cost["runs"]),
            )
        )
    if not rows:
        return None
    return Table(
        "SELECTED ON TEST: what choosing the epoch there would have been worth",
        (
            *("Recipe", "Chosen epoch", "Last epoch", "Best on test"),
            *("Best less chosen", "Interval", "n"),
        ),
        tuple(rows),
        note="Stage 1, mean test Score (%). n: runs. The best epoch on test was looked up to tell "
        "this, and used for nothing else.",
    )


def runs(results: Mapping[str, Any]) -> Table:
    """A row a run and stage."""
    sides = {variant["recipe"]["selection"] for variant in results["variants"].values()}
    chosen = " or ".join(sorted(sides))
    return Table(
        "Runs",
        ("Recipe", "Split", "Seed", "Stage", "Se", "Sp", "Score", "Epoch", "Cycles"),
        tuple(
            (
                run["variant"],
                str(run["split_seed"]),
                str(run["seed"]),
                STAGES[run["stage"]],
                *(percent(run[metric]) for metric in ("se", "sp", "score")),
                str(run["epoch"]),
                f"{run['cycles']:,}",
            )
            for run in results["runs"]
        ),
        text_columns=4,
        note=f"Test scores (%), also in runs.csv. Epoch: of stage 1, chosen on {chosen}.",
    )


def recipes(results: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The recipe of every variant."""
    return {name: variant["recipe"] for name, variant in results["variants"].items()}


def _covered(results: Mapping[str, Any], stage: str) -> str:
    """The range of simulated coverages of the splits' intervals, where there are any."""
    found = [
        split["scores"][stage]["interval"]["coverage"]
        for variant in results["variants"].values()
        for split in variant["splits"]
        if split["scores"][stage]["interval"] is not None
    ]
    if not found:
        return ""
    return f"; on simulated test sides like them it holds {min(found):.0%}–{max(found):.0%}"
