"""Tables of rows beside what the paper prints."""

from statistics import fmean, stdev

from respire.evaluation.assess import LABELS, NAMES, Measured
from respire.evaluation.seams import PARTNERS
from respire.experiments.paper_tables.printed import NOTHING
from respire.experiments.paper_tables.summary import (
    Averaged,
    Difference,
    Seam,
    TableRow,
    TableSummary,
    grouped,
)
from respire.labels import CLASSES
from respire.metrics import percent
from respire.report.numbers import NONE, between, ends, signed
from respire.report.table import Table
from respire.study import spread_tables
from respire.study.spread_tables import ABOUT_VERDICTS, can_see, said

MEASURES = tuple(LABELS.values())
PRINTED = [name for name in NAMES if hasattr(NOTHING, name)]
"""What of them the paper prints."""


def scores(table: TableSummary) -> Table:
    """The measures of each row and of the baselines, beside the paper's."""
    baselines = grouped(table.baselines)
    lines: list[tuple[str, str, Averaged, list[str], str]] = []
    for group, rows in grouped(table.rows).items():
        for row in rows:
            paper = [_printed(getattr(row.printed, name)) for name in PRINTED]
            lines.append((group, _stamped(row), row, paper, _n(table, row.splits)))
        for one in baselines.get(group, ()):
            none, n = [NONE] * len(PRINTED), str(len(one.splits))
            lines.append((group, f"baseline: {one.name}", one, none, n))
    first, *others = (LABELS[name] for name in PRINTED)
    return Table(
        f"{table.title} (%)",
        (
            *("Split and task", "", *MEASURES, "Interval of Score"),
            *(f"Paper: {first}", *others, "n"),
        ),
        tuple(
            (group, name, *map(percent, tested.measures), ends(tested.interval), *paper, n)
            for group, name, tested, paper, n in lines
        ),
        text_columns=2,
        note="Means over splits; n: splits × training seeds, of a baseline splits. Interval: of "
        "this data set's average over splits (t), from three splits on. Predicting normal for "
        f"every cycle gives Se 0, Sp 100, Score 50. {table.note}".rstrip(),
    )


def beyond(table: TableSummary) -> list[Table]:
    """What a Score hides, of every row and baseline."""
    named: dict[tuple[str, str], Measured] = {(row.group, row.name): row for row in table.rows}
    for one in table.baselines:
        named[one.group, f"baseline: {one.name}"] = one
    return spread_tables.beyond(named, "Means over splits.")


def seams(table: TableSummary) -> Table:
    """What a seam means: normal test cycles still called normal, alone and joined."""

    def share(seam: Seam, partner: str) -> str:
        shares = seam.called_normal[partner]
        spread = f" ± {percent(stdev(shares))}" if len(shares) > 1 else ""
        return f"{percent(fmean(shares))}{spread}"

    return Table(
        "Normal test cycles called normal, alone and joined with another normal one (%)",
        ("", *PARTNERS, "n"),
        tuple(
            (seam.variant, *(share(seam, partner) for partner in PARTNERS), f"{seam.cycles:,}")
            for seam in table.seams
        ),
        note="Mean over splits ± SD; n: cycles, the same in every column, up to 500 a split. Test "
        "cycles have no seam but here: what is lost by one was taken for abnormal.",
    )


def recall(table: TableSummary) -> Table:
    """Recall of every class, all splits together."""
    tasks = {row.task for row in table.rows}
    classes = max((CLASSES[task] for task in tasks), key=len)
    return Table(
        "Test recall by class (%)",
        ("Split and task", "", *classes, "n"),
        tuple(
            (
                *(row.group, _stamped(row), *map(percent, row.recall)),
                *[NONE] * (len(classes) - len(row.recall)),
                f"{sum(map(sum, row.confusion)):,}",
            )
            for row in table.rows
        ),
        text_columns=2,
        note="n: test cycles of all splits and training seeds, whose recall this is: that of "
        "normal is near Sp, which is a mean over splits."
        + " Of 2-class rows the second is abnormal."
        * (len(tasks) > 1),
    )


