"""Tables of a finished grid that more than one question shows: Scores, and two recipes compared."""

from collections.abc import Mapping, Sequence
from statistics import stdev

from respire.evaluation.assess import ABOUT_BEYOND, ABOUT_PATIENTS, BEYOND, LABELS, Measured
from respire.metrics import percent
from respire.report.numbers import NONE, between, ends, signed
from respire.report.reproduction import STAGES
from respire.report.table import Table
from respire.statistics.thresholds import t_interval
from respire.statistics.variance import Estimate
from respire.statistics.verdicts import POWER, Detectable, Verdict
from respire.study.spread_summary import Contrast, DifferenceCoverage, RunScores, Spread


def scores(spread: Spread) -> Table:
    """Means over splits and seeds, baselines beside them."""
    rows = []
    for name, variant in spread.variants.items():
        splits = len(variant.splits)
        for stage in spread.stages:
            score = variant.variance[stage]["score"]
            known = (NONE, NONE)
            if score is not None:
                known = within(score.mean), percent(score.total.root().value)
            elif splits > 1:  # with one training each
                each = variant.by_split(stage)
                known = ends(t_interval(each)), percent(stdev(each))
            means = map(percent, variant.means(stage).measures)
            rows.append((name, STAGES[stage], *means, *known, str(len(spread.seeds) * splits)))
            if (averaged := variant.averaged(stage)) is not None:
                title = f"{STAGES[stage]}, probabilities of {len(spread.seeds)} seeds averaged"
                means = map(percent, averaged.measures)
                rows.append((name, title, *means, NONE, NONE, str(splits)))
        for baseline, means_of in variant.baselines.items():
            known = NONE, percent(means_of.standard_deviation)
            means = map(percent, means_of.measures)
            rows.append((name, f"baseline: {baseline}", *means, *known, str(means_of.splits)))
    return Table(
        "Mean test scores (%)",
        ("Recipe", "", *LABELS.values(), "Interval of mean Score", "SD of a run", "n"),
        tuple(rows),
        text_columns=2,
        note="n: runs; of baselines and of averages, splits. Interval: of this data set's average "
        "over splits (t). SD: of the Score of one training on "
        "one split, in points.",
    )


def beyond(named: Mapping[tuple[str, str], Measured], means: str) -> list[Table]:
    """What a Score hides, a row each of what was tested: of cycles, and of patients.

    Args:
        named: means by their group and name.
        means: what they are means of, a sentence.
    """
    of_cycles = [statistic for statistic in BEYOND if statistic.counted == "cycles"]
    of_patients = [statistic for statistic in BEYOND if statistic.counted != "cycles"]
    note = f"{means} Each run is measured by itself, then averaged; –: undefined in some run."
    return [
        Table(
            title,
            ("", "", *(statistic.label for statistic in shown)),
            tuple(
                (*name, *(statistic.written(getattr(one, statistic.name)) for statistic in shown))
                for name, one in named.items()
            ),
            text_columns=2,
            note=said,
        )
        for title, shown, said in (
            ("Beyond one threshold (%)", of_cycles, f"{note} {ABOUT_BEYOND}"),
            (
                "Patients and recordings (%; r: correlations)",
                of_patients,
                f"{note} {ABOUT_PATIENTS}",
            ),
        )
    ]


def comparison(contrast: Contrast) -> Table:
    """The paired comparison of two recipes."""
    return Table.of(
        f"{contrast.a} (A) less {contrast.b} (B), points",
        {
            "": lambda what, *_: what,
            "Mean": lambda _, apart, _verdict: signed(apart.mean),
            "SD": lambda _, apart, _verdict: percent(apart.standard_deviation),
            "Interval, these patients": lambda _, apart, _verdict: between(apart.this_data_set),
            "Interval, new patients": lambda _, apart, _verdict: between(
                (apart.new_patients.low, apart.new_patients.high)
            ),
            "p": lambda _, apart, _verdict: f"{apart.new_patients.p:.2g}",
            "A better": lambda _, apart, _verdict: f"{apart.posterior.a_better:.2f}",
            "Equal": lambda _, apart, _verdict: f"{apart.posterior.equal:.2f}",
            "B better": lambda _, apart, _verdict: f"{apart.posterior.b_better:.2f}",
            "Verdict": lambda _, _apart, verdict: said(verdict),
            "n": lambda _, apart, _verdict: str(apart.splits),
        },
        [
            (f"{STAGES[stage]}, {label}", apart, of_stage.verdicts.get(metric))
            for stage, of_stage in contrast.stages.items()
            for metric, label in LABELS.items()
            if (apart := getattr(of_stage, metric)) is not None
        ],
        note="n: splits, training seeds averaged. These patients: t interval of the average over "
        "splits. New patients and p: corrected resampled t-test (Nadeau and Bengio 2003). A "
        "better, equal, B better: probabilities by the Bayesian correlated t-test (Benavoli et al. "
        "2017), equal being within a point either way."
        + _held(contrast.coverage)
        + " "
        + ABOUT_VERDICTS
        + can_see(contrast.detectable),
    )


ABOUT_VERDICTS = (
    "Verdict: equivalent where the 90% interval lies within ± 1 point; else better or worse where "
    "the 95% interval, by Holm's correction for all contrasts but the primary one, excludes 0; of "
    "new patients, and on a listed split over its test patients."
)


def said(verdict: Verdict | None) -> str:
    """A verdict in a table's cell."""
    if verdict is None:
        return NONE
    return f"{verdict.word} (primary)" if verdict.primary else verdict.word


def can_see(known: Detectable | None) -> str:
    """The smallest difference that a table can see, as the end of a note."""
    if known is None:
        return ""
    return (
        f" What this can see: with {known.splits} splits and differences of SD "
        f"{percent(known.sd)}, pooled over the rows, the smallest Score difference found "
        f"{POWER:.0%} of the time is "
        f"{percent(known.these_patients)} points for these patients, "
        f"{percent(known.new_patients)} for new ones."
    )


def runs(told: Sequence[RunScores], name: str, note: str, *, key: bool = False) -> Table:
    """A row a run and stage.

    Args:
        told: the runs.
        name: what a variant is called.
        note: what a reader should know.
        key: whether that of stage 1 is shown.
    """
    return Table(
        "Runs",
        (name, "Split", "Seed", "Stage", *LABELS.values(), "Epoch", "Cycles", *["Key"] * key),
        tuple(
            (
                *(run.variant, str(run.split_seed), str(run.seed), STAGES[run.stage]),
                *(*map(percent, run.measures), str(run.epoch), f"{run.cycles:,}"),
                *[run.key] * key,
            )
            for run in told
        ),
        text_columns=4,
        note=f"Test scores (%){note}",
    )


def within(estimate: Estimate) -> str:
    """Both ends of an estimate in percent."""
    return ends((estimate.low, estimate.high))


def _held(coverage: Sequence[DifferenceCoverage]) -> str:
    """How often the interval for new patients holds the truth, as the end of a note."""
    if not coverage:
        return ""
    held = ", ".join(
        f"{known.coverage:.0%} of the time where any two correlate by {known.correlation:.2f}"
        for known in coverage
    )
    return (
        f" On simulated differences the interval for new patients holds the truth {held}; it is "
        f"made for the second."
    )
