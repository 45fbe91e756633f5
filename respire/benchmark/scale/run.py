"""Reckon with scale, and report."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import respire
from respire.benchmark.machine import train_flops
from respire.benchmark.scale.needs import Machines, Rates, limits, needs
from respire.benchmark.scale.report import report
from respire.errors import InputError
from respire.features.pipeline import image_size
from respire.models.network import network_of
from respire.recipe.recipe import Recipe
from respire.report.page import strict
from respire.runtime.choices import run_name
from respire.runtime.storage import Storage
from respire.training.check import check_network


def reckon(
    recipe: Recipe,
    hours: Sequence[float],
    workers: Sequence[int],
    machines: Machines,
    measured: Path,
    committed: Path,
    storage: Storage,
    name: str | None = None,
) -> str:
    """Say what runs of many hours need, and write results.json, report and figures.

    Args:
        recipe: its window, image, network and epochs.
        hours: of recordings, rising.
        workers: numbers of training workers.
        machines: all but the workers.
        measured: results.json with the rates, of this experiment or of a benchmark.
        committed: results.json whose rates complete those of a benchmark.
        storage: where results are kept.
        name: of the report's folder.

    Returns:
        The report's conclusion, and where it lies.

    Raises:
        InputError: an hour is not above 0, or there are no rates.
    """
    if not hours or min(hours) <= 0:
        raise InputError("--hours: give some, all above 0")
    check_network(recipe)
    name = run_name(name, "reckoned")
    folder = storage / "scale" / name
    folder.check_writable()
    rates = Rates.read(measured, committed)
    flops = train_flops(recipe, image_size(recipe))
    parameters = sum(parameter.numel() for parameter in network_of(recipe).parameters())
    runs = []
    for number in workers:
        ours = replace(machines, workers=number)
        needed = [needs(size, ours, rates, recipe, flops, parameters) for size in hours]
        full = limits(hours[-1], ours, recipe, needed[-1])
        sizes = [{"hours": h, "needs": of} for h, of in zip(hours, needed, strict=True)]
        runs.append({"workers": number, "sizes": sizes, "limits": [asdict(at) for at in full]})
    results = strict(
        {
            "experiment": "scale",
            "name": name,
            "respire_version": respire.__version__,
            "recipe": asdict(recipe),
            "rates": asdict(rates),
            "machines": asdict(machines),
            "flops": flops,
            "parameters": parameters,
            "runs": runs,
            "skipped": [],
        }
    )
    page = report(results)
    page.write(folder)
    return f"{page.lead}\nreport: {folder.uri}/report.html"
