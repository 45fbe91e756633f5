"""Tables of many runs: where the spread comes from, what a split is made of, every run."""

from collections.abc import Iterator

from respire.evaluation.assess import LABELS
from respire.metrics import percent
from respire.report.numbers import NONE, between, count, ends, signed
from respire.report.reproduction import STAGES
from respire.report.table import Table
from respire.statistics.variance import Decomposition, Estimate, Splits
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
                    *(name, f"{label}, {title}", percent(deviation.value), within(deviation)),
                    *(str(deviation.degrees_of_freedom), _with_ends(share), _size(known)),
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
    return Table.of(
        "What one run is worth, and how many splits are needed",
        {
            "": lambda name, _: name,
            "One run (± points)": lambda _, known: _with_ends(known.single_half_width),
            "Splits for ± 1 point, these patients": lambda _, known: _needed(
                known.plan.this_data_set
            ),
            "Splits for ± 1 point, new patients": lambda _, known: _needed(known.plan.new_patients),
            "Least for new patients (± points)": lambda _, known: _with_ends(
                known.plan.least_half_width
            ),
            "n": lambda _, known: _size(known),
        },
        [(n, known) for n, label, known in _decompositions(spread) if label == LABELS["score"]],
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


def _with_ends(estimate: Estimate | None) -> str:
    return NONE if estimate is None else f"{percent(estimate.value)} ({within(estimate)})"


def _size(known: Decomposition) -> str:
    return f"{known.splits}\u00a0×\u00a0{known.seeds}"


def _needed(splits: Splits) -> str:
    ends = (splits.value, splits.low, splits.high)
    value, low, high = ("∞" if n is None else f"{n:,}" for n in ends)
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
    shares = [*next(iter(spread.variants.values())).composition]
    shares.remove("cycles")
    rows, covered = [], []
    for name, variant in spread.variants.items():
        for split in variant.worst_first(stage):
            scores = split.scores[stage]
            if scores.interval is not None:
                covered.append(scores.interval.coverage)
            rows.append(
                (
                    *(name, str(split.split_seed), percent(scores.score)),
                    NONE if scores.interval is None else ends(scores.interval.score),
                    *(f"{split.cycles:,}", str(split.patients)),
                    *(percent(split.amount(share)) for share in shares),
                )
            )
    held = ""
    if covered:
        low, high = min(covered), max(covered)
        held = f"; on simulated test sides like them it holds {low:.0%}–{high:.0%}"
    return Table(
        "Splits, the worst first",
        (
            *("Recipe", "Split", "Score (%)", "Interval", "Cycles", "Patients"),
            *(share.capitalize() if share.islower() else share for share in shares),
        ),
        tuple(rows),
        text_columns=2,
        note=f"Score: mean of {count(len(spread.seeds), 'training seed')}; its interval is over "
        f"the patients of that test side (jackknife t{held}). Shares in % "
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
    return Table.of(
        f"The two ends of the range: their {LARGEST} largest patients",
        {
            "Split": lambda split, _: split,
            "Patient": lambda _, patient: str(patient.patient),
            "Device": lambda _, patient: patient.devices,
            "Cycles": lambda _, patient: f"{patient.cycles:,}",
            "Abnormal (%)": lambda _, patient: percent(patient.abnormal),
            "Recognised (%)": lambda _, patient: percent(patient.recognised),
        },
        [
            (f"{name}: {which}, split {end.split_seed}", patient)
            for name, variant in spread.variants.items()
            for which, end in variant.ends.items()
            for patient in end.patients[:LARGEST]
        ],
        text_columns=3,
        note="Recognised: cycles given exactly their class, mean of the training seeds.",
    )


def along_prior(spread: Spread) -> Table:
    """The mean test Score under some priors."""
    runs = len(spread.seeds)
    return Table(
        "Score by prior: looked up on test, not a choice (%)",
        ("Recipe", *next(iter(spread.variants.values())).along_prior, "n"),
        tuple(
            (name, *map(percent, variant.along_prior.values()), str(runs * len(variant.splits)))
            for name, variant in spread.variants.items()
        ),
        note="Mean of all runs; n: runs. Prior 0: all classes equally common, where who knows "
        "nothing has a Score of 25 in the mean; 1: as they count in the Score, where normal for "
        "everything has 50.",
    )


def selection(spread: Spread) -> list[Table]:
    """What choosing the epoch on test would have been worth; none where test was not watched."""
    costs = [(name, variant.selection_cost) for name, variant in spread.variants.items()]
    watched = [(name, cost) for name, cost in costs if cost is not None]
    table = Table.of(
        "SELECTED ON TEST: what choosing the epoch there would have been worth",
        {
            "Recipe": lambda name, _: name,
            "Chosen epoch": lambda _, cost: percent(cost.chosen),
            "Last epoch": lambda _, cost: percent(cost.last),
            "Best on test": lambda _, cost: percent(cost.best),
            "Best less chosen": lambda _, cost: signed(cost.best - cost.chosen),
            "Interval": lambda _, cost: between(
                cost.best_less_chosen and cost.best_less_chosen.this_data_set
            ),
            "n": lambda _, cost: str(cost.runs),
        },
        watched,
        note="Stage 1, mean test Score (%). n: runs. The best epoch on test was looked up to tell "
        "this, and used for nothing else.",
    )
    return [table] * bool(watched)
