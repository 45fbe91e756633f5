"""What a bare GPU machine must show within the minutes that it is lent for, without recordings."""

import argparse
import json
import platform
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from respire.benchmark.input_path import measure_input, plan_batches
from respire.benchmark.machine import copied_bytes_per_s, matmul_flops_per_s
from respire.benchmark.noise_bank import noise_bank
from respire.benchmark.step import measure_step
from respire.features.bank import CycleBank
from respire.features.pipeline import Pipeline, image_size
from respire.models.network import respirenet
from respire.recipe.presets import PRESETS
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute, Precision
from respire.runtime.run_folder import dump_state, load_state
from respire.training.loop import Fit, fit

Found = dict[str, Any]


class EarlyStopError(Exception):
    """A run was stopped on purpose."""


class Day:
    """The minutes a machine is lent for, and what was found in them.

    Attributes:
        options: as parsed.
        compute: device and precision.
        results: what is written, by section.
    """

    def __init__(self, options: argparse.Namespace):
        self.options, self.began = options, time.monotonic()
        self.compute = Compute.resolve("none" if options.tiny else "auto", "auto")
        self.results: Found = {"seconds": {}, "errors": {}}
        options.out.mkdir(parents=True, exist_ok=True)

    def left_s(self) -> float:
        """Seconds until the minutes are up."""
        return 60 * self.options.minutes - (time.monotonic() - self.began)

    def say(self, name: str, value: object) -> None:
        """A line on the console, with the time."""
        print(f"[{time.monotonic() - self.began:6.1f} s] {name}: {value}", flush=True)

    def section(self, name: str, measure: Callable[[], Found], least_s: float = 0) -> None:
        """Do a part, if so many seconds are left, and write what was found or why not."""
        if self.options.only and name not in self.options.only:
            return
        began = time.monotonic()
        try:
            if self.left_s() < least_s:
                raise TimeoutError(f"left out: under {least_s:.0f} s left")
            self.results[name] = measure()
            self.say(name, json.dumps(self.results[name], default=str))
        except Exception:  # the others are still to be done
            self.results["errors"][name] = traceback.format_exc()
            self.say(name, self.results["errors"][name])
        self.results["seconds"][name] = round(time.monotonic() - began, 1)
        file = self.options.out / f"{self.options.what}.json"
        file.write_text(json.dumps(self.results, indent=1, default=str))
        if self.compute.device == "cuda":
            torch.cuda.empty_cache()

    def recipe(self, name: str, **optimisation: Any) -> Recipe:
        """A preset, as small as a rehearsal needs."""
        recipe = PRESETS[name]()
        recipe = replace(recipe, model=replace(recipe.model, weights="none"))
        if self.options.tiny:
            small: Found = {"window_seconds": 2.0, "n_mels": 32, "hop": 256, "upsample": 1}
            recipe = replace(
                recipe,
                model=replace(recipe.model, backbone="resnet18"),
                features=replace(recipe.features, **small),
            )
            optimisation = {"batch_size": 8, "epochs": 2} | optimisation
        return replace(recipe, optimisation=replace(recipe.optimisation, **optimisation))

    def amount(self, many: int, few: int) -> int:
        """So much, or in a rehearsal so little."""
        return few if self.options.tiny else many


def check(day: Day, name: str) -> None:
    """Do all of it for a preset, and for "scratch" too what its network decides."""
    day.section("ceilings", lambda: ceilings(day.compute))
    for title, part in (("images", same_images), ("logits", same_logits)):
        day.section(f"same {title}", partial(part, day, day.recipe(name)))
    for preset in dict.fromkeys((name, "scratch")):
        recipe = day.recipe(preset)
        day.section(f"waits, {preset}", partial(waits, day, recipe))
        day.section(f"input path, {preset}", partial(path, day, recipe), 20)
        day.section(f"loop, {preset}", partial(whole_loop, day, recipe), 20)
    recipe = day.recipe(name)
    day.section(f"loop, {name}, cudnn.benchmark", partial(whole_loop, day, recipe, "benchmark"), 25)
    day.section("resumed", lambda: resumed(day), 20)
    day.section("two ranks", lambda: two_ranks(day), 45)
    if day.compute.device == "cuda":
        for preset in dict.fromkeys(("scratch", name)):
            graphed = partial(whole_loop, day, day.recipe(preset), "graphed")
            day.section(f"loop, {preset}, graphed", graphed, 25)
        day.section(f"loop, {name}, compiled", partial(whole_loop, day, recipe, "compiled"), 100)


def machine(compute: Compute) -> Found:
    """Versions and the processor."""
    found = {"torch": torch.__version__, "python": platform.python_version(), **asdict(compute)}
    if compute.device == "cuda":
        found |= {"cudnn": torch.backends.cudnn.version(), "free, total": torch.cuda.mem_get_info()}
    return found


def ceilings(compute: Compute) -> Found:
    """What a large matrix product and a copy reach."""
    return {
        "matmul_tflops": matmul_flops_per_s(compute) / 1e12,
        "copy_gb_s": copied_bytes_per_s(compute.device) / 1e9,
    }


def same_images(day: Day, recipe: Recipe) -> Found:
    """Images of this processor against the CPU's, from the same keys."""
    made = []
    for device in ("cpu", day.compute.device):
        bank, pipeline = noise_bank(day.amount(400, 40), recipe, device), Pipeline(recipe, device)
        chosen, keys = plan_batches(bank, recipe, 1)[0]
        training = pipeline.training_images(bank, chosen, keys)
        made.append((training.cpu(), pipeline.evaluation_images(bank, chosen).cpu()))
    apart = {
        kind: (ours - theirs).abs()
        for kind, ours, theirs in zip(("training", "evaluation"), *made, strict=True)
    }
    return {
        kind: {"largest": far.max().item(), "share apart": (far > 1e-5).float().mean().item()}
        for kind, far in apart.items()
    }


