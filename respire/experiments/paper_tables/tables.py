"""Tables of rows beside what the paper prints: results.json in, rows of text out."""

from collections.abc import Mapping
from typing import Any

from respire.labels import CLASSES
from respire.metrics import percent
from respire.report.numbers import NONE, between, ends
from respire.report.reproduction import STAGES
from respire.report.table import Table


def group(of: Mapping[str, Any]) -> str:
    """Split and task of a row or a baseline."""
    return f"{of['split']}, {of['task']}"


def scores(results: Mapping[str, Any]) -> Table:
    """Se, Sp and Score of each row and of the baselines, beside the paper's."""
    lines = []
    for of in dict.fromkeys(map(group, results["rows"])):
        for row in (row for row in results["rows"] if group(row) == of):
            printed = row["printed"]
            lines.append(
                (
                    of,
                    _stamped(row),
                    *(percent(row[metric]) for metric in ("se", "sp", "score")),
                    ends(row["interval"]),
                    *(_printed(printed[metric]) for metric in ("se", "sp", "score")),
                    _n(results, row["splits"]),
                )
            )
        for baseline in (b for b in results["baselines"] if group(b) == of):
            lines.append(
                (
                    of,
                    f"baseline: {baseline['name']}",
                    *(percent(baseline[metric]) for metric in ("se", "sp", "score")),
                    ends(baseline["interval"]),
                    *(NONE, NONE, NONE),
                    f"{len(baseline['splits'])}",
                )
            )
    note = f" {results['note']}" if results["note"] else ""
    return Table(
        f"{results['title']} (%)",
        (
            *("Split and task", "", "Se", "Sp", "Score", "Interval of Score"),
            *("Paper: Se", "Sp", "Score", "n"),
        ),
        tuple(lines),
        text_columns=2,
        note="Means over splits; n: splits × training seeds, of a baseline splits. Interval: of "
        "this data set's average over splits (t), from three splits on. Predicting normal for "
        f"every cycle gives Se 0, Sp 100, Score 50.{note}",
    )


def recall(results: Mapping[str, Any]) -> Table:
    """Recall of every class, all splits together."""
    classes = max((CLASSES[row["task"]] for row in results["rows"]), key=len)
    return Table(
        "Test recall by class (%)",
        ("Split and task", "", *classes, "n"),
        tuple(
            (
                group(row),
                _stamped(row),
                *map(percent, row["recall"]),
                *(NONE,) * (len(classes) - len(row["recall"])),
                f"{sum(map(sum, row['confusion'])):,}",
            )
            for row in results["rows"]
        ),
        text_columns=2,
        note="n: test cycles of all splits and training seeds. The recall of normal is Sp."
        + (" Of 2-class rows the second is abnormal." if len(_tasks(results)) > 1 else ""),
    )


def differences(results: Mapping[str, Any]) -> list[Table]:
    """What each row is better by than the one it is compared with; none without such rows."""
    lines = []
    for row in results["rows"]:
        found = row["difference"]
        if found is None:
            continue
        new = found["new_patients"]
        lines.append(
            (
                _stamped(row),
                row["against"],
                *(f"{100 * found['mean'][metric]:+.1f}" for metric in ("se", "sp", "score")),
                between(found["these_patients"]),
                NONE if new is None else between((new["low"], new["high"])),
                NONE if new is None else f"{new['p']:.2g}",
                _gain(row["printed"]["gain"]),
                _n(results, found["splits"]),
            )
        )
    if not lines:
        return []
    return [
        Table(
            "Differences on the same splits (points)",
            (
                *("", "Compared with", "Se", "Sp", "Score", "Interval, these patients"),
                *("Interval, new patients", "p", "Paper: Score", "n"),
            ),
            tuple(lines),
            text_columns=2,
            note="n: splits × training seeds. These patients: t interval of the average over "
            "splits. New patients and p: corrected resampled t-test (Nadeau and Bengio 2003); "
            "p is of one look, and these are several.",
        )
    ]


