"""The report of how robust a result is: results.json in, conclusions and pages out."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from respire.evaluation.assess import Measured
from respire.experiments.seed_variance import figures as draw
from respire.experiments.seed_variance import tables
from respire.metrics import percent
from respire.report.numbers import between, count, ends, epochs_of, signed
from respire.report.page import Page, Picture, Section, printed
from respire.report.reproduction import STAGES, made
from respire.report.table import Table
from respire.report.typed import Header, read
from respire.statistics.thresholds import SPLITS_FOR_CONCLUSION, t_interval
from respire.statistics.variance import Decomposition, Splits
from respire.study.spread_summary import Contrast, Spread, VariantSpread
from respire.study.spread_tables import beyond, comparison, runs, scores, within


def page(results: Mapping[str, Any]) -> Page:
    """The report, given the content of results.json."""
    spread, header = read(Spread, results), read(Header, results)
    lead, *verdict = conclusions(spread, header.stamps)
    return Page(
        results,
        facts=_facts(spread, header),
        lead=lead,
        verdict=" ".join(verdict),
        sections=[
            *_sections(spread, header.stamps),
            Section("Reproduction", made(results, spread.recipes)),
        ],
    )


def summary(results: Mapping[str, Any]) -> str:
    """What the command prints last: conclusions and the tables they follow from."""
    spread, stamps = read(Spread, results), read(Header, results).stamps
    shown = [scores(spread), *_components(spread)]
    if spread.comparison is not None:
        shown.append(comparison(spread.comparison))
    return printed(results, *conclusions(spread, stamps), *shown)


def conclusions(spread: Spread, stamps: Sequence[str] = ()) -> list[str]:
    """The three sentences on the first variant, and what sets another apart from it."""
    name, variant = next(iter(spread.variants.items()))
    stage = spread.stages[-1]
    best, baseline = variant.best_baseline
    known = variant.variance[stage]["score"]
    beaten = (
        f"the best baseline ({best}) {percent(baseline.score)}%, which it beats on "
        f"{baseline.beaten_on} of {baseline.splits} splits"
    )
    if known is None:
        whole = t_interval(variant.by_split(stage))
        interval = f" (95% interval of this data set's average {ends(whole)})" if whole else ""
        sentences = [
            f"Recipe {name} reaches a mean Score of {percent(variant.means(stage).score)}%"
            f"{interval}, {beaten}.",
            "With one training seed a split, what is the patients' luck and what the seed's cannot "
            "be told apart: ask for at least two."
            if len(variant.splits) > 1
            else "Of one split nothing can be said about the spread: ask for at least two, with "
            "two training seeds each.",
        ]
    else:
        sentences = [
            f"Over {known.splits} splits with {known.seeds} training seeds each, recipe "
            f"{name} reaches a Score of {percent(known.mean.value)}% ({known.level:.0%} "
            f"interval of this data set's average {within(known.mean)}), {beaten}.",
            _one_run(known),
            _how_many(known),
        ]
        if not known.conclusive:
            sentences.append(
                f"With fewer than {SPLITS_FOR_CONCLUSION} splits this is a sketch, "
                "not a conclusion."
            )
    sentences += _stratified(spread.variants, stage)
    if spread.comparison is not None:
        sentences += _difference(spread.comparison, stage)
    if stamps:
        sentences.append(f"None of this is evidence: {'; '.join(stamps)}.")
    return sentences


def _one_run(known: Decomposition) -> str:
    share, half = known.share, known.single_half_width
    whose = (
        "all runs agree"
        if share is None
        else f"the choice of test patients makes {share.value:.0%} of that variance "
        f"({share.low:.0%}–{share.high:.0%}), the training seed the rest"
    )
    return (
        f"The Score of one training on one split should be read as ± {percent(half.value)} "
        f"points ({within(half)}): {whose}."
    )


def _how_many(known: Decomposition) -> str:
    plan, least = known.plan, known.plan.least_half_width
    of_new = (
        f"for new patients no number of splits is enough: this data set tells their average to "
        f"± {percent(least.value)} points at best ({within(least)})"
        if plan.new_patients.value is None
        else f"for new patients it takes {_number(plan.new_patients)}"
    )
    return (
        f"To know the average of this data set to ± 1 point takes {_number(plan.this_data_set)} "
        f"with one training each; {of_new}."
    )


def _number(splits: Splits) -> str:
    low, high = ("no number" if n is None else f"{n:,}" for n in (splits.low, splits.high))
    return f"{splits.value:,} splits ({low}–{high})"


def _stratified(variants: Mapping[str, VariantSpread], stage: str) -> Iterator[str]:
    """What stratifying does to the spread between splits, of each recipe that has both kinds."""
    plain = {name: variant for name, variant in variants.items() if not variant.stratify}
    for variant in variants.values():
        if variant.stratify:
            name = next(name for name, v in plain.items() if v.recipe == variant.recipe)
            ours, theirs = (v.variance[stage]["score"] for v in (variant, plain[name]))
            if ours is not None and theirs is not None:
                spread, before = ours.between.root(), theirs.between.root()
                yield (
                    f"Stratified by device and class, splits of recipe {name} differ with a "
                    f"standard deviation of {percent(spread.value)} points ({within(spread)}), "
                    f"plain ones with {percent(before.value)} ({within(before)})."
                )


def _difference(contrast: Contrast, stage: str) -> Iterator[str]:
    compared = contrast.stages[stage].score
    if compared is None:
        return
    test, posterior = compared.new_patients, compared.posterior
    yield (
        f"{contrast.a} scores {signed(compared.mean)} points over {contrast.b} on the "
        f"same {compared.splits} splits ({compared.level:.0%} interval for new patients "
        f"{between((test.low, test.high))}, p = {test.p:.2g}): better by more than a "
        f"point with probability {posterior.a_better:.2f}, worse with "
        f"{posterior.b_better:.2f}, practically equal with {posterior.equal:.2f}."
    )


def _components(spread: Spread) -> list[Table]:
    """Where the spread comes from; nothing without splits and seeds enough to tell."""
    stage = spread.stages[-1]
    if any(variant.variance[stage]["score"] is None for variant in spread.variants.values()):
        return []
    return [tables.components(spread), tables.plan(spread)]


def _sections(spread: Spread, stamps: Sequence[str]) -> Iterator[Section]:
    label, components = STAGES[spread.stages[-1]], _components(spread)
    yield Section(
        "Results",
        [scores(spread)],
        [
            Picture(
                "score-by-split",
                f"{label}: Score of every run (rings), the split's mean (dash) and its "
                "interval over patients (bar), the splits ordered by their means"
                f"{'; grey: the mean over splits and its interval' * bool(components)}.",
                draw.score_by_split(spread, stamps),
            )
        ],
    )
    yield Section("Beyond one threshold", _beyond(spread))
    if components:
        caption = (
            f"{label}: standard deviation between splits, between training seeds of a split, "
            "and of one training on one split, with intervals."
        )
        figure = draw.variance_components(spread, stamps)
        picture = Picture("variance-components", caption, figure)
        yield Section("Where the spread comes from", components, [picture])
    if spread.comparison is not None:
        caption = (
            f"{label}: difference on each split (dot; bar: interval over its patients, "
            "the two models as they are), its mean with the interval for these "
            "patients (square) and for new ones (diamond). Grey: within a point."
        )
        figure = draw.paired_differences(spread.comparison, stamps)
        picture = Picture("differences", caption, figure)
        yield Section("Comparison", [comparison(spread.comparison)], [picture])
    caption = (
        f"{label}: mean Score of each split against what its test side is made of, "
        "with Pearson's r and its interval."
    )
    figure = draw.score_composition(spread, stamps)
    yield Section(
        "What makes a split lucky",
        [tables.correlations(spread), tables.splits(spread), tables.ends_of_range(spread)],
        [Picture("score-composition", caption, figure)],
    )
    yield Section("Prior", [tables.along_prior(spread)])
    if selection := tables.selection(spread):
        yield Section("Choosing the epoch on test", selection)
    sides = " or ".join(sorted({one.recipe.selection for one in spread.variants.values()}))
    note = f", also in runs.csv. Epoch: of stage 1, {epochs_of(sides)}."
    yield Section("Runs", [runs(spread.runs, "Recipe", note)])


def _beyond(spread: Spread) -> list[Table]:
    """The last stage of every recipe, and its baselines."""
    stage, named = spread.stages[-1], dict[tuple[str, str], Measured]()
    for name, variant in spread.variants.items():
        named[name, STAGES[stage]] = variant.means(stage)
        named |= {(name, f"baseline: {b}"): of for b, of in variant.baselines.items()}
    return beyond(named, "Means over runs.")


def _facts(spread: Spread, header: Header) -> str:
    recipe = next(iter(spread.variants.values())).recipe
    disjoint = "" if spread.split == "60-40" else "patient-disjoint "
    return (
        f"Recipes {', '.join(spread.variants)} · {recipe.task} · {len(spread.split_seeds)} "
        f"{disjoint}{spread.split} splits (seeds {_span(spread.split_seeds)}) × "
        f"{count(len(spread.seeds), 'training seed')} ({_span(spread.seeds)}) · inner seed "
        f"{spread.inner_seed} · of {recipe.optimisation.epochs} epochs "
        f"{epochs_of(header.selection)} · respire {header.respire_version}"
    )


def _span(seeds: Sequence[int]) -> str:
    return f"{seeds[0]}–{seeds[-1]}" if len(seeds) > 1 else str(seeds[0])
