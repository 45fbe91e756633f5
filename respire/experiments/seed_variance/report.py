"""The report of how robust a result is: results.json in, conclusions and pages out."""

from collections.abc import Iterator, Mapping
from typing import Any

from respire.experiments.seed_variance import figures as draw
from respire.experiments.seed_variance import tables
from respire.experiments.seed_variance.tables import deviation, within
from respire.metrics import percent
from respire.report.numbers import between, points
from respire.report.page import Page, Picture, Section
from respire.report.reproduction import STAGES, made
from respire.runtime.storage import Storage
from respire.statistics.thresholds import SPLITS_FOR_CONCLUSION


def write_report(results: Mapping[str, Any], directory: Storage) -> list[str]:
    """Write results.json, report.md, the self-contained report.html and the figures.

    Args:
        results: results.json as a dictionary, strict (its fields: experiments/results/SCHEMA.md).
        directory: where the files go.

    Returns:
        Names of the figures' files.

    Raises:
        InputError: the directory cannot be written.
    """
    lead, *verdict = conclusions(results)
    return Page(
        results,
        facts=_facts(results),
        lead=lead,
        verdict=" ".join(verdict),
        sections=_sections(results),
    ).write(directory)


def summary(results: Mapping[str, Any]) -> str:
    """What the command prints last: conclusions and the tables they follow from."""
    shown = [tables.scores(results)]
    if _spread_is_known(results):
        shown += [tables.components(results), tables.plan(results)]
    if results["comparison"] is not None:
        shown.append(tables.comparison(results))
    text = [table.markdown(results["stamps"]) for table in shown]
    return "\n\n".join([*conclusions(results), *text])


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
            f"interval of this data set's average {within(found['mean'])}), {beaten}.",
            _one_run(found),
            _how_many(found),
        ]
        if not found["conclusive"]:
            sentences.append(
                f"With fewer than {SPLITS_FOR_CONCLUSION} splits this is a sketch, "
                "not a conclusion."
            )
    sentences += _stratified(results["variants"], stage)
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
        f"The Score of one training on one split should be read as ± {points(half['value'])} "
        f"points ({within(half)}): {whose}."
    )


def _how_many(found: Mapping[str, Any]) -> str:
    plan, new = found["plan"], found["plan"]["new_patients"]
    least = plan["least_half_width"]
    of_new = (
        f"for new patients no number of splits is enough: this data set tells their average to "
        f"± {points(least['value'])} points at best ({within(least)})"
        if new["value"] is None
        else f"for new patients it takes {_number(new)}"
    )
    return (
        f"To know the average of this data set to ± 1 point takes {_number(plan['this_data_set'])} "
        f"with one training each; {of_new}."
    )


def _stratified(variants: Mapping[str, Any], stage: str) -> Iterator[str]:
    """What stratifying does to the spread between splits, of each recipe that has both kinds."""
    plain = {name: v for name, v in variants.items() if not v["stratify"]}
    for variant in variants.values():
        found = variant["variance"][stage]["score"]
        if not variant["stratify"] or found is None:
            continue
        name = next(name for name, v in plain.items() if v["recipe"] == variant["recipe"])
        spread = deviation(found, "between")
        before = deviation(plain[name]["variance"][stage]["score"], "between")
        yield (
            f"Stratified by device and class, splits of recipe {name} differ with a standard "
            f"deviation of {points(spread['value'])} points ({within(spread)}), plain ones with "
            f"{points(before['value'])} ({within(before)})."
        )


def _difference(comparison: Mapping[str, Any], stage: str) -> Iterator[str]:
    found = comparison["stages"][stage]["score"]
    if found is None:
        return
    test, posterior = found["new_patients"], found["posterior"]
    yield (
        f"{comparison['a']} scores {100 * found['mean']:+.1f} points over {comparison['b']} on the "
        f"same {found['splits']} splits ({found['level']:.0%} interval for new patients "
        f"{between((test['low'], test['high']))}, p = {test['p']:.2g}): better by more than a "
        f"point with probability {posterior['a_better']:.2f}, worse with "
        f"{posterior['b_better']:.2f}, practically equal with {posterior['equal']:.2f}."
    )


