"""The report of attention maps: results.json and arrays in, sentences and page out."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from respire.evaluation.evaluate import STAGE1
from respire.experiments.attention_maps import figures as draw
from respire.experiments.attention_maps.figures import Maps
from respire.experiments.attention_maps.summary import AttentionSpread, Mean
from respire.experiments.attention_maps.tables import by_split, change, level, shares
from respire.metrics import MIN_SE, percent
from respire.report.numbers import NONE, count
from respire.report.page import Page, Picture, Section, printed
from respire.report.reproduction import made
from respire.report.typed import Header, read
from respire.study.spread_summary import VariantSpread
from respire.study.spread_tables import comparison, scores


def page(results: Mapping[str, Any], maps: Maps) -> Page:
    """The report.

    Args:
        results: content of results.json.
        maps: the arrays that the figures show (``respire.experiments.attention_maps.run``).
    """
    spread, header = read(AttentionSpread, results), read(Header, results)
    lead, *verdict = conclusions(spread, header.stamps)
    return Page(
        results,
        facts=_facts(spread, header),
        lead=lead,
        verdict=" ".join(verdict),
        sections=[
            *_sections(spread, maps, header.stamps),
            Section("Reproduction", made(results, spread.recipes)),
        ],
    )


def summary(results: Mapping[str, Any]) -> str:
    """What the command prints last: sentences and the tables they follow from."""
    spread, stamps = read(AttentionSpread, results), read(Header, results).stamps
    shown = shares(spread.attention), scores(spread)
    return printed(results, *conclusions(spread, stamps), *shown)


def conclusions(spread: AttentionSpread, stamps: Sequence[str] = ()) -> list[str]:
    """How much attention lies on blank rows, and whether clipping moves it down.

    Without a window that has blank rows on top, only that.
    """
    (without, before), (with_, after) = (
        (name, groups.blank_top) for name, groups in spread.attention.variants.items()
    )
    moved = spread.attention.change.blank_top
    if not (before.windows and after.windows and moved.windows):
        return [
            "No test window with an attention map has blank rows on top: clipping changes none of "
            "them, and nothing can be said of it."
        ]
    sentences = [
        f"In the {count(before.windows, 'test window')} (of "
        f"{count(before.patients, 'patient')}) with blank rows on top, the network trained "
        f"{without} has {_share(before.blank.attention)} of its attention on blank "
        f"rows, which are {level(before.blank.rows)[0]}% of the image: "
        f"{_points(before.blank.excess)} points against attention spread evenly.",
        f"The network trained {with_} has {_share(after.blank.attention)} on the blank "
        f"rows that clipping leaves, {level(after.blank.rows)[0]}% of its image.",
        f"On the lower half of the mel bands lie {_share(before.lower.attention)} "
        f"{without} and {_share(after.lower.attention)} {with_}, a change of "
        f"{_points(moved.lower.attention)} points; {change(moved.lower.rows)[0]} points of "
        f"it are what clipping does to attention spread evenly, which leaves "
        f"{_points(moved.lower.excess)} for what was learned.",
    ]
    if change(moved.lower.attention)[1] == NONE:
        sentences.append("So few patients are an illustration, no measurement.")
    if len(spread.split_seeds) * len(spread.seeds) == 1:
        sentences.append(
            "The intervals are over patients: with one training of each, how far another seed "
            "would have moved this is not in them."
        )
    sentences += _not_working(spread.variants)
    if stamps:
        sentences.append(f"None of this is evidence: {'; '.join(stamps)}.")
    return sentences


def _share(mean: Mean | None) -> str:
    value, interval = level(mean)
    return f"{value}%" if interval == NONE else f"{value}% ({interval})"


def _points(mean: Mean | None) -> str:
    value, interval = change(mean)
    return value if interval == NONE else f"{value} ({interval})"


def _not_working(variants: Mapping[str, VariantSpread]) -> list[str]:
    """A sentence on the networks that do not count as working, if there are any."""
    poor = []
    for name, variant in variants.items():
        means, (_, best) = variant.means(STAGE1), variant.best_baseline
        if means.se < MIN_SE or means.score <= best.score:
            poor.append(f"{name} (Se {percent(means.se)}%, Score {percent(means.score)}%)")
    if not poor:
        return []
    return [
        f"Below the bar of Se {percent(MIN_SE)}% and a Score above all baselines: the network "
        f"trained {' and '.join(poor)}. Such maps say where a network looks that has learned "
        f"little."
    ]


def _sections(spread: AttentionSpread, maps: Maps, stamps: Sequence[str]) -> Iterator[Section]:
    attention, names = spread.attention, list(spread.variants)
    recipe, several = spread.variants[names[0]].recipe, len(spread.split_seeds) > 1
    caption = (
        "Share of attention on the blank rows of what the network is given, and on the lower half "
        "of the mel bands, with 95% intervals over patients; dash: what attention spread evenly "
        "over the image would have. Blank on top: windows that clipping changes."
    )
    yield Section(
        "Where the attention lies",
        [shares(attention), *([by_split(attention)] if several else [])],
        [Picture("attention-shares", caption, draw.shares(attention, stamps))],
    )
    caption = (
        "Grad-CAM++ of layer 4 for the predicted class, averaged over all test windows and over "
        "those with blank rows on top, every window counting the same; clipped windows are brought "
        "back to their frequencies. Right: the same by frequency. (The paper's Fig. 5.)"
    )
    figure = draw.mean_maps(maps, attention, recipe, stamps)
    yield Section("Mean maps", figures=[Picture("mean-attention", caption, figure)])
    caption = (
        "The windows with the most blank rows on top, of different patients, as each "
        "network is given them (before rows are made level), and its attention. "
        f"(The paper's Fig. 3.) {draw.windows_drawn(maps)}"
    )
    figure = draw.single_windows(maps, recipe, names, stamps)
    yield Section("Single windows", figures=[Picture("single-windows", caption, figure)])
    compared = spread.comparison if several else None
    yield Section("Scores", [scores(spread), *([comparison(compared)] if compared else [])])


def _facts(spread: AttentionSpread, header: Header) -> str:
    recipe = next(iter(spread.variants.values())).recipe
    seen = next(iter(spread.attention.variants.values())).all
    return (
        f"Recipe {recipe.preset} without and with blank region clipping · {recipe.task} · "
        f"{count(len(spread.split_seeds), 'split')} ({spread.split}, from seed "
        f"{spread.split_seeds[0]}) × {count(len(spread.seeds), 'training seed')} (from "
        f"{spread.seeds[0]}) · {count(seen.windows + seen.without_attention, 'test window')} of "
        f"{count(seen.patients, 'patient')} · Grad-CAM++ of stage 1's layer 4, in fp32 · "
        f"respire {header.respire_version}"
    )
