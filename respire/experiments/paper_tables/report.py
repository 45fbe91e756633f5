"""The report of a paper's table: results.json in, sentences and pages out."""

from collections.abc import Iterator, Mapping
from typing import Any

from respire.experiments.paper_tables import figures as draw
from respire.experiments.paper_tables import tables
from respire.labels import CLASSES
from respire.metrics import percent
from respire.report.numbers import between, ends
from respire.report.page import Page, Picture, Section
from respire.report.reproduction import made
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
    return Page(
        results,
        facts=_facts(results),
        lead=lead(results),
        verdict=" ".join(verdict(results)),
        sections=_sections(results),
    ).write(directory)


def summary(results: Mapping[str, Any]) -> str:
    """What the command prints last."""
    shown = [tables.scores(results), *tables.differences(results), *tables.by_device(results)]
    said = [lead(results), " ".join(verdict(results))]
    return "\n\n".join([*said, *(table.markdown(results["stamps"]) for table in shown)])


def lead(results: Mapping[str, Any]) -> str:
    """The Score of the best row of the first split and task, and its best baseline."""
    first = results["rows"][0]
    best = max(
        (row for row in results["rows"] if tables.group(row) == tables.group(first)),
        key=lambda row: row["score"] or 0.0,
    )
    baseline = max(
        (of for of in results["baselines"] if tables.group(of) == tables.group(first)),
        key=lambda of: of["score"],
    )
    interval = "" if best["interval"] is None else f" ({ends(best['interval'])})"
    above = "" if best["score"] > baseline["score"] else ", and none of the rows beats it"
    return (
        f"{results['title']}: over {_count(results)}, {best['name']} has the highest Score, "
        f"{percent(best['score'])}%{interval}; the best baseline ({baseline['name']}) has "
        f"{percent(baseline['score'])}%{above}."
    )


def verdict(results: Mapping[str, Any]) -> Iterator[str]:
    """What follows, in sentences: which differences these patients show, and how sure that is."""
    compared = [row for row in results["rows"] if row["difference"] is not None]
    known = [row for row in compared if row["difference"]["these_patients"] is not None]
    shown = [row for row in known if not _holds_zero(row["difference"]["these_patients"])]
    for row in shown:
        difference = row["difference"]
        yield (
            f"{row['name']} is {100 * difference['mean']['score']:+.1f} points from "
            f"{row['against']} ({between(difference['these_patients'])})."
        )
    if known and len(shown) < len(known):
        left = len(known) - len(shown)
        rest = f"the other {left}" if shown else f"all {left}" if left > 1 else "the one"
        yield (
            f"The interval of {rest} difference{'s' * (left > 1)} holds 0: "
            f"these runs do not tell which is better."
        )
    if len(known) > 1:
        yield (
            f"Of {len(known)} such intervals one in twenty misses by chance; they are of these "
            "patients, and for new ones wider."
        )
    if len(results["split_seeds"]) < SPLITS_FOR_CONCLUSION:
        yield f"With fewer than {SPLITS_FOR_CONCLUSION} splits this is a sketch, not a conclusion."


def _holds_zero(interval: list[float]) -> bool:
    return interval[0] <= 0 <= interval[1]


def _sections(results: Mapping[str, Any]) -> list[Section]:
    stamps, rows = results["stamps"], results["rows"]
    scores = [
        Picture(
            "scores",
            "Score of each row: rings are splits, the dot their mean with the interval of this "
            "data set's average; the diamond is what the paper prints, the line the best baseline.",
            draw.scores(rows, results["baselines"], stamps),
        )
    ]
    if results["axis"]:
        scores.append(
            Picture(
                "along",
                f"Score against {results['axis'].lower()}: rings are splits, the line their mean "
                "with the interval of this data set's average; dashed: the paper.",
                draw.along(rows, results["axis"], stamps),
            )
        )
    sections = [Section("Scores", [tables.scores(results), tables.recall(results)], scores)]
    if tables.differences(results):
        caption = (
            "Difference of Score from the row that each is compared with, on the same splits: "
            "rings are splits, the dot their mean with the interval for these patients, the thin "
            "bar that for new ones; the diamond is what the paper prints."
        )
        pictures = [Picture("differences", caption, draw.differences(rows, stamps))]
        sections.append(Section("Differences", list(tables.differences(results)), pictures))
    if results["training_size"] is not None:
        sections.append(_devices(results))
    drawn = [row for row in rows if row["name"] in results["confusions"]]
    if drawn:
        caption = "Test cycles of all splits by true and predicted class (as Fig. 6 of the paper)."
        classes = CLASSES[drawn[0]["task"]]
        pictures = [Picture("confusion", caption, draw.confusions(drawn, classes, stamps))]
        sections.append(Section("Confusion", [], pictures))
    return [
        *sections,
        Section("Runs", [tables.runs(results)]),
        Section("Reproduction", made(results, results["recipes"])),
    ]


def _devices(results: Mapping[str, Any]) -> Section:
    rows, stamps = results["rows"], results["stamps"]
    return Section(
        "Devices",
        [*tables.by_device(results), *tables.training_size(results)],
        [
            Picture(
                "devices",
                "Score on the test cycles of each device, all splits together.",
                draw.devices(rows, stamps),
            ),
            Picture(
                "training-size",
                "Abnormal cycles recognised on each device against its cycles in training; a point "
                "is a device on one split (section 2.1 of the paper calls them strongly "
                "correlated).",
                draw.training_size(results["training_size"], stamps),
            ),
        ],
    )


def _count(results: Mapping[str, Any]) -> str:
    splits, seeds = len(results["split_seeds"]), len(results["seeds"])
    return f"{splits} split{'s' * (splits > 1)} with {seeds} training seed{'s' * (seeds > 1)} each"


def _facts(results: Mapping[str, Any]) -> str:
    recipe = next(iter(results["recipes"].values()))
    kinds = dict.fromkeys(f"{row['split']} {row['task']}" for row in results["rows"])
    return (
        f"Recipe {recipe['preset']} · {', '.join(kinds)} · split seeds "
        f"{', '.join(map(str, results['split_seeds']))} · training seeds "
        f"{', '.join(map(str, results['seeds']))} · inner seed {results['inner_seed']} · "
        f"{recipe['optimisation']['epochs']} epochs · respire {results['respire_version']}"
    )