def _sections(results: Mapping[str, Any]) -> list[Section]:
    variants, stage, stamps = results["variants"], results["stages"][-1], results["stamps"]
    label = STAGES[stage]
    sections = [
        Section(
            "Results",
            [tables.scores(results)],
            [
                Picture(
                    "score-by-split",
                    f"{label}: Score of every run (rings), the split's mean (dash) and its "
                    "interval over patients (bar), the splits ordered by their means; grey: the "
                    "mean over splits and its interval.",
                    draw.score_by_split(variants, results["runs"], stage, stamps),
                )
            ],
        ),
        *_spread(results, stage),
    ]
    if results["comparison"] is not None:
        sections.append(
            Section(
                "Comparison",
                [tables.comparison(results)],
                [
                    Picture(
                        "differences",
                        f"{label}: difference on each split (dot; bar: interval over its patients, "
                        "the two models as they are), its mean with the interval for these "
                        "patients (square) and for new ones (diamond). Grey: within a point.",
                        draw.paired_differences(results["comparison"], stage, stamps),
                    )
                ],
            )
        )
    selection = tables.selection(results)
    return [
        *sections,
        Section(
            "What makes a split lucky",
            [
                tables.correlations(results),
                tables.splits(results),
                tables.ends_of_range(results),
            ],
            [
                Picture(
                    "score-composition",
                    f"{label}: mean Score of each split against what its test side is made of, "
                    "with Pearson's r and its interval.",
                    draw.score_composition(variants, stage, stamps),
                )
            ],
        ),
        *([Section("Choosing the epoch on test", [selection])] if selection else []),
        Section("Runs", [tables.runs(results)]),
        Section("Reproduction", made(results, tables.recipes(results))),
    ]


def _spread_is_known(results: Mapping[str, Any]) -> bool:
    """Whether there are splits and seeds enough to tell their parts in it."""
    stage = results["stages"][-1]
    return all(v["variance"][stage]["score"] is not None for v in results["variants"].values())


def _spread(results: Mapping[str, Any], stage: str) -> list[Section]:
    if not _spread_is_known(results):
        return []
    caption = (
        f"{STAGES[stage]}: standard deviation between splits, between training seeds of a split, "
        "and of one training on one split, with intervals."
    )
    figure = draw.variance_components(results["variants"], stage, results["stamps"])
    return [
        Section(
            "Where the spread comes from",
            [tables.components(results), tables.plan(results)],
            [Picture("variance-components", caption, figure)],
        )
    ]


def _facts(results: Mapping[str, Any]) -> str:
    variants = results["variants"]
    recipe = next(iter(variants.values()))["recipe"]
    disjoint = "" if results["split"] == "60-40" else "patient-disjoint "
    return (
        f"Recipes {', '.join(variants)} · {recipe['task']} · {len(results['split_seeds'])} "
        f"{disjoint}{results['split']} splits (seeds {_span(results['split_seeds'])}) × "
        f"{len(results['seeds'])} training seeds ({_span(results['seeds'])}) · inner seed "
        f"{results['inner_seed']} · {recipe['optimisation']['epochs']} epochs, chosen on "
        f"{recipe['selection']} · respire {results['respire_version']}"
    )


def _span(seeds: list[int]) -> str:
    return f"{seeds[0]}–{seeds[-1]}" if len(seeds) > 1 else str(seeds[0])


def _number(splits: Mapping[str, Any]) -> str:
    low, high = (
        "no number" if splits[end] is None else f"{splits[end]:,}" for end in ("low", "high")
    )
    return f"{splits['value']:,} splits ({low}–{high})"
