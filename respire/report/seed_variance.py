"""The report of how robust a result is: results.json in, pages and conclusions out."""

from collections.abc import Iterator, Mapping
from typing import Any

from matplotlib.figure import Figure

from respire.metrics import percent
from respire.recipe import flatten
from respire.report import spread_figures as draw
from respire.report.page import Page, Picture, Section
from respire.report.spread_figures import COMPONENTS, METRICS
from respire.report.style import png
from respire.report.tables import STAGES, Table
from respire.storage import Storage

MIN_SPLITS_WORDS = "With fewer than 8 splits this is a sketch, not a conclusion."
LARGEST = 8
"""Patients that are listed of each end of the range."""


def write_report(results: Mapping[str, Any], directory: Storage) -> list[str]:
    """Write results.json, report.md, the self-contained report.html and the figures.

    Args:
        results: results.json as a dictionary, strict (its schema is in the README).
        directory: where the files go.

    Returns:
        Names of the figures' files.

    Raises:
        InputError: the directory cannot be written.
    """
    sections = _sections(results)
    lead, *verdict = conclusions(results)
    Page(
        title=f"respire · {results['experiment']} · {results['name']}",
        facts=_facts(results),
        lead=lead,
        verdict=" ".join(verdict),
        stamps=results["stamps"],
        warnings=results["warnings"],
        skipped=results["skipped"],
        sections=sections,
    ).write(results, directory)
    return [figure.name for section in sections for figure in section.figures]


def summary(results: Mapping[str, Any]) -> str:
    """What the command prints last: conclusions and the tables they follow from."""
    shown = [scores(results), components(results), plan(results)]
    if results["comparison"] is not None:
        shown.append(comparison(results))
    tables = (table.markdown(results["stamps"]) for table in shown)
    return "\n\n".join([*conclusions(results), *tables])


def conclusions(results: Mapping[str, Any]) -> list[str]:
    """The three sentences on the first variant, and what sets another apart from it."""
    name, variant = next(iter(results["variants"].items()))
    stage = results["stages"][-1]
    best = max(variant["baselines"], key=lambda b: variant["baselines"][b]["score"])
    baseline = variant["baselines"][best]
    found = variant["variance"][stage]["score"]
    beaten = (
        f"the best baseline ({best}) {percent(baseline['score'])}%, which it beats on "
        f"{baseline['beaten_on']} of {baseline['splits']} splits"
    )
    if found is None:
        scored = [split["scores"][stage]["score"] for split in variant["splits"]]
        sentences = [
            f"Recipe {name} reaches a mean Score of {percent(sum(scored) / len(scored))}%, "
            f"{beaten}.",
            "Of one split, or one training seed a split, nothing can be said about the spread: ask "
            "for at least two of each.",
        ]
    else:
        sentences = [
            f"Over {found['splits']} splits with {found['seeds']} training seeds each, recipe "
            f"{name} reaches a Score of {percent(found['mean']['value'])}% ({found['level']:.0%} "
            f"interval of this data set's average {_ends(found['mean'])}), {beaten}.",
            _one_run(found),
            _how_many(found),
        ]
        if not found["conclusive"]:
            sentences.append(MIN_SPLITS_WORDS)
    if results["comparison"] is not None:
        sentences += _difference(results["comparison"], stage)
    if results["stamps"]:
        sentences.append(f"None of this is evidence: {'; '.join(results['stamps'])}.")
    return sentences


def _one_run(found: Mapping[str, Any]) -> str:
    share = found["share"]
    whose = (
        "all runs agree"
        if share is None
        else f"the choice of test patients makes {share['value']:.0%} of that variance "
        f"({share['low']:.0%}–{share['high']:.0%}), the training seed the rest"
    )
    half = found["single_half_width"]
    return (
        f"The Score of one training on one split should be read as ± {_points(half['value'])} "
        f"points ({_ends(half)}): {whose}."
    )


def _how_many(found: Mapping[str, Any]) -> str:
    plan, new = found["plan"], found["plan"]["new_patients"]
    least = plan["least_half_width"]
    of_new = (
        f"no number of splits makes it known to that for new patients, of whom this data set can "
        f"tell it to ± {_points(least['value'])} points at best ({_ends(least)})"
        if new["value"] is None
        else f"for new patients it takes {_number(new)}"
    )
    return (
        f"To know the average of this data set to ± 1 point takes {_number(plan['this_data_set'])} "
        f"with one training each; {of_new}."
    )


