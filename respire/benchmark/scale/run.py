"""Reckon with scale: from options to report, measured first where that is asked for."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil

import respire
from respire.benchmark.input_path import image_size
from respire.benchmark.machine import train_flops
from respire.benchmark.scale.limits import limits
from respire.benchmark.scale.needs import Machines, Rates, needs
from respire.benchmark.scale.page import page
from respire.command.command import Options
from respire.data.corpora.corpus import SYNTHETIC
from respire.errors import InputError
from respire.models.network import respirenet
from respire.report.page import strict
from respire.runtime.storage import Storage

SIZES, QUICK_SIZES = (1, 4, 16), (1, 4)
"""How many times the smallest synthetic corpus the model is held against."""
QUICK_HOURS = 100.0
"""Of the largest catalogue that --quick makes."""


def reckon(
    options: Options,
    hours: Sequence[float],
    workers: Sequence[int],
    machines: Machines,
    measured: Path | None,
    committed: Path,
) -> str:
    """Say what runs of many hours need, and write results.json, report and figures.

    Args:
        options: recipe, storage, name; where rates are measured, data and quick.
        hours: of recordings, rising.
        workers: numbers of training workers.
        machines: all but the workers.
        measured: results.json with the rates; None measures them, and checks the model.
        committed: results.json whose rates complete those of a benchmark.

    Returns:
        The report's conclusion, and where it lies.

    Raises:
        InputError: an hour is not above 0, there are no rates, or nothing to measure them on.
    """
    if not hours or min(hours) <= 0:
        raise InputError("--hours: give some, all above 0")
    recipe = options.recipe
    name = options.name or ("reckoned" if measured else "measured")
    folder = Storage.at(options.storage) / "scale" / name
    folder.check_writable()
    checked: dict[str, Any] = {}
    if measured is None:
        rates, checked = _measure(options, hours, folder / "work")
    else:
        rates = Rates.read(measured, committed)
    flops = train_flops(recipe, image_size(recipe))
    network = respirenet(replace(recipe.model, weights="none"), len(recipe.classes))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    runs = []
    for number in workers:
        ours = replace(machines, workers=number)
        sizes = [
            {"hours": size, "needs": needs(size, ours, rates, recipe, flops, parameters)}
            for size in hours
        ]
        largest: Mapping[str, Any] = sizes[-1]
        full = limits(largest["hours"], ours, recipe, largest["needs"])
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
            **checked,
            "skipped": [],
        }
    )
    report = page(results)
    report.write(folder)
    return f"{report.lead}\nreport: {folder.uri}/report.html"


def _measure(
    options: Options, hours: Sequence[float], work: Storage
) -> tuple[Rates, dict[str, Any]]:
    """The rates of the recordings, and the model held against synthetic corpora and catalogues."""
    from respire.benchmark.scale.check import (
        measure_catalogues,
        measure_corpus,
        measure_growth,
        predicted,
        rates_of,
    )
    from respire.data.corpora import icbhi
    from respire.runtime.resources import Stopwatch
    from respire.runtime.session import session

    if options.data in (None, SYNTHETIC):
        raise InputError("--measure: needs recordings; give their directory with --data")
    recipe, stopwatch = options.recipe, Stopwatch()
    hours = [size for size in hours if not options.quick or size <= QUICK_HOURS]
    work.delete()
    with tempfile.TemporaryDirectory() as temporary, session():
        with stopwatch.part("corpora"):
            growth = measure_growth(
                recipe, Path(temporary), work, QUICK_SIZES if options.quick else SIZES
            )
        with stopwatch.part("recordings"):
            recordings = measure_corpus(str(options.data), recipe, work / "recordings")
    work.delete()
    source = f"{recordings['recordings']:,} recordings, on {os.cpu_count()} shared cores"
    rates = rates_of(recordings, source)
    with stopwatch.part("catalogues"):
        cycles = icbhi.read_catalogue(str(options.data)).cycles
        catalogues = []
        for row in measure_catalogues(cycles, hours, rates, recipe):
            print(
                f"respire: {row['step']} of {row['hours']:g} h, {row['clock_s']:.1f} s", flush=True
            )
            catalogues.append(row)
    rate_hz = recipe.preprocess.sample_rate_hz
    return rates, {
        "recordings": recordings,
        "growth": [row | {"predicted": predicted(row, growth[0], rate_hz)} for row in growth],
        "catalogues": catalogues,
        "seconds": stopwatch.seconds,
        "environment": {
            "cores": os.cpu_count(),
            "memory_gib": psutil.virtual_memory().total / 2**30,
        },
    }
