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
from respire.benchmark.input_path import measure_input
from respire.benchmark.loader import per_sample_loader
from respire.benchmark.noise_bank import noise_bank
from respire.benchmark.report import report
from respire.benchmark.step import measure_step
from respire.data.corpora.corpus import SYNTHETIC
from respire.recipe.recipe import Recipe
from respire.report.page import strict
from respire.runtime.choices import run_name
from respire.runtime.compute import Compute
from respire.runtime.resources import Stopwatch, set_up_torch
from respire.study.place import Place
from respire.training.check import check_network

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
    sizes: Sequence[int] | None = None,
    *,
    quick: bool = False,
    name: str | None = None,
) -> str:
    """Measure the parts, and write results.json, report and figures.

    Args:
        recipe: all that is measured is of it.
        place: storage, processor, and data, whose preparation is measured too if it is a folder.
        parts: "input", "step", "ray", "scaling", "recordings"; the first two import no Ray.
        sizes: how many times the spectrogram is enlarged for the step; None as the recipe says.
        quick: whether little is done.
        name: of the report's folder; None for one made of recipe and processor.

    Returns:
        The report's tables, its conclusion, and where it lies.

    Raises:
        InputError: storage cannot be written, or a recording is bad.
    """
    set_up_torch()
    check_network(recipe)
    compute = Compute.resolve(place.gpu, recipe.optimisation.precision)
    effort = QUICK if quick else Effort()
    if compute.device == "cuda":
        effort = replace(effort, batches=ON_GPU * effort.batches, steps=ON_GPU * effort.steps)
    name = run_name(name, f"{recipe.preset}-{compute.device}")
    folder = place.home / "benchmark" / name
    folder.check_writable()
    stopwatch, work = Stopwatch(), folder / "work"
    measured: dict[str, Any] = {"skipped": []}
    if "input" in parts:
        with stopwatch.part("input"):
            bank = noise_bank(CYCLES, recipe, compute.device)
            done: dict[str, Any] = {"batches": effort.batches, "repeats": effort.repeats}
            measured["input"] = measure_input(recipe, compute, bank, per_sample_loader, **done)
    if "step" in parts:
        with stopwatch.part("step"):
            done = {"steps": effort.steps, "repeats": effort.repeats}
            enlarged = (
                replace(recipe, features=replace(recipe.features, upsample=size))
                for size in sizes or (recipe.features.upsample,)
            )
            measured["step"] = [measure_step(size, compute, **done) for size in enlarged]
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as ray:
        if on_ray := {"ray", "scaling", "recordings"} & set(parts):
            from respire.benchmark.growth import describe, measure_scaling, prepare, small_corpus
            from respire.benchmark.ray_cost import measure_training
            from respire.runtime.session import session

            work.delete()
            with stopwatch.part("ray start"):
                ray.enter_context(session())
        if "ray" in on_ray:
            with stopwatch.part("ray"):
                small = prepare(small_corpus(Path(temporary)), recipe.preprocess, work / "small")
                trained = measure_training(recipe, compute, small, work / "training", effort.epochs)
                measured["ray"] = trained | {"ray_start_s": stopwatch.seconds["ray start"]}
        if "scaling" in on_ray:
            with stopwatch.part("scaling"):
                places = (Path(temporary), work / "scaling")
                done = {"epochs": effort.epochs, "repeats": effort.preparations}
                scaled = measure_scaling(recipe, compute, *places, sizes=effort.sizes, **done)
                measured["scaling"] = scaled
        if "recordings" in on_ray and place.data not in (None, SYNTHETIC):
            with stopwatch.part("recordings"):
                given = (str(place.data), recipe.preprocess)
                runs = [
                    prepare(*given, work / f"recordings-{repeat}", place.skip_bad)
                    for repeat in range(effort.preparations)
                ]
                measured |= {"recordings": describe(runs), "skipped": runs[0].skipped}
    work.delete()
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
    page = report(strict(results))
    page.write(folder)
    tables = [table.markdown() for section in page.sections for table in section.tables]
    return "\n\n".join([*tables, page.lead, f"report: {folder.uri}/report.html"])