def _difference(comparison: Mapping[str, Any], stage: str) -> Iterator[str]:
    found = comparison["stages"][stage]["score"]
    if found is None:
        return
    test, posterior = found["new_patients"], found["posterior"]
    yield (
        f"{comparison['a']} scores {100 * found['mean']:+.1f} points over {comparison['b']} on the "
        f"same {found['splits']} splits ({found['level']:.0%} interval for new patients "
        f"{_between(test['low'], test['high'])}, p = {test['p']:.2g}): better by more than a point "
        f"with probability {posterior['a_better']:.2f}, worse with {posterior['b_better']:.2f}, "
        f"practically equal with {posterior['equal']:.2f}."
    )


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
                    "–" if score is None else _ends(score["mean"]),
                    "–" if score is None else _points(_deviation(score, "total")["value"]),
                    f"{runs}",
                )
            )
        for baseline, of in variant["baselines"].items():
            deviation = of["standard_deviation"]
            rows.append(
                (
                    name,
                    f"baseline: {baseline}",
                    *(percent(of[metric]) for metric in ("se", "sp", "score")),
                    "–",
                    "–" if deviation is None else _points(deviation),
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
                    deviation = _deviation(found, part)
                    share = found["share"] if part == "between" else None
                    rows.append(
                        (
                            f"{name}, {STAGES[stage].lower()}",
                            f"{title}, {label}",
                            _points(deviation["value"]),
                            _ends(deviation),
                            f"{deviation['degrees_of_freedom']}",
                            "–" if share is None else f"{percent(share['value'])} ({_ends(share)})",
                            f"{found['splits']} × {found['seeds']}",
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
        "(Searle, Casella and McCulloch 1992); intervals take both effects to be normal.",
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
                    f"{_points(found['single_half_width']['value'])} "
                    f"({_ends(found['single_half_width'])})",
                    _interval_of(asked["this_data_set"]),
                    _interval_of(asked["new_patients"]),
                    f"{_points(asked['least_half_width']['value'])} "
                    f"({_ends(asked['least_half_width'])})",
                    f"{found['splits']} × {found['seeds']}",
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
                    _between(*found["this_data_set"]),
                    _between(test["low"], test["high"]),
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
        "2017), equal being within a point either way.",
    )


def _splits(results: Mapping[str, Any]) -> Table:
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
                _interval_of_split(split["scores"][stage]["interval"]),
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
        "patients of that test side (percentile bootstrap). Shares in % of the test cycles; "
        "largest: of the five patients with the most.",
    )


def _correlations(results: Mapping[str, Any]) -> Table:
    return Table(
        "What a split's Score goes with",
        ("Recipe", "Of the test side", "r", "Interval", "p", "n"),
        tuple(
            (
                name,
                share if share == "cycles" else f"share of {share}",
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


def _ends_of_range(results: Mapping[str, Any]) -> Table:
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


def _selection(results: Mapping[str, Any]) -> Table | None:
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
                "–" if gain is None else _between(*gain["this_data_set"]),
                str(cost["runs"]),
            )
        )
    if not rows:
        return None
    return Table(
        "SELECTED ON TEST: what choosing the epoch there would have been worth",
        (
            *("Recipe", "Chosen on validation", "Last epoch", "Best on test"),
            *("Best less chosen", "Interval", "n"),
        ),
        tuple(rows),
        note="Stage 1, mean test Score (%). n: runs. The best epoch on test was looked up to tell "
        "this, and used for nothing else.",
    )


def _runs(results: Mapping[str, Any]) -> Table:
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
        note="Test scores (%), also in runs.csv. Epoch: of stage 1, chosen on validation.",
    )


def _made(results: Mapping[str, Any]) -> list[Table]:
    """How the results were made."""
    run = Table(
        "Run",
        ("", "Value"),
        (
            ("respire", results["respire_version"]),
            ("numerics version", str(results["numerics_version"])),
            *((f"{step} (s)", f"{took:,.1f}") for step, took in results["seconds"].items()),
            ("peak memory (MiB)", f"{results['peak_memory_mib']:,.0f}"),
            *((name, str(value)) for name, value in results["environment"].items()),
        ),
        text_columns=2,
    )
    recipes = {name: flatten(v["recipe"]) for name, v in results["variants"].items()}
    fields = next(iter(recipes.values()))
    return [
        run,
        Table(
            "Recipe" if len(recipes) == 1 else "Recipes",
            ("Field", *(recipes if len(recipes) > 1 else ["Value"])),
            tuple(
                (field, *(str(recipe[field]) for recipe in recipes.values())) for field in fields
            ),
            text_columns=1 + len(recipes),
        ),
    ]


def _sections(results: Mapping[str, Any]) -> list[Section]:
    variants, stage, stamps = results["variants"], results["stages"][-1], results["stamps"]
    label = STAGES[stage]
    sections = [
        Section(
            "Results",
            [scores(results)],
            [
                _picture(
                    "score-by-split.png",
                    f"{label}: Score of every run (rings), the split's mean (dash) and its interval "
                    "over patients (bar), the splits ordered by their means; grey: the mean over "
                    "splits and its interval.",
                    draw.score_by_split(variants, results["runs"], stage, stamps),
                )
            ],
        ),
        Section(
            "Where the spread comes from",
            [components(results), plan(results)],
            [
                _picture(
                    "variance-components.png",
                    f"{label}: standard deviation between splits, between training seeds of a "
                    "split, and of one training on one split, with intervals.",
                    draw.variance_components(variants, stage, stamps),
                )
            ],
        ),
    ]
    if results["comparison"] is not None:
        sections.append(
            Section(
                "Comparison",
                [comparison(results)],
                [
                    _picture(
                        "differences.png",
                        f"{label}: difference on each split (dot; bar: interval over its patients, "
                        "the two models as they are), its mean with the interval for these "
                        "patients (square) and for new ones (diamond). Grey: within a point.",
                        draw.paired_differences(results["comparison"], stage, stamps),
                    )
                ],
            )
        )
    selection = _selection(results)
    return [
        *sections,
        Section(
            "What makes a split lucky",
            [_correlations(results), _splits(results), _ends_of_range(results)],
            [
                _picture(
                    "score-composition.png",
                    f"{label}: mean Score of each split against what its test side is made of, "
                    "with Pearson's r and its interval.",
                    draw.score_composition(variants, stage, stamps),
                )
            ],
        ),
        *([Section("Choosing the epoch on test", [selection])] if selection else []),
        Section("Runs", [_runs(results)]),
        Section("Reproduction", _made(results)),
    ]


def _picture(name: str, caption: str, figure: Figure) -> Picture:
    return Picture(name, caption, png(figure))


def _facts(results: Mapping[str, Any]) -> str:
    variants = results["variants"]
    recipe = next(iter(variants.values()))["recipe"]
    return (
        f"Recipes {', '.join(variants)} · {recipe['task']} · {len(results['split_seeds'])} "
        f"patient-disjoint 80-20 splits (seeds {_span(results['split_seeds'])}) × "
        f"{len(results['seeds'])} training seeds ({_span(results['seeds'])}) · inner seed "
        f"{results['inner_seed']} · {recipe['optimisation']['epochs']} epochs, chosen on "
        f"{recipe['selection']} · respire {results['respire_version']}"
    )


def _span(seeds: list[int]) -> str:
    return f"{seeds[0]}–{seeds[-1]}" if len(seeds) > 1 else str(seeds[0])


def _deviation(found: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    return found["standard_deviations"][part]


def _points(fraction: float) -> str:
    return f"{100 * fraction:.1f}"


def _ends(estimate: Mapping[str, Any]) -> str:
    return f"{percent(estimate['low'])}–{percent(estimate['high'])}"


def _between(low: float, high: float) -> str:
    """Ends of an interval of differences."""
    return f"{100 * low:+.1f} to {100 * high:+.1f}"


def _interval_of(splits: Mapping[str, Any]) -> str:
    value, low, high = ("∞" if n is None else f"{n:,}" for n in splits.values())
    return f"{value} ({low}–{high})"


def _interval_of_split(interval: Mapping[str, Any] | None) -> str:
    return "–" if interval is None else "–".join(map(percent, interval["score"]))


def _number(splits: Mapping[str, Any]) -> str:
    low, high = (
        "no number" if splits[end] is None else f"{splits[end]:,}" for end in ("low", "high")
    )
    return f"{splits['value']:,} splits ({low}–{high})"
