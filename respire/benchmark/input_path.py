"""The input path from cycles to images: windows a second, whole, by stage and by effect."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

import respire.features.pipeline as path
from respire.benchmark import machine as floors
from respire.benchmark.timing import Task, Timing, gpu_peak_mib, in_turns, peak_mib, timed
from respire.features.bank import CycleBank
from respire.features.keyed import sample_keys
from respire.features.pipeline import Pipeline, image_size
from respire.features.splice import gather, pad
from respire.recipe.fields import Augmentation, Concatenation
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute
from respire.runtime.resources import cores
from respire.training.sampling import World, plan_epoch

Batches = Sequence[tuple[Tensor, Tensor]]
"""Cycles and keys of each batch, int64 [b] each, in host memory."""
Load = Callable[[CycleBank, Recipe, Sequence[int], int], DataLoader]
"""Makes a loader of the images of some cycles by other means, in so many processes."""

STAGES = {
    "splice and CBA draws": ("concatenate", "pad"),
    "gather": ("gather",),
    "effect draws": ("draw_effects", "warp_of"),
    "waveform effects": ("augment_waveforms",),
    "log-mel": ("spectrogram",),
    "shades": ("shades",),
    "blank region clipping": ("blank_region",),
    "level rows": ("level",),
    "masks": ("mask_spectrograms",),
    "colour and enlargement": ("palette",),
}
"""Stages of the path and the functions of features/pipeline.py, or parts of its Pipeline, that each
consists of."""

ALL, NONE = "all techniques", "no technique"
MEL = "log-mel alone"
PER_SAMPLE = "per sample"
"""Prefix of the same by the loader that is compared with."""


def measure_input(
    recipe: Recipe,
    compute: Compute,
    bank: CycleBank,
    load: Load | None,
    *,
    batches: int,
    repeats: int,
) -> dict[str, Any]:
    """Time the path, its stages and effects, and another loader of the same images.

    Args:
        recipe: the techniques and the image.
        compute: device.
        bank: the cycles, on the device.
        load: the other loader, if any; its images are moved to the device too.
        batches: batches of the recipe's size in each repeat.
        repeats: repeats of everything.

    Returns:
        The part "input" of results.json.
    """
    plan = plan_batches(bank, recipe, batches)
    workers = cores()
    paths = _paths(recipe, bank, plan, compute, load, workers, repeats)
    effects = _effects(recipe, bank, plan, compute, repeats)
    image = image_size(recipe)
    moved = floors.input_bytes(recipe, image)
    copied = floors.copied_bytes_per_s(compute.device)
    return {
        "image": list(image),
        "batch": recipe.optimisation.batch_size,
        "cycles": len(bank),
        "per_sample_workers": workers,
        "paths": {name: timing.to_json() for name, timing in paths.items()},
        "stages": {
            name: timing.to_json()
            for name, timing in _stages(recipe, bank, plan, compute, repeats).items()
        },
        "effects": {
            name: timing.to_json() | {"of_no_effect": timing.times_as_fast_as(effects[NONE])}
            for name, timing in effects.items()
        },
        "all_techniques_of": {
            name: paths[ALL].times_as_fast_as(paths[name]) for name in (NONE, MEL)
        },
        "times_per_sample": {
            name: paths[name].times_as_fast_as(paths[f"{PER_SAMPLE}, {name}"])
            for name in (ALL, NONE)
            if load is not None
        },
        "floor": {
            "bytes_a_window": moved,
            "copied_bytes_per_s": copied,
            "per_s": copied / moved,
            "reached": paths[ALL].best_per_s * moved / copied,
        },
        "peak_memory_mib": peak_mib(_images(recipe, bank, plan, compute)),
        "gpu_peak_mib": gpu_peak_mib(compute.device),
    }


def plan_batches(bank: CycleBank, recipe: Recipe, batches: int) -> Batches:
    """The first batches of an epoch, as training would draw them."""
    size, seed, epoch = recipe.optimisation.batch_size, 0, 1
    plan = plan_epoch(bank, batches * size, size, seed, epoch, World(), shard=False)
    return [
        (cycle, sample_keys(seed, epoch, sample))
        for cycle, sample in zip(plan.cycle, plan.sample, strict=True)
    ]


def without_techniques(recipe: Recipe) -> Recipe:
    """The recipe with repetition as padding and nothing else of paper 2.1."""
    return replace(
        recipe,
        features=replace(recipe.features, padding="repeat", blank_region="keep"),
        concatenation=Concatenation(scheme="off"),
        augmentation=without_effects(recipe.augmentation),
    )


def without_effects(augmentation: Augmentation) -> Augmentation:
    """No window gets any effect."""
    never: dict[str, Any] = {f"{name}_p": 0.0 for name in effect_names()}
    return replace(augmentation, **never)


def effect_names() -> list[str]:
    """The effects, as the recipe names them."""
    return [f.name.removesuffix("_p") for f in fields(Augmentation) if f.name.endswith("_p")]


@contextmanager
def clocked(pipeline: Pipeline) -> Iterator[dict[str, float]]:
    """Add up the seconds that each stage takes, in whatever the pipeline does within the block.

    The path itself runs, with a clock around its parts; on a GPU one stage is waited for before the
    next begins.
    """
    seconds = dict.fromkeys(STAGES, 0.0)
    replaced = []
    for stage, names in STAGES.items():
        for name in names:
            owner: Any = pipeline if hasattr(pipeline, name) else path
            replaced.append((owner, name, getattr(owner, name)))
            setattr(owner, name, _clocked(replaced[-1][2], stage, seconds, pipeline.device))
    try:
        yield seconds
    finally:
        for owner, name, part in replaced:
            setattr(owner, name, part)


def _clocked(
    part: Callable[..., Any], stage: str, seconds: dict[str, float], device: torch.device
) -> Callable[..., Any]:
    def run(*arguments: Any) -> Any:
        results = []
        seconds[stage] += timed(lambda: results.append(part(*arguments)), device)()
        return results[0]

    return run


def _paths(
    recipe: Recipe,
    bank: CycleBank,
    plan: Batches,
    compute: Compute,
    load: Load | None,
    workers: int,
    repeats: int,
) -> dict[str, Timing]:
    """The whole path with and without techniques, the same by the other loader, and one stage."""
    recipes = {ALL: recipe, NONE: without_techniques(recipe)}
    chosen = torch.cat([cycles for cycles, _ in plan]).tolist()
    tasks = {name: _images(one, bank, plan, compute) for name, one in recipes.items()}
    tasks[MEL] = _mel(recipe, bank, plan, compute)
    for name, one in recipes.items():
        if load is not None:
            loader = load(bank, one, chosen, workers)
            tasks[f"{PER_SAMPLE}, {name}"] = _loaded(loader, compute)
    return in_turns(tasks, dict.fromkeys(tasks, len(chosen)), repeats)


def _stages(
    recipe: Recipe, bank: CycleBank, plan: Batches, compute: Compute, repeats: int
) -> dict[str, Timing]:
    pipeline = Pipeline(recipe, compute.device)
    turns = []
    for _ in range(1 + repeats):
        with clocked(pipeline) as seconds:
            for chosen, keys in plan:
                pipeline.training_images(bank, chosen, keys)
        turns.append(seconds)
    windows = sum(len(chosen) for chosen, _ in plan)
    return {
        stage: Timing(windows, tuple(turn[stage] for turn in turns[1:]))
        for stage in STAGES
        if turns[0][stage] > 0  # not every recipe has every stage
    }


def _effects(
    recipe: Recipe, bank: CycleBank, plan: Batches, compute: Compute, repeats: int
) -> Mapping[str, Timing]:
    """The whole path with no effect, and with each effect alone on every window."""
    none = without_effects(recipe.augmentation)
    chosen = {NONE: none}
    for name in effect_names():
        always: dict[str, Any] = {f"{name}_p": 1.0}
        chosen[name] = replace(none, **always)
    tasks = {
        name: _images(replace(recipe, augmentation=augmentation), bank, plan, compute)
        for name, augmentation in chosen.items()
    }
    windows = sum(len(cycles) for cycles, _ in plan)
    return in_turns(tasks, dict.fromkeys(tasks, windows), repeats)


def _images(recipe: Recipe, bank: CycleBank, plan: Batches, compute: Compute) -> Task:
    pipeline = Pipeline(recipe, compute.device)

    def images() -> None:
        for chosen, keys in plan:
            pipeline.training_images(bank, chosen, keys)

    return timed(images, compute.device)


def _mel(recipe: Recipe, bank: CycleBank, plan: Batches, compute: Compute) -> Task:
    pipeline = Pipeline(recipe, compute.device)
    waveforms = [
        part
        for chosen, _ in plan
        for part in gather(
            bank, pad(bank, chosen, pipeline.window, "repeat"), pipeline.window
        ).split(pipeline.chunk or len(chosen))
    ]

    def spectrograms() -> None:
        for waveform in waveforms:
            pipeline.spectrogram(waveform)

    return timed(spectrograms, compute.device)


def _loaded(loader: DataLoader, compute: Compute) -> Task:
    def load() -> None:
        for images, _ in loader:
            images.to(compute.device)

    return timed(load, compute.device)