def differences(table: TableSummary) -> list[Table]:
    """What each row is better by than the one it is compared with; none without such rows."""
    lines = tuple(
        (
            *(_stamped(row), row.against or ""),
            *(signed(apart.mean[name]) for name in NAMES),
            between(apart.these_patients),
            *(*_new_patients(apart), said(apart.verdict)),
            *(_printed(row.printed.gain, "+"), _n(table, apart.splits)),
        )
        for row in table.rows
        if (apart := row.difference) is not None
    )
    columns = (
        *("", "Compared with", *MEASURES, "Interval, these patients"),
        *("Interval, new patients", "p", "Verdict", "Paper: Score", "n"),
    )
    note = (
        "n: splits × training seeds. These patients: t interval of the average over splits. New "
        "patients and p: corrected resampled t-test (Nadeau and Bengio 2003); on a listed split "
        "over its test patients. Intervals and p are of one look each; verdicts are corrected for "
        "several. "
        f"{ABOUT_VERDICTS}{can_see(table.detectable)}"
    )
    title = "Differences on the same splits (points)"
    return [Table(title, columns, lines, text_columns=2, note=note)] * bool(lines)


def by_device(table: TableSummary) -> list[Table]:
    """The rows on each device's test cycles, beside the paper's; none where that is not asked."""
    tested = [
        (row, device, part) for row in table.rows for device, part in (row.by_device or {}).items()
    ]
    if not tested:
        return []
    classes = CLASSES[table.rows[0].task]
    paper = tuple(
        (row.name, device, *map(_printed, part.printed.recall))
        for row, device, part in tested
        if part.printed is not None and part.printed.recall is not None
    )
    tables = [
        Table(
            "By device (%)",
            (
                *("", "Device", *MEASURES, *classes),
                *("Difference", "Interval", "Paper: difference", "n"),
            ),
            tuple(
                (
                    _stamped(row),
                    device + " (not heard in training)" * (not row.hears(device)),
                    *map(percent, (*part.measures, *part.recall)),
                    *(signed(part.difference), between(part.interval)),
                    *(_printed((part.printed or NOTHING).gain, "+"), f"{part.n:,}"),
                )
                for row, device, part in tested
            ),
            text_columns=2,
            note="n: test cycles of all splits and training seeds, whose Se, Sp, Score and recall "
            "these are. Difference: of Score from the row that it is compared with, points, mean "
            "of the splits on which the device has normal and abnormal test cycles, and so not "
            "that of the Scores shown; its interval is of these patients.",
        ),
        Table("The paper's recall by device (%)", ("", "Device", *classes), paper, text_columns=2),
    ]
    return tables[: 1 + bool(paper)]


def training_size(table: TableSummary) -> list[Table]:
    """Abnormal cycles recognised against training size; none where it is not told."""
    size = table.training_size
    if size is None:
        return []
    r = size.correlation
    said = r and (
        f" Over all {r.splits} points Pearson's r is {r.r:+.2f} ({r.low:+.2f} to {r.high:+.2f}, "
        "as if they were independent)."
    )
    told = Table.of(
        f"Abnormal cycles recognised and training size ({size.row})",
        {
            "Device": lambda device, _: device,
            "Training cycles": lambda _, points: f"{fmean(p.training_cycles for p in points):,.0f}",
            "Se (%)": lambda _, points: percent(fmean(p.se for p in points)),
            "n": lambda _, points: str(len(points)),
        },
        size.by_device.items(),
        note="n: splits on which the device has abnormal test cycles; means over them. The "
        f"paper (2.1) calls the two strongly correlated.{said or ''}",
    )
    return [told]


def _stamped(row: TableRow) -> str:
    """A row's name, loud where it is stamped."""
    return row.name + "".join(f" [{stamp.upper()}]" for stamp in row.stamps)


def _new_patients(apart: Difference) -> tuple[str, str]:
    """The interval and p of a difference, of one look at it."""
    test = apart.new_patients or apart.verdict
    return (NONE, NONE) if test is None else (between(apart.one_look), f"{test.p:.2g}")


def _n(table: TableSummary, splits: tuple[object, ...]) -> str:
    return f"{len(splits)}\u00a0×\u00a0{len(table.seeds)}"


def _printed(points: float | None, sign: str = "") -> str:
    """A number of the paper, which is in percent."""
    return NONE if points is None else f"{points:{sign}.1f}"
