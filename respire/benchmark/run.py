"""Run a benchmark, from parts to report."""

import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import respire
from respire.benchmark.figures import figures
from respire.benchmark.input_path import Load, measure_input
from respire.benchmark.noise_bank import noise_bank
from respire.benchmark.step import measure_step
from respire.benchmark.tables import tables
from respire.data.corpora.corpus import SYNTHETIC
from respire.recipe.recipe import Recipe
from respire.report.style import png
from respire.runtime.compute import Compute
from respire.runtime.resources import Stopwatch, set_up_torch
from respire.runtime.storage import Storage
from respire.study.place import Place

CYCLES = 4142
"""Cycles of the input path's bank: as many as the official training side has."""


@dataclass(frozen=True)
class Effort:
    """How much is done to measure.

    Attributes:
        batches: batches that a repeat takes through the input path.
        steps: train steps of a repeat.
        repeats: repeats of both.
        epochs: epochs that count, of plain and of Ray's training.
        sizes: how many times the smallest corpus, rising.
        preparations: repeats of preparing recordings.
    """

    batches: int = 8
    steps: int = 5
    repeats: int = 5
    epochs: int = 6
    sizes: tuple[int, ...] = (1, 4, 16)
    preparations: int = 2


QUICK = Effort(batches=2, steps=2, repeats=2, epochs=2, sizes=(1, 4), preparations=1)
ON_GPU = 16
"""How many times the batches and steps a GPU is given, which is done with one in milliseconds."""


def measure(
    recipe: Recipe,
    place: Place,
    parts: Sequence[str],
    load: Load,
    *,
    quick: bool = False,
    name: str | None = None,
) -> str:
    """Measure the parts, and write results.json, report.md and figures.

    Args:
        recipe: all that is measured is of it.
        place: storage, processor, and data, whose preparation is measured too if it is a folder.
        parts: "input", "step", "nodes", "ray", "scaling", "recordings"; the first two import no
            Ray.
        load: makes the loader that the input path is compared with.
        quick: whether little is done.
        name: of the report's folder; None for one made of recipe and processor.

    Returns:
        The report's tables.

    Raises:
        InputError: storage cannot be written, or a recording is bad.
    """
    set_up_torch()
    compute = Compute.resolve(place.gpu, recipe.optimisation.precision)
    effort = QUICK if quick else Effort()
    if compute.device == "cuda":
        effort = replace(effort, batches=ON_GPU * effort.batches, steps=ON_GPU * effort.steps)
    name = name or f"{recipe.preset}-{compute.device}"
    folder = place.home / "benchmark" / name
    folder.check_writable()
    stopwatch = Stopwatch()
    measured: dict[str, Any] = {}
    if "input" in parts:
        with stopwatch.part("input"):
            bank = noise_bank(CYCLES, recipe, compute.device)
            measured["input"] = measure_input(
                recipe, compute, bank, load, batches=effort.batches, repeats=effort.repeats
            )
    if "step" in parts:
        with stopwatch.part("step"):
            measured["step"] = measure_step(
                recipe, compute, steps=effort.steps, repeats=effort.repeats
            )
    if "nodes" in parts:
        with stopwatch.part("nodes"):
            measured["nodes"] = _measure_nodes(recipe, folder / "work", effort)
    if {"ray", "scaling", "recordings"} & set(parts):
        measured |= _measure_on_ray(
            recipe, place, parts, compute, effort, folder / "work", stopwatch
        )
    results = {
        "experiment": "benchmark",
        "name": name,
        "respire_version": respire.__version__,
        "recipe": asdict(recipe),
        "effort": asdict(effort),
        "environment": {
            "device": compute.name,
            "precision": compute.precision,
            "threads": torch.get_num_threads(),
            **{package: version(package) for package in ("torch", "numpy", "librosa")},
            "python": sys.version.split()[0],
        },
        "seconds": stopwatch.seconds,
        **measured,
    }
    return _write(results, folder)


def _measure_on_ray(
    recipe: Recipe,
    place: Place,
    parts: Sequence[str],
    compute: Compute,
    effort: Effort,
    work: Storage,
    stopwatch: Stopwatch,
) -> dict[str, Any]:
    """The parts that need Ray, which is imported here for their sake only."""
    from respire.benchmark.growth import measure_scaling, small_corpus
    from respire.benchmark.preparation import describe, prepare
    from respire.benchmark.ray_cost import measure_training
    from respire.runtime.session import session

    measured: dict[str, Any] = {}
    work.delete()
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as ray:
        folder = Path(temporary)
        with stopwatch.part("ray start"):
            ray.enter_context(session())
        if "ray" in parts:
            with stopwatch.part("ray"):
                small = prepare(small_corpus(folder), recipe.preprocess, work / "small")
                measured["ray"] = measure_training(
                    recipe, compute, small, work / "training", effort.epochs
                ) | {"ray_start_s": stopwatch.seconds["ray start"]}
        if "scaling" in parts:
            with stopwatch.part("scaling"):
                measured["scaling"] = measure_scaling(
                    recipe,
                    compute,
                    folder,
                    work / "scaling",
                    sizes=effort.sizes,
                    epochs=effort.epochs,
                    repeats=effort.preparations,
                )
        if "recordings" in parts and place.data not in (None, SYNTHETIC):
            with stopwatch.part("recordings"):
                measured["recordings"] = describe(
                    [
                        prepare(
                            str(place.data),
                            recipe.preprocess,
                            work / f"recordings-{repeat}",
                            place.skip_bad,
                        )
                        for repeat in range(effort.preparations)
                    ]
                )
    work.delete()
    return measured


def _measure_nodes(recipe: Recipe, work: Storage, effort: Effort) -> dict[str, Any]:
    """In a Ray of its own."""
    from respire.benchmark.nodes import measure_nodes

    work.delete()
    measured = measure_nodes(recipe, Storage(f"file://{work.uri}"), effort.epochs)
    work.delete()
    return measured


def _write(results: dict[str, Any], folder: Storage) -> str:
    """Write figures, report.md and, last, results.json; returns the tables."""
    drawn = figures(results)
    for file, figure in drawn.items():
        (folder / file).write_bytes(png(figure))
    text = "\n\n".join(table.markdown() for table in tables(results))
    pictures = [f"![{file.removesuffix('.png')}]({file})" for file in drawn]
    title = f"# respire · benchmark · {results['name']}"
    (folder / "report.md").write_bytes(("\n\n".join([title, text, *pictures]) + "\n").encode())
    (folder / "results.json").write_json(results)
    return text
