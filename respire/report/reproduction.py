"""How results were made: tables that every report ends with."""

from collections.abc import Mapping
from typing import Any

from respire.recipe.identity import flatten
from respire.report.table import Table

STAGES = {"stage1": "Stage 1", "stage2": "Stage 2 (fine-tuned)"}


def made(results: Mapping[str, Any], recipes: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """How the results were made: the run, and the fields of its recipes by their names."""
    return [run(results), *different(recipes)]


def run(results: Mapping[str, Any]) -> Table:
    """Time, memory and environment."""
    return Table(
        "Run",
        ("", "Value"),
        (
            *((n, results[n]) for n in ("experiment", "name", "key") if n in results),
            ("respire", results["respire_version"]),
            ("numerics version", str(results["numerics_version"])),
            *((f"{step} (s)", f"{took:,.1f}") for step, took in results["seconds"].items()),
            ("peak memory (MiB)", f"{results['peak_memory_mib']:,.0f}"),
            *((name, str(value)) for name, value in results["environment"].items()),
            *((f"SHA-256 of {name}", sha) for name, sha in results.get("weights", {}).items()),
        ),
        text_columns=2,
        note="Seconds of the last sitting: what was finished before is only read.",
    )


def different(recipes: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """The first recipe whole, by its dotted fields, and what the others change."""
    flat = {name: flatten(dict(recipe)) for name, recipe in recipes.items()}
    first, *others = flat
    whole = tuple((field, str(value)) for field, value in flat[first].items())
    title = f"Recipe of {first}" if others else "Recipe"
    told = [Table(title, ("Field", "Value"), whole, text_columns=2)]
    changed = tuple(
        (name, field, str(value))
        for name in others
        for field, value in flat[name].items()
        if value != flat[first][field]
    )
    if changed:
        columns = ("Variant", "Field", "Value")
        told.insert(0, Table(f"What differs from {first}", columns, changed, text_columns=3))
    return told