def same_logits(day: Day, recipe: Recipe) -> Found:
    """Relative error of the network's logits on this processor, by precision."""
    torch.manual_seed(0)
    network = respirenet(recipe.model, len(recipe.classes)).eval()
    images = torch.randn(day.amount(8, 2), 3, *image_size(recipe))
    found: Found = {}
    with torch.no_grad():
        reference = network(images)
        network, images = network.to(day.compute.device), images.to(day.compute.device)
        ways: tuple[tuple[Precision, bool], ...] = (("fp32", False), ("fp32", True), ("bf16", True))
        for precision, tf32 in ways:
            torch.backends.cudnn.allow_tf32 = tf32
            with replace(day.compute, precision=precision).autocast():
                error = (network(images).float().cpu() - reference).norm() / reference.norm()
            found[f"{precision}, tf32 {tf32}"] = error.item()
    return found


def waits(day: Day, recipe: Recipe) -> Found:
    """Where the host waits for the GPU within an epoch's steps."""
    recipe = replace(recipe, optimisation=replace(recipe.optimisation, epochs=1))
    bank = noise_bank(4 * recipe.optimisation.batch_size, recipe, day.compute.device)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        if day.compute.device == "cuda":
            torch.cuda.set_sync_debug_mode("warn")
        _fit(recipe, bank, day.compute)
        if day.compute.device == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    return dict(Counter(f"{Path(at.filename).name}:{at.lineno}" for at in seen))


def path(day: Day, recipe: Recipe) -> Found:
    """The input path, whole, by stage and by effect."""
    bank = noise_bank(day.amount(4142, 60), recipe, day.compute.device)
    effort = {"batches": day.amount(32, 3), "repeats": day.amount(3, 1)}
    return measure_input(recipe, day.compute, bank, None, **effort)


def whole_loop(day: Day, recipe: Recipe, way: str = "") -> Found:
    """fit() with images that are there, with the real path, and the path alone."""
    compute = day.compute
    network = respirenet(recipe.model, len(recipe.classes)).to(compute.device)
    network = network.to(memory_format=torch.channels_last).train()
    if way == "compiled":
        network.compile()
    if way == "graphed":
        size = (recipe.optimisation.batch_size, 3, *image_size(recipe))
        images = torch.randn(size, device=compute.device)
        images = images.contiguous(memory_format=torch.channels_last)
        bf16 = compute.precision == "bf16"
        with torch.autocast(compute.device, torch.bfloat16, enabled=bf16, cache_enabled=False):
            torch.cuda.make_graphed_callables(network, (images,))
    torch.backends.cudnn.benchmark = way == "benchmark"
    try:
        steps, repeats = day.amount(40, 3), day.amount(3, 2)
        return measure_step(recipe, compute, steps=steps, repeats=repeats, network=network)
    finally:
        torch.backends.cudnn.benchmark = False


def resumed(day: Day) -> Found:
    """Largest difference of weights: of a run done twice, and of one that was interrupted."""
    recipe = day.recipe("small", epochs=3, schedule="constant", optimiser="sgd")
    bank = noise_bank(day.amount(512, 32), recipe, day.compute.device)

    def stopped() -> Fit:
        kept: list[bytes] = []

        def stop(run: Fit) -> None:
            kept.append(dump_state(run.state()))
            raise EarlyStopError

        try:
            _fit(recipe, bank, day.compute, after_epoch=stop)
        except EarlyStopError:
            return Fit.from_state(load_state(kept[0]))
        raise AssertionError("no epoch was trained")

    found: Found = {}
    for deterministic in (False, True):
        torch.backends.cudnn.deterministic = deterministic
        once, twice = (_fit(recipe, bank, day.compute).weights for _ in range(2))
        again = _fit(recipe, bank, day.compute, start=stopped()).weights
        for kind, other in (("run twice", twice), ("interrupted", again)):
            apart = max(float((once[key] - other[key]).abs().max()) for key in once)
            found[f"{kind}, deterministic {deterministic}"] = apart
    torch.backends.cudnn.deterministic = False
    return found


def two_ranks(day: Day) -> Found:
    """fit() in two processes on one processor (gloo: NCCL refuses two ranks on one card)."""
    recipe = day.recipe("scratch", epochs=2, batch_size=16)
    recipe = replace(recipe, model=replace(recipe.model, sync_batchnorm=True))
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(_rank, (folder, recipe, day.compute), 2)
        losses = [json.loads((Path(folder) / f"{rank}.json").read_text()) for rank in range(2)]
    return {"losses": losses, "equal on both": losses[0] == losses[1]}


def _rank(rank: int, folder: str, recipe: Recipe, compute: Compute) -> None:
    torch.distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    run = _fit(recipe, noise_bank(48, recipe, compute.device, seed=rank), compute)
    losses = json.dumps([row["train_loss"] for row in run.history])
    (Path(folder) / f"{rank}.json").write_text(losses)
    torch.distributed.destroy_process_group()


def _fit(recipe: Recipe, bank: CycleBank, compute: Compute, **more: Any) -> Fit:
    torch.manual_seed(0)
    network = respirenet(recipe.model, len(recipe.classes))
    return fit(network, bank, None, recipe, recipe.optimisation, compute, seed=0, **more)
