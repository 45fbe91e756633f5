"""Tables of the splits and runs behind a spread: results.json in, rows of text out."""

from collections.abc import Mapping
from typing import Any

from respire.experiments.full import tables
from respire.experiments.full.tables import STAGES, Table
from respire.experiments.seed_variance.figures import SHARES
from respire.experiments.seed_variance.tables import between
from respire.metrics import percent
from respire.recipe.identity import flatten

LARGEST = 8
"""Patients that are listed of each end of the range."""


def splits(results: Mapping[str, Any]) -> Table:
    """Every split's mean Score and what its test side is made of."""
    stage = results["stages"][-1]
    shares = [
        share
        for share in next(iter(results["variants"].values()))["composition"]
        if share != "cycles"
    ]
    return Table(
        "Splits, the worst first",
        (
            *("Recipe", "Split", "Score (%)", "Interval", "Cycles", "Patients"),
            *(share.capitalize() if share.islower() else share for share in shares),
        ),
        tuple(
            (
                name,
                str(split["split_seed"]),
                percent(split["scores"][stage]["score"]),
                tables.interval(split["scores"][stage]),
                f"{split['cycles']:,}",
                str(split["patients"]),
                *(percent(split[share]) for share in shares),
            )
            for name, variant in results["variants"].items()
            for split in sorted(
                variant["splits"], key=lambda split: split["scores"][stage]["score"]
            )
        ),
        text_columns=2,
        note=f"Score: mean of {len(results['seeds'])} training seeds; its interval is over the "
        f"patients of that test side (percentile bootstrap{_covered(results, stage)}). Shares in % "
        "of the test cycles; largest: of the five patients with the most.",
    )


def correlations(results: Mapping[str, Any]) -> Table:
    """How the splits' Scores go with what is tested."""
    return Table(
        "What a split's Score goes with",
        ("Recipe", "Of the test side", "r", "Interval", "p", "n"),
        tuple(
            (
                name,
                SHARES.get(share, f"{share} (% of cycles)"),
                *(
                    ("–", "–", "–")
                    if found is None
                    else (
                        f"{found['r']:+.2f}",
                        f"{found['low']:+.2f} to {found['high']:+.2f}",
                        f"{found['p']:.2f}",
                    )
                ),
                str(len(variant["splits"])),
            )
            for name, variant in results["variants"].items()
            for share, found in variant["composition"].items()
        ),
        text_columns=2,
        note="n: splits. Pearson's correlation with the mean Score over training seeds, Fisher's "
        "interval; p is of one look, and these are several.",
    )


def ends_of_range(results: Mapping[str, Any]) -> Table:
    """The patients of the worst and of the best split."""
    return Table(
        f"The two ends of the range: their {LARGEST} largest patients",
        ("Split", "Patient", "Device", "Cycles", "Abnormal (%)", "Recognised (%)"),
        tuple(
            (
                f"{name}: {which}, split {end['split_seed']}",
                str(patient["patient"]),
                patient["devices"],
                f"{patient['cycles']:,}",
                percent(patient["abnormal"]),
                percent(patient["recognised"]),
            )
            for name, variant in results["variants"].items()
            for which, end in variant["ends"].items()
            for patient in end["patients"][:LARGEST]
        ),
        text_columns=3,
        note="Recognised: cycles given exactly their class, mean of the training seeds.",
    )


def selection(results: Mapping[str, Any]) -> Table | None:
    """What choosing the epoch on test would have been worth; None where test was not watched."""
    rows = []
    for name, variant in results["variants"].items():
        cost = variant["selection_cost"]
        if cost is None:
            continue
        gain = cost["best_less_chosen"]
        rows.append(
            (
                name,
                *(percent(cost[epoch]) for epoch in ("chosen", "last", "best")),
                f"{100 * (cost['best'] - cost['chosen']):+.1f}",
                "–" if gain is None else between(*gain["this_data_set"]),
                str(cost["runs"]),
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


def runs(results: Mapping[str, Any]) -> Table:
    """A row a run and stage."""
    sides = {variant["recipe"]["selection"] for variant in results["variants"].values()}
    chosen = " or ".join(sorted(sides))
    return Table(
        "Runs",
        ("Recipe", "Split", "Seed", "Stage", "Se", "Sp", "Score", "Epoch", "Cycles"),
        tuple(
            (
                run["variant"],
                str(run["split_seed"]),
                str(run["seed"]),
                STAGES[run["stage"]],
                *(percent(run[metric]) for metric in ("se", "sp", "score")),
                str(run["epoch"]),
                f"{run['cycles']:,}",
            )
            for run in results["runs"]
        ),
        text_columns=4,
        note=f"Test scores (%), also in runs.csv. Epoch: of stage 1, chosen on {chosen}.",
    )


def made(results: Mapping[str, Any]) -> list[Table]:
    """How the results were made."""
    recipes = {name: flatten(v["recipe"]) for name, v in results["variants"].items()}
    fields = next(iter(recipes.values()))
    return [
        tables.run(results),
        Table(
            "Recipe" if len(recipes) == 1 else "Recipes",
            ("Field", *(recipes if len(recipes) > 1 else ["Value"])),
            tuple(
                (field, *(str(recipe[field]) for recipe in recipes.values())) for field in fields
            ),
            text_columns=1 + len(recipes),
        ),
    ]


def _covered(results: Mapping[str, Any], stage: str) -> str:
    """The range of simulated coverages of the splits' intervals, where there are any."""
    found = [
        split["scores"][stage]["interval"]["coverage"]
        for variant in results["variants"].values()
        for split in variant["splits"]
        if split["scores"][stage]["interval"] is not None
    ]
    if not found:
        return ""
    return f"; on simulated test sides like them it holds {min(found):.0%}–{max(found):.0%}"
