"""What larger images cost and are worth: stage 1 on each size, one split, one seed."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import matplotlib
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

import respire
from respire.benchmark.input_path import image_size
from respire.command.command import Options
from respire.evaluation.evaluate import baseline_predictions, predict_stages
from respire.experiments.full.summary import train_common
from respire.experiments.full.tables import Table, interval
from respire.metrics import overall, percent
from respire.recipe.recipe import Recipe
from respire.report.style import BASELINE_LINES, COLOURS, RED, STYLE, png
from respire.runtime.resources import PeakMemory
from respire.runtime.session import on_worker
from respire.runtime.storage import Storage
from respire.statistics.intervals import bootstrap
from respire.study.experiment import Run, start_run
from respire.study.progress import EpochReport
from respire.training.loop import Row

EXPERIMENT = "image_size"
FIGURE = "score-by-cost.png"
SCORES = ("se", "sp", "score")


@dataclass(frozen=True)
class _NoteGpuMemory:
    """Reports an epoch, and notes the most memory of the worker's GPU that tensors held."""

    report: EpochReport
    note: Storage

    def __call__(self, row: Row) -> None:
        self.report(row)
        if torch.cuda.is_initialized():
            self.note.write_json(torch.cuda.max_memory_allocated() / 2**20)


def compare_sizes(options: Options, upsamples: Sequence[int]) -> str:
    """Train and score every size, and write results.json, report.md and a figure; resumes.

    Args:
        options: recipe, split, seeds and so on.
        upsamples: how many times the spectrogram is enlarged.

    Returns:
        The report's table.

    Raises:
        InputError: bad input or an unusable setting, found before anything is trained.
    """
    recipes = {upsample: enlarged(options.recipe, upsample) for upsample in sorted(set(upsamples))}
    with start_run(EXPERIMENT, options) as run:
        results = _results(run, [_measure(run, recipe) for recipe in recipes.values()])
        text = table(results).markdown(results["stamps"])
        report = f"# respire · {EXPERIMENT} · {run.name}\n\n{text}\n\n![Score by cost]({FIGURE})\n"
        (run.folder / FIGURE).write_bytes(png(figure(results)))
        (run.folder / "report.md").write_bytes(report.encode())
        (run.folder / "results.json").write_json(results)
        for row in results["sizes"]:
            values = {name: row["test"][name] for name in SCORES} | {"seconds": row["seconds"]}
            run.tracker.log_metrics({f"{_name(row)}.{key}": v for key, v in values.items()})
        run.tracker.log_files(run.folder, "results.json", "report.md", FIGURE)
        run.setting.announce(run.folder / "report.md", run.tracker)
    return text


def enlarged(recipe: Recipe, upsample: int) -> Recipe:
    """The recipe with another enlargement of the same spectrogram."""
    return replace(recipe, features=replace(recipe.features, upsample=upsample))


def table(results: Mapping[str, Any]) -> Table:
    """Cost and worth of every size, the baselines below them."""
    sizes = results["sizes"]
    rows = [
        (
            _name(row),
            *_scores(row["test"]),
            percent(row["selecting"]["score"]),
            f"{row['seconds']:,.1f}",
            f"{row['seconds'] / sizes[0]['seconds']:.2f}",
            f"{row['cycles_per_s']:,.1f}",
            *(
                "–" if row[memory] is None else f"{row[memory]:,.0f}"
                for memory in ("peak_memory_mib", "gpu_peak_mib")
            ),
        )
        for row in sizes
    ]
    rows += [
        (f"baseline: {name}", *_scores(of), *["–"] * 6) for name, of in results["baselines"].items()
    ]
    cycles, patients = (results["split"]["sides"]["test"][of] for of in ("cycles", "patients"))
    return Table(
        "Image size: worth and cost",
        (
            *("Image", "Se (%)", "Sp (%)", "Score (%)", "Interval of Score"),
            f"{results['selection'].capitalize()} Score (%)",
            *("Training (s)", "Times the first", "Cycles a second", "MiB", "GPU MiB"),
        ),
        tuple(rows),
        note=f"n = {cycles:,} test cycles of {patients:,} patients; stage 1, one split, one seed: "
        f"sizes whose intervals (95%, patients resampled) overlap widely are tied. Cost: "
        f"{sizes[0]['epochs']} epochs of training, each with its scoring of the "
        f"{results['selection']} side; MiB: peak of all processes, – where the model was there "
        "already.",
    )