def by_device(results: Mapping[str, Any]) -> list[Table]:
    """The rows on each device's test cycles, beside the paper's; none where that is not asked."""
    rows = [row for row in results["rows"] if row["by_device"] is not None]
    if not rows:
        return []
    classes = CLASSES[rows[0]["task"]]
    lines, paper = [], []
    for row in rows:
        for device, of in row["by_device"].items():
            heard = row["heard"] is None or device in row["heard"]
            printed = of["printed"] or {"gain": None, "recall": None}
            lines.append(
                (
                    _stamped(row),
                    device + ("" if heard else " (not heard in training)"),
                    *(percent(of[metric]) for metric in ("se", "sp", "score")),
                    *map(percent, of["recall"]),
                    NONE if of["difference"] is None else f"{100 * of['difference']:+.1f}",
                    between(of["interval"]),
                    _gain(printed["gain"]),
                    f"{of['n']:,}",
                )
            )
            if printed["recall"] is not None:
                paper.append((row["name"], device, *map(_printed, printed["recall"])))
    told = [
        Table(
            "By device (%)",
            (
                *("", "Device", "Se", "Sp", "Score", *classes),
                *("Difference", "Interval", "Paper: difference", "n"),
            ),
            tuple(lines),
            text_columns=2,
            note="n: test cycles of all splits and training seeds. Difference: of Score from the "
            "row that it is compared with, points, mean of the splits on which the device has "
            "normal and abnormal test cycles; its interval is of these patients.",
        )
    ]
    if paper:
        columns = ("", "Device", *classes)
        title = "The paper's recall by device (%)"
        told.append(Table(title, columns, tuple(paper), text_columns=2))
    return told


def training_size(results: Mapping[str, Any]) -> list[Table]:
    """Abnormal cycles recognised against training size; none where it is not told."""
    found = results["training_size"]
    if found is None:
        return []
    r = found["correlation"]
    lines = []
    for device in dict.fromkeys(point["device"] for point in found["points"]):
        ours = [point for point in found["points"] if point["device"] == device]
        cycles, se = (
            sum(point[what] for point in ours) / len(ours) for what in ("training_cycles", "se")
        )
        lines.append((device, f"{cycles:,.0f}", percent(se), f"{len(ours)}"))
    said = (
        ""
        if r is None
        else f" Over all {r['splits']} points Pearson's r is {r['r']:+.2f} ({r['low']:+.2f} to "
        f"{r['high']:+.2f}, as if they were independent)."
    )
    return [
        Table(
            f"Abnormal cycles recognised and training size ({found['row']})",
            ("Device", "Training cycles", "Se (%)", "n"),
            tuple(lines),
            note="n: splits on which the device has abnormal test cycles; means over them. The "
            f"paper (2.1) calls the two strongly correlated.{said}",
        )
    ]


def runs(results: Mapping[str, Any]) -> Table:
    """A row a run and stage."""
    return Table(
        "Runs",
        ("Variant", "Split", "Seed", "Stage", "Se", "Sp", "Score", "Epoch", "Cycles", "Key"),
        tuple(
            (
                one["variant"],
                str(one["split_seed"]),
                str(one["seed"]),
                STAGES[one["stage"]],
                *(percent(one[metric]) for metric in ("se", "sp", "score")),
                str(one["epoch"]),
                f"{one['cycles']:,}",
                one["key"],
            )
            for one in results["runs"]
        ),
        text_columns=4,
        note="Test scores (%). Epoch: the chosen one of stage 1. Key: of stage 1's run, wherever "
        "it was trained.",
    )


def _stamped(row: Mapping[str, Any]) -> str:
    """A row's name, loud where it is stamped."""
    return row["name"] + "".join(f" [{stamp.upper()}]" for stamp in row["stamps"])


def _tasks(results: Mapping[str, Any]) -> set[str]:
    return {row["task"] for row in results["rows"]}


def _n(results: Mapping[str, Any], splits: list[Any]) -> str:
    return f"{len(splits)}\u00a0×\u00a0{len(results['seeds'])}"


def _printed(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f}"


def _gain(value: float | None) -> str:
    return NONE if value is None else f"{value:+.1f}"
