"""The input path from cycles to images: windows a second, whole, by stage and by effect."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import fields, replace
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils.data import DataLoader

import respire.features.pipeline as path
from respire.benchmark import machine as floors
from respire.benchmark.timing import Task, Timing, in_turns, memory, over, timed
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
    "draws": ("draw_windows",),
    "gather": ("read",),
    "frequency maps": ("warp_of",),
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
    device, workers, image = compute.device, cores(), image_size(recipe)
    plan = plan_batches(bank, recipe, batches)
    chosen = torch.cat([cycles for cycles, _ in plan]).tolist()
    plain = without_techniques(recipe)
    tasks = {ALL: images(recipe, bank, plan, device), NONE: images(plain, bank, plan, device)}
    tasks[MEL] = _mel(recipe, bank, plan, device)
    if load is not None:
        for name, one in ((ALL, recipe), (NONE, plain)):
            loader = load(bank, one, chosen, workers)
            tasks[f"{PER_SAMPLE}, {name}"] = over(lambda made, _: made.to(device), loader, device)
    paths = in_turns(tasks, len(chosen), repeats)
    singly = {name: images(one, bank, plan, device) for name, one in single_effects(recipe).items()}
    effects = in_turns(singly, len(chosen), repeats)
    stages = _stages(recipe, bank, plan, device, repeats)
    moved, copied = floors.input_bytes(recipe, image), floors.copied_bytes_per_s(device)
    return {
        "image": list(image),
        "batch": recipe.optimisation.batch_size,
        "cycles": len(bank),
        "per_sample_workers": workers,
        "paths": {name: timing.to_json() for name, timing in paths.items()},
        "stages": {name: timing.to_json() for name, timing in stages.items()},
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
        **memory(images(recipe, bank, plan, device), device),
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
        single_effects(recipe)[NONE],
        features=replace(recipe.features, padding="repeat", blank_region="keep"),
        concatenation=Concatenation(scheme="off"),
    )


def single_effects(recipe: Recipe) -> dict[str, Recipe]:
    """The recipe where no window gets any effect, and where every window gets one, by its name."""
    never: dict[str, Any] = {f"{name}_p": 0.0 for name in effect_names()}
    found = {NONE: never} | {name: never | {f"{name}_p": 1.0} for name in effect_names()}
    return {
        name: replace(recipe, augmentation=replace(recipe.augmentation, **chances))
        for name, chances in found.items()
    }


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

    def run(part: Callable[..., Any], stage: str, *arguments: Any) -> Any:
        results = []
        seconds[stage] += timed(lambda: results.append(part(*arguments)), pipeline.device)()
        return results[0]

    with ExitStack() as replaced:
        for stage, names in STAGES.items():
            for name in names:
                owner: Any = pipeline if hasattr(pipeline, name) else path
                clock = partial(run, getattr(owner, name), stage)
                replaced.enter_context(patch.object(owner, name, clock))
        yield seconds


def images(recipe: Recipe, bank: CycleBank, plan: Batches, device: str) -> Task:
    """The whole path over the plan's batches, as a task."""
    return _drawn(Pipeline(recipe, device), bank, plan)


def _stages(
    recipe: Recipe, bank: CycleBank, plan: Batches, device: str, repeats: int
) -> dict[str, Timing]:
    pipeline, turns = Pipeline(recipe, device), []
    task = _drawn(pipeline, bank, plan)
    for _ in range(1 + repeats):
        with clocked(pipeline) as seconds:
            task()
        turns.append(seconds)
    windows = sum(len(chosen) for chosen, _ in plan)
    return {
        stage: Timing(windows, tuple(turn[stage] for turn in turns[1:]))
        for stage in STAGES
        if turns[0][stage] > 0  # not every recipe has every stage
    }


def _drawn(pipeline: Pipeline, bank: CycleBank, plan: Batches) -> Task:
    """As training does it: all that chance decides at first, then batch after batch."""
    chosen, keys = (torch.stack(part) for part in zip(*plan, strict=True))

    def run() -> None:
        for draws in pipeline.draw(bank, chosen, keys):
            pipeline.drawn_images(bank, draws)

    return timed(run, pipeline.device)


def _mel(recipe: Recipe, bank: CycleBank, plan: Batches, device: str) -> Task:
    pipeline = Pipeline(recipe, device)
    waveforms = []
    for chosen, _ in plan:
        splice = pad(bank, chosen, pipeline.window, "repeat")
        waveform = gather(bank, splice, pipeline.window)
        waveforms += waveform.split(pipeline.chunk or len(chosen))
    return over(pipeline.spectrogram, [(waveform,) for waveform in waveforms], device)
