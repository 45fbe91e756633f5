"""The report of a paper's table: sentences and pages."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from respire.experiments.paper_tables import figures as draw
from respire.experiments.paper_tables import tables
from respire.experiments.paper_tables.summary import TableSummary, highest
from respire.labels import CLASSES
from respire.metrics import percent
from respire.report.confusion import confusion
from respire.report.numbers import between, count, ends, epochs_of, signed
from respire.report.page import Page, Picture, Section, printed
from respire.report.reproduction import made
from respire.report.typed import read
from respire.statistics.thresholds import SPLITS_FOR_CONCLUSION
from respire.study.spread_tables import runs


def page(results: Mapping[str, Any]) -> Page:
    """The report, given the content of results.json."""
    table = read(TableSummary, results)
    recipe = next(iter(table.recipes.values()))
    kinds = dict.fromkeys(f"{row.split} {row.task}" for row in table.rows)
    return Page(
        results,
        facts=f"Recipe {recipe['preset']} · {', '.join(kinds)} · split seeds "
        f"{', '.join(map(str, table.split_seeds))} · training seeds "
        f"{', '.join(map(str, table.seeds))} · inner seed {table.inner_seed} · "
        f"{recipe['optimisation']['epochs']} epochs · respire {results['respire_version']}",
        lead=lead(table),
        verdict=" ".join(verdict(table)),
        sections=[
            *_sections(table, results["stamps"]),
            Section("Runs", [runs(table.runs, "Variant", _about_runs(results), key=True)]),
            Section("Reproduction", made(results, table.recipes)),
        ],
    )


def summary(results: Mapping[str, Any]) -> str:
    """What the command prints last."""
    table = read(TableSummary, results)
    shown = [tables.scores(table), *tables.differences(table), *tables.by_device(table)]
    shown += [tables.seams(table)] * bool(table.seams)
    return printed(results, lead(table), " ".join(verdict(table)), *shown)


def _about_runs(results: Mapping[str, Any]) -> str:
    return (
        f". Epoch: of stage 1, {epochs_of(results['selection'])}. Key: of stage 1's run, wherever "
        f"it was trained."
    )


def lead(table: TableSummary) -> str:
    """The Score of the best row of the first split and task, and its best baseline."""
    group = table.rows[0].group
    best = highest(row for row in table.rows if row.group == group)
    baseline = highest(one for one in table.baselines if one.group == group)
    over = (
        f"{table.title}: over {count(len(table.split_seeds), 'split')} with "
        f"{count(len(table.seeds), 'training seed')} each"
    )
    if best is None or baseline is None:
        return f"{over}, no Score is defined: the test cycles are all normal, or none is."
    interval = "" if best.interval is None else f" ({ends(best.interval)})"
    above = "" if best.score > baseline.score else ", and none of the rows beats it"
    several = len({row.group for row in table.rows}) > 1
    among = f" of {group}" if several else ""
    return (
        f"{over}, “{best.name}” has the highest Score{among}, {percent(best.score)}%{interval}; "
        f"the best baseline there ({baseline.name}) has {percent(baseline.score)}%{above}."
    )


def verdict(table: TableSummary) -> Iterator[str]:
    """What follows, in sentences: which differences these patients show, and how sure that is."""
    for row in table.rows:
        if row.difference is not None and (told := row.difference.verdict) and told.primary:
            whom = "for new patients" if row.difference.new_patients else "over its test patients"
            yield (
                f"Asked beforehand was “{row.name}” less “{row.against}”: {whom} {told.word} (90% "
                f"interval {between(told.narrow)}, 95% {between((told.low, told.high))})."
            )
    known = shown = 0
    for row in table.rows:
        apart = row.difference
        if apart is None or apart.these_patients is None:
            continue
        known += 1
        if not apart.these_patients[0] <= 0 <= apart.these_patients[1]:
            shown += 1
            yield (
                f"For these patients “{row.name}” is {signed(apart.mean['score'])} points from "
                f"“{row.against}” ({between(apart.these_patients)})."
            )
    if left := known - shown:
        rest = "the other" if shown else "all" if left > 1 else "the"
        of = f"{left} differences hold" if left > 1 else "one difference holds"
        yield (
            f"The interval{'s' * (left > 1)} for these patients of {rest} {of} 0: these runs do "
            f"not tell which is better."
        )
    if known > 1:
        yield (
            f"Of {known} such intervals one in twenty misses by chance; for new patients they are "
            f"wider."
        )
    if len(table.split_seeds) < SPLITS_FOR_CONCLUSION:
        yield f"With fewer than {SPLITS_FOR_CONCLUSION} splits this is a sketch, not a conclusion."


def _sections(table: TableSummary, stamps: Sequence[str]) -> Iterator[Section]:
    paper = any(row.printed.score is not None for row in table.rows)
    pictures = [
        Picture(
            "scores",
            "Score of each row: rings are splits, the dot their mean with the interval of this "
            f"data set's average; {'the diamond is what the paper prints, ' * paper}the line is "
            "the best baseline.",
            draw.scores(table, stamps),
        )
    ]
    if table.axis:
        caption = (
            f"Score against {table.axis.lower()}: rings are splits, the line their mean with the "
            "interval of this data set's average; dashed: the paper."
        )
        pictures.append(Picture("along", caption, draw.along(table, stamps)))
    yield Section("Scores", [tables.scores(table), tables.recall(table)], pictures)
    yield Section("Beyond one threshold", tables.beyond(table))
    if differences := tables.differences(table):
        paper = any(row.printed.gain is not None for row in table.rows)
        caption = (
            "Difference of Score from the row that each is compared with, on the same splits: "
            "rings are splits, the dot their mean with the interval for these patients, the thin "
            f"bar that for new ones{'; the diamond is what the paper prints' * paper}. Grey: "
            "within a point, where the 90% interval must lie to be called equivalent; right: the "
            "verdicts, where there are any."
        )
        picture = Picture("differences", caption, draw.differences(table, stamps))
        yield Section("Differences", differences, [picture])
    if table.seams:
        yield Section("Seams", [tables.seams(table)])
    if table.training_size is not None:
        caption = (
            "Abnormal cycles recognised on each device against its cycles in training; a point is "
            "a device on one split (section 2.1 of the paper calls them strongly correlated)."
        )
        size = Picture("training-size", caption, draw.training_size(table.training_size, stamps))
        caption = "Score on the test cycles of each device, all splits together."
        devices = Picture("devices", caption, draw.devices(table, stamps))
        shown = [*tables.by_device(table), *tables.training_size(table)]
        yield Section("Devices", shown, [devices, size])
    if drawn := [row for row in table.rows if row.name in table.confusions]:
        caption = "Test cycles of all splits by true and predicted class (as Fig. 6 of the paper)."
        matrices = {row.name: np.array(row.confusion) for row in drawn}
        figure = confusion(matrices, CLASSES[drawn[0].task], stamps)
        yield Section("Confusion", [], [Picture("confusion", caption, figure)])
