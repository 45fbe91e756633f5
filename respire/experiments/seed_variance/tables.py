"""Tables of many runs: results.json in, rows of text out."""

from collections.abc import Mapping, Sequence
from typing import Any

from respire.experiments.full.tables import STAGES, Table
from respire.experiments.seed_variance.figures import COMPONENTS, METRICS
from respire.metrics import percent


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
                    "–" if score is None else ends(score["mean"]),
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
                            ends(spread),
                            f"{spread['degrees_of_freedom']}",
                            "–" if share is None else f"{percent(share['value'])} ({ends(share)})",
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
                    f"({ends(found['single_half_width'])})",
                    _interval_of(asked["this_data_set"]),
                    _interval_of(asked["new_patients"]),
                    f"{points(asked['least_half_width']['value'])} "
                    f"({ends(asked['least_half_width'])})",
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
                    between(*found["this_data_set"]),
                    between(test["low"], test["high"]),
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


def points(fraction: float) -> str:
    """A fraction as points of percent."""
    return f"{100 * fraction:.1f}"


def ends(estimate: Mapping[str, Any]) -> str:
    """Both ends of an estimate in percent."""
    return f"{percent(estimate['low'])}–{percent(estimate['high'])}"


def between(low: float, high: float) -> str:
    """Ends of an interval of differences."""
    return f"{100 * low:+.1f} to {100 * high:+.1f}"


def _interval_of(splits: Mapping[str, Any]) -> str:
    value, low, high = ("∞" if n is None else f"{n:,}" for n in splits.values())
    return f"{value} ({low}–{high})"