def figure(results: Mapping[str, Any]) -> Figure:
    """Score by seconds of training, with intervals; the baselines as lines."""
    test = results["split"]["sides"]["test"]
    with matplotlib.rc_context(STYLE):
        drawn = Figure(figsize=(6.4, 4.4), layout="constrained", facecolor="white")
        axis = drawn.subplots()
        for row in results["sizes"]:
            seconds, score = row["seconds"], _percent(row["test"]["score"])
            if row["test"]["interval"] is not None:
                low, high = map(_percent, row["test"]["interval"]["score"])
                axis.vlines(seconds, low, high, color=COLOURS[0])
            axis.plot(seconds, score, "o", ms=8, color=COLOURS[0])
            axis.annotate(_name(row), (seconds, score), (8, 4), textcoords="offset points")
        for (name, of), line in zip(results["baselines"].items(), BASELINE_LINES, strict=True):
            axis.axhline(_percent(of["score"]), **line, label=f"baseline: {name}")
        axis.set_xscale("log")
        axis.margins(x=0.3)
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_title(f"Score by cost (n = {test['cycles']:,} test cycles)")
        axis.set_xlabel(f"Training of stage 1 (s), on {results['environment']['device']}")
        axis.set_ylabel("Test Score and its 95% interval (%)")
        drawn.legend(loc="outside lower center", ncols=3)
        if results["stamps"]:
            stamps = "; ".join(results["stamps"]).upper()
            drawn.suptitle(stamps, color="white", weight="bold", backgroundcolor=RED)
    return drawn


def _measure(run: Run, recipe: Recipe) -> dict[str, Any]:
    """Train stage 1 on one size and score it, unless this run did so before."""
    study = replace(run.study, recipe=recipe)
    size = image_size(recipe)
    name = f"{size[0]}x{size[1]}"
    kept = run.folder / "sizes" / f"{name}.json"
    if kept.exists() and kept.read_json()["key"] == study.stage1.key:
        return kept.read_json()
    gpu_note = study.stage1.storage / "gpu-memory.json"
    was_there = study.stage1.exists("fit")
    report = run.on_epoch(name, recipe.optimisation.epochs)
    with run.setting.stopwatch.part(name), PeakMemory() as memory:
        fit = train_common(study, _NoteGpuMemory(report, gpu_note))
    test = study.prepared.read(study.split.test)
    gpu = study.compute.device == "cuda"
    predictions = on_worker(predict_stages, recipe, test, fit.weights, {}, study.compute, gpu=gpu)
    epochs_s = [row["seconds"] for row in fit.history]
    trained_on = study.cycles["recording"].isin(study.split.train).sum()
    assert fit.scores is not None
    row = {
        "upsample": recipe.features.upsample,
        "image": list(size),
        "key": study.stage1.key,
        "epochs": len(epochs_s),
        "epoch": fit.epoch,
        "seconds": sum(epochs_s),
        "epoch_s": statistics.median(epochs_s),
        "cycles_per_s": int(trained_on) / statistics.median(epochs_s),
        "peak_memory_mib": None if was_there else memory.mebibytes,
        "gpu_peak_mib": gpu_note.read_json() if gpu and gpu_note.exists() else None,
        "selecting": fit.scores.to_json(),
        "test": _scored(study.recipe, study.seed, predictions["stage1"]),
    }
    kept.write_json(row)
    return row


def _results(run: Run, sizes: list[dict[str, Any]]) -> dict[str, Any]:
    study = run.study
    sides = [study.prepared.read(side) for side in (study.split.train, study.split.test)]
    gpu = study.compute.device == "cuda"
    with run.setting.stopwatch.part("baselines"):
        baselines = on_worker(baseline_predictions, study.recipe, *sides, study.compute, gpu=gpu)
    return {
        "experiment": EXPERIMENT,
        "name": run.name,
        "respire_version": respire.__version__,
        "recipe": asdict(study.recipe),
        "split": {
            "kind": study.split.kind,
            "split_seed": study.split.split_seed,
            "inner_seed": study.split.inner_seed,
            "training_seed": study.seed,
            "sides": study.split.describe(study.cycles),
        },
        "selection": study.recipe.selection,
        "sizes": sizes,
        "baselines": {
            name: _scored(study.recipe, study.seed, of) for name, of in baselines.items()
        },
        "stamps": list(study.stamps),
        "warnings": list(study.warnings),
        "skipped": list(study.skipped),
        "seconds": run.setting.stopwatch.seconds,
        "environment": {
            "device": study.compute.name,
            "precision": study.compute.precision,
            "workers": study.workers,
            **run.setting.environment,
        },
    }


def _scored(recipe: Recipe, seed: int, predictions: pd.DataFrame) -> dict[str, Any]:
    """Scores with their interval, as results.json keeps them."""
    found = bootstrap(predictions, seed)
    scores = overall(predictions, len(recipe.classes)).to_json()
    return scores | {"interval": None if found is None else found.to_json()}


def _scores(scored: Mapping[str, Any]) -> tuple[str, ...]:
    return (*(percent(scored[name]) for name in SCORES), interval(scored))


def _percent(fraction: float | None) -> float:
    return math.nan if fraction is None else 100 * fraction


def _name(row: Mapping[str, Any]) -> str:
    height, width = row["image"]
    return f"{height}x{width}"
