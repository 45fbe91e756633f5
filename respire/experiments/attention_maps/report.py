"""The report of attention maps: results.json and arrays in, sentences, tables and page out."""

from collections.abc import Mapping
from typing import Any

from respire.evaluation.evaluate import STAGE1
from respire.experiments.attention_maps import figures as draw
from respire.experiments.attention_maps.figures import GROUPS, PARTS, Maps
from respire.experiments.seed_variance import tables as spread_tables
from respire.metrics import MIN_SE, percent
from respire.report.numbers import between, ends
from respire.report.page import Page, Picture, Section
from respire.report.reproduction import made
from respire.report.style import count
from respire.report.table import Table
from respire.runtime.storage import Storage

CHANGE = "change"


def write_report(results: Mapping[str, Any], maps: Maps, directory: Storage) -> list[str]:
    """Write results.json, report.md, the self-contained report.html and the figures.

    Args:
        results: results.json as a dictionary, strict (its fields: experiments/results/SCHEMA.md).
        maps: the arrays that the figures show (``respire.experiments.attention_maps.run``).
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
        sections=_sections(results, maps),
    ).write(directory)


def summary(results: Mapping[str, Any]) -> str:
    """What the command prints last: sentences and the tables they follow from."""
    shown = [shares(results), spread_tables.scores(results)]
    text = [table.markdown(results["stamps"]) for table in shown]
    return "\n\n".join([*conclusions(results), *text])


def conclusions(results: Mapping[str, Any]) -> list[str]:
    """How much attention lies on blank rows, and whether clipping moves it down.

    Without a window that has blank rows on top, only that.
    """
    found = results["attention"]
    (without, before), (with_, after) = (
        (name, groups["blank_top"]) for name, groups in found["variants"].items()
    )
    change = found["change"]["blank_top"]
    if not (before["windows"] and after["windows"] and change["windows"]):
        return [
            "No test window with an attention map has blank rows on top: clipping changes none of "
            "them, and nothing can be said of it."
        ]
    lower = [side["lower"] for side in (before, after)]
    by_itself = change["lower"]["rows"]["value"]
    runs = len(results["split_seeds"]) * len(results["seeds"])
    sentences = [
        f"In the {count(before['windows'], 'test window')} (of "
        f"{count(before['patients'], 'patient')}) with blank rows on top, the network trained "
        f"{without} has {_share(before['blank']['attention'])} of its attention on blank rows, "
        f"which are {percent(before['blank']['rows']['value'])}% of the image: "
        f"{_points(before['blank']['excess'])} points against attention spread evenly.",
        f"The network trained {with_} has {_share(after['blank']['attention'])} on the blank rows "
        f"that clipping leaves, {percent(after['blank']['rows']['value'])}% of its image.",
        f"On the lower half of the mel bands lie {_share(lower[0]['attention'])} {without} and "
        f"{_share(lower[1]['attention'])} {with_}, a change of "
        f"{_points(change['lower']['attention'])} points; {100 * by_itself:+.1f} points of it are "
        f"what clipping does to attention spread evenly, which leaves "
        f"{_points(change['lower']['excess'])} for what was learned.",
    ]
    if change["lower"]["attention"]["low"] is None:
        sentences.append("So few patients are an illustration, no measurement.")
    if runs == 1:
        sentences.append(
            "The intervals are over patients: with one training of each, how far another seed "
            "would have moved this is not in them."
        )
    sentences += _not_working(results["variants"])
    if results["stamps"]:
        sentences.append(f"None of this is evidence: {'; '.join(results['stamps'])}.")
    return sentences


def shares(results: Mapping[str, Any]) -> Table:
    """Where the attention lies, in each group of windows, of each variant and of their change."""
    found = results["attention"]
    rows = []
    for group, label in GROUPS.items():
        for part, title in PARTS.items():
            for name, groups in {**found["variants"], CHANGE: found["change"]}.items():
                of = groups[group]
                rows.append(
                    (
                        *(label, title, name),
                        *_row(of[part], signed=name == CHANGE),
                        *(f"{of[n]:,}" for n in ("windows", "patients", "without_attention")),
                    )
                )
    return Table(
        "Share of attention (%)",
        (
            *("Windows", "Where", "", "Attention", "Interval", "Spread evenly", "Excess"),
            *("Interval of excess", "n", "Patients", "Without a map"),
        ),
        tuple(rows),
        text_columns=3,
        note="n: windows; intervals: 95%, percentile bootstrap over patients (none with fewer than "
        "10). Blank on top: windows that clipping changes. Blank rows: those of the image that the "
        "network is given, by the recipe's rule; clipping removes the ones on top, so that the "
        "network with BRC cannot look at them. Lower half: of the mel bands of the unclipped "
        "window. Spread evenly: the same share of the image's rows. Excess: attention less that, "
        "in points. Maps fall off towards the edges of any image, and blank rows lie at one. "
        "Change: with less without, the same windows. Without a map: windows where no channel "
        "speaks for the predicted class, left out of the means.",
    )


def by_split(results: Mapping[str, Any]) -> Table:
    """The same shares on each split, its training seeds pooled."""
    rows = []
    for name, groups in results["attention"]["variants"].items():
        for split_seed, split in groups["splits"].items():
            for group, label in GROUPS.items():
                cells = [cell for part in PARTS for cell in _row(split[group][part])[::2]]
                # Of each part: attention, spread evenly.
                cells = [cells[0], cells[1], cells[3], cells[4]]
                rows.append((name, split_seed, label, *cells, f"{split[group]['windows']:,}"))
    return Table(
        "Share of attention by split (%)",
        (
            *("", "Split", "Windows", "Blank rows", "Spread evenly"),
            *("Lower half", "Spread evenly", "n"),
        ),
        tuple(rows),
        text_columns=3,
        note="n: windows, those of all training seeds together.",
    )


def _not_working(variants: Mapping[str, Any]) -> list[str]:
    """A sentence on the networks that do not count as working, if there are any."""
    poor = []
    for name, variant in variants.items():
        scored = [split["scores"][STAGE1] for split in variant["splits"]]
        se, score = (sum(of[m] for of in scored) / len(scored) for m in ("se", "score"))
        best = max(of["score"] for of in variant["baselines"].values())
        if se < MIN_SE or score <= best:
            poor.append(f"{name} (Se {percent(se)}%, Score {percent(score)}%)")
    if not poor:
        return []
    return [
        f"Below the bar of Se {percent(MIN_SE)}% and a Score above all baselines: the network "
        f"trained {' and '.join(poor)}. Such maps say where a network looks that has learned "
        f"little."
    ]


def _row(means: Mapping[str, Any], signed: bool = False) -> tuple[str, str, str, str, str]:
    """Attention, its interval, spread evenly, excess, its interval."""
    if means["attention"] is None:
        return ("–",) * 5

    def value(what: str, sign: bool) -> str:
        number = means[what]["value"]
        return f"{100 * number:+.1f}" if sign else percent(number)

    def interval(what: str, sign: bool) -> str:
        low, high = means[what]["low"], means[what]["high"]
        if low is None:
            return "–"
        return between((low, high)) if sign else ends((low, high))

    return (
        *(value("attention", signed), interval("attention", signed), value("rows", signed)),
        *(value("excess", True), interval("excess", True)),
    )


def _share(mean: Mapping[str, Any]) -> str:
    value = f"{percent(mean['value'])}%"
    if mean["low"] is None:
        return value
    return f"{value} ({percent(mean['low'])}–{percent(mean['high'])})"


def _points(mean: Mapping[str, Any]) -> str:
    value = f"{100 * mean['value']:+.1f}"
    return value if mean["low"] is None else f"{value} ({between((mean['low'], mean['high']))})"


def _sections(results: Mapping[str, Any], maps: Maps) -> list[Section]:
    found, stamps = results["attention"], results["stamps"]
    names = list(found["variants"])
    recipe = results["variants"][names[0]]["recipe"]
    scores = [spread_tables.scores(results)]
    if len(results["split_seeds"]) > 1:
        scores.append(spread_tables.comparison(results))
    return [
        Section(
            "Where the attention lies",
            [shares(results), *([by_split(results)] if len(results["split_seeds"]) > 1 else [])],
            [
                Picture(
                    "attention-shares",
                    "Share of attention on the blank rows of what the network is given, and on the "
                    "lower half of the mel bands, with 95% intervals over patients; dash: what "
                    "attention spread evenly over the image would have. Blank on top: windows that "
                    "clipping changes.",
                    draw.shares(found, stamps),
                )
            ],
        ),
        Section(
            "Mean maps",
            figures=[
                Picture(
                    "mean-attention",
                    "Grad-CAM++ of layer 4 for the predicted class, averaged over all test windows "
                    "and over those with blank rows on top, every window counting the same; "
                    "clipped windows are brought back to their frequencies. Right: the same by "
                    "frequency. (The paper's Fig. 5.)",
                    draw.mean_maps(maps, found, recipe, stamps),
                )
            ],
        ),
        Section(
            "Single windows",
            figures=[
                Picture(
                    "single-windows",
                    "The windows with the most blank rows on top, of different patients, as each "
                    "network is given them (before rows are made level), and its attention. "
                    f"(The paper's Fig. 3.) {draw.windows_drawn(maps)}",
                    draw.single_windows(maps, recipe, names, stamps),
                )
            ],
        ),
        Section("Scores", scores),
        Section("Reproduction", made(results, spread_tables.recipes(results))),
    ]


def _facts(results: Mapping[str, Any]) -> str:
    recipe = next(iter(results["variants"].values()))["recipe"]
    maps = results["attention"]["variants"]
    windows = next(iter(maps.values()))["all"]
    splits, seeds = len(results["split_seeds"]), len(results["seeds"])
    return (
        f"Recipe {recipe['preset']} without and with blank region clipping · {recipe['task']} · "
        f"{count(splits, 'split')} ({results['split']}, from seed {results['split_seeds'][0]}) × "
        f"{count(seeds, 'training seed')} (from {results['seeds'][0]}) · "
        f"{count(windows['windows'] + windows['without_attention'], 'test window')} of "
        f"{count(windows['patients'], 'patient')} · Grad-CAM++ of stage 1's layer 4, in fp32 · "
        f"respire {results['respire_version']}"
    )
