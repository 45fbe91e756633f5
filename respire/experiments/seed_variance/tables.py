"""Tables of many runs: where the spread comes from, what a split is made of, every run."""

from collections.abc import Iterator

from respire.evaluation.assess import LABELS
from respire.metrics import percent
from respire.report.numbers import NONE, between, ends, signed
from respire.report.reproduction import STAGES
from respire.report.table import Table
from respire.statistics.variance import Decomposition, Splits
from respire.study.spread_summary import Spread
from respire.study.spread_tables import within

COMPONENTS = {"between": "between splits", "within": "between seeds", "total": "one run"}
SHARES = {
    "cycles": "Test cycles",
    "normal": "Normal (% of cycles)",
    "both": "Both (% of cycles)",
    "largest": "Five largest patients (%)",
}
"""Labels of what a test side is made of; a device's is its name."""
LARGEST = 8
"""Patients that are listed of each end of the range."""


def components(spread: Spread) -> Table:
    """Standard deviations between splits and between seeds."""
    rows = []
    for name, label, known in _decompositions(spread):
        for part, title in COMPONENTS.items():
            deviation = getattr(known, part).root()
            share = known.share if part == "between" else None
            rows.append(
                (
                    name,
                    f"{label}, {title}",
                    percent(deviation.value),
                    within(deviation),
                    str(deviation.degrees_of_freedom),
                    NONE if share is None else f"{percent(share.value)} ({within(share)})",
                    _size(known),
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
        + _held(spread),
    )


def plan(spread: Spread) -> Table:
    """How many splits would be needed."""
    rows = []
    for name, label, known in _decompositions(spread):
        if label == LABELS["score"]:
            one, least = known.single_half_width, known.plan.least_half_width
            rows.append(
                (
                    name,
                    f"{percent(one.value)} ({within(one)})",
                    _needed(known.plan.this_data_set),
                    _needed(known.plan.new_patients),
                    f"{percent(least.value)} ({within(least)})",
                    _size(known),
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


def _decompositions(spread: Spread) -> Iterator[tuple[str, str, Decomposition]]:
    """Those that are known, each with its recipe and stage, and the statistic's label."""
    for name, variant in spread.variants.items():
        for stage in spread.stages:
            for metric, label in LABELS.items():
                known = variant.variance[stage][metric]
                if known is not None:
                    yield f"{name}, {STAGES[stage].lower()}", label, known


def _size(known: Decomposition) -> str:
    return f"{known.splits}\u00a0×\u00a0{known.seeds}"


def _needed(splits: Splits) -> str:
    value, low, high = (
        "∞" if n is None else f"{n:,}" for n in (splits.value, splits.low, splits.high)
    )
    return f"{value} ({low}–{high})"


def _held(spread: Spread) -> str:
    """How often intervals of such experiments hold the truth, as the end of a note."""
    coverage = next(iter(spread.variants.values())).coverage
    if coverage is None:
        return ""
    held = ", ".join(f"{name} {share:.0%}" for name, share in coverage.items())
    return f" Simulated coverage of the intervals for such a Score: {held}."


def splits(spread: Spread) -> Table:
    """Every split's mean Score and what its test side is made of."""
    stage = spread.stages[-1]
    shares = [
        share for share in next(iter(spread.variants.values())).composition if share != "cycles"
    ]
    rows, covered = [], []
    for name, variant in spread.variants.items():
        for split in variant.worst_first(stage):
            scores = split.scores[stage]
            if scores.interval is not None:
                covered.append(scores.interval.coverage)
            rows.append(
                (
                    name,
                    str(split.split_seed),
                    percent(scores.score),
                    NONE if scores.interval is None else ends(scores.interval.score),
                    f"{split.cycles:,}",
                    str(split.patients),
                    *(percent(split.amount(share)) for share in shares),
                )
            )
    held = (
        f"; on simulated test sides like them it holds {min(covered):.0%}–{max(covered):.0%}"
        if covered
        else ""
    )
    return Table(
        "Splits, the worst first",
        (
            *("Recipe", "Split", "Score (%)", "Interval", "Cycles", "Patients"),
            *(share.capitalize() if share.islower() else share for share in shares),
        ),
        tuple(rows),
        text_columns=2,
        note=f"Score: mean of {len(spread.seeds)} training seeds; its interval is over the "
        f"patients of that test side (percentile bootstrap{held}). Shares in % "
        "of the test cycles; largest: of the five patients with the most.",
    )


def correlations(spread: Spread) -> Table:
    """How the splits' Scores go with what is tested."""
    rows = []
    for name, variant in spread.variants.items():
        for share, known in variant.composition.items():
            cells = (NONE, NONE, NONE)
            if known is not None:
                interval = f"{known.low:+.2f} to {known.high:+.2f}"
                cells = f"{known.r:+.2f}", interval, f"{known.p:.2f}"
            label = SHARES.get(share, f"{share} (% of cycles)")
            rows.append((name, label, *cells, str(len(variant.splits))))
    return Table(
        "What a split's Score goes with",
        ("Recipe", "Of the test side", "r", "Interval", "p", "n"),
        tuple(rows),
        text_columns=2,
        note="n: splits. Pearson's correlation with the mean Score over training seeds, Fisher's "
        "interval; p is of one look, and these are several.",
    )


def ends_of_range(spread: Spread) -> Table:
    """The patients of the worst and of the best split."""
    return Table(
        f"The two ends of the range: their {LARGEST} largest patients",
        ("Split", "Patient", "Device", "Cycles", "Abnormal (%)", "Recognised (%)"),
        tuple(
            (
                f"{name}: {which}, split {end.split_seed}",
                str(patient.patient),
                patient.devices,
                f"{patient.cycles:,}",
                percent(patient.abnormal),
                percent(patient.recognised),
            )
            for name, variant in spread.variants.items()
            for which, end in variant.ends.items()
            for patient in end.patients[:LARGEST]
        ),
        text_columns=3,
        note="Recognised: cycles given exactly their class, mean of the training seeds.",
    )


def selection(spread: Spread) -> Table | None:
    """What choosing the epoch on test would have been worth; None where test was not watched."""
    rows = []
    for name, variant in spread.variants.items():
        cost = variant.selection_cost
        if cost is not None:
            gain = cost.best_less_chosen
            rows.append(
                (
                    name,
                    *map(percent, (cost.chosen, cost.last, cost.best)),
                    signed(cost.best - cost.chosen),
                    between(None if gain is None else gain.this_data_set),
                    str(cost.runs),
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


def runs(spread: Spread) -> Table:
    """A row a run and stage."""
    sides = {variant.recipe.selection for variant in spread.variants.values()}
    return Table(
        "Runs",
        ("Recipe", "Split", "Seed", "Stage", *LABELS.values(), "Epoch", "Cycles"),
        tuple(
            (
                run.variant,
                str(run.split_seed),
                str(run.seed),
                STAGES[run.stage],
                *map(percent, run.measures),
                str(run.epoch),
                f"{run.cycles:,}",
            )
            for run in spread.runs
        ),
        text_columns=4,
        note=f"Test scores (%), also in runs.csv. Epoch: of stage 1, chosen on "
        f"{' or '.join(sorted(sides))}.",
    )
