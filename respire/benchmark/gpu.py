"""Measure and train on a bare GPU machine, reached for minutes, without Ray, MLflow or audio.

    python -m respire.benchmark.gpu pack --data DIR --out FOLDER        # here: cycles-*.parquet
    python -m respire.benchmark.gpu measure --out FOLDER --minutes 5.5  # there; needs no data
    python -m respire.benchmark.gpu train --cycles FOLDER/*.parquet --work DIR --out FOLDER

Packing needs the package's own environment; the rest torch, torchvision, NumPy, SciPy, pandas,
pyarrow, psutil, matplotlib and the package's folder. A section is written to OUT/measure.json or
OUT/train.json when it is done, survives the failure of others, and is left out when the minutes are
up. Training stops by itself before they are, goes on from --work, and brings back history.jsonl,
test-predictions.csv.gz and the weights in fp16, in files of 15 MiB. --tiny rehearses it on a CPU.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from respire.benchmark.input_path import measure_input, plan_batches
from respire.benchmark.noise_bank import noise_bank
from respire.benchmark.packed import pack, train
from respire.benchmark.step import measure_step
from respire.features.bank import CycleBank
from respire.features.pipeline import Pipeline, image_size
from respire.models.network import network_input, network_of, on_device
from respire.recipe.presets import PRESETS
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute
from respire.runtime.resources import set_up_torch
from respire.runtime.run_folder import dump_state, load_state
from respire.training.loop import Fit, fit

Found = dict[str, Any]


class Day:
    """The minutes a machine is lent for, and what was found in them.

    Attributes:
        options: as parsed.
        compute: device and precision.
        results: what is written, by section.
    """

    def __init__(self, options: argparse.Namespace):
        self.options, self.ends = options, time.monotonic() + 60 * options.minutes
        self.compute = Compute.resolve("none" if options.tiny else "auto", "auto")
        self.results: Found = {"machine": machine(self.compute), "seconds": {}, "errors": {}}
        options.out.mkdir(parents=True, exist_ok=True)

    def left_s(self) -> float:
        """Seconds until the minutes are up."""
        return float(self.ends - time.monotonic())

    def section(self, name: str, measure: Callable[[], Found], least_s: float = 0) -> None:
        """Do a part, if so many seconds are left, and write what was found or why not."""
        if self.options.only and name not in self.options.only:
            return
        results, left_s = self.results, self.left_s()
        try:
            if left_s < least_s:
                raise TimeoutError(f"left out: under {least_s:.0f} s left")
            results[name] = measure()
        except Exception:  # the others are still to be done
            results["errors"][name] = traceback.format_exc()
        results["seconds"][name] = round(left_s - self.left_s(), 1)
        said = results["errors"].get(name) or json.dumps(results[name], default=str)
        print(f"[{self.left_s():6.1f} s left] {name}: {said}", flush=True)
        file = self.options.out / f"{self.options.what}.json"
        file.write_text(json.dumps(results, indent=1, default=str))
        if self.compute.device == "cuda":
            torch.cuda.empty_cache()

    def recipe(self, name: str) -> Recipe:
        """A preset, as small as a rehearsal needs."""
        recipe = PRESETS[name]()
        if not self.options.tiny:
            return recipe
        image: Found = {"n_mels": 32, "n_fft": 512, "hop": 256, "upsample": 1}
        return replace(
            recipe,
            model=replace(recipe.model, backbone="resnet18"),
            features=replace(recipe.features, window_seconds=2.0, **image),
            optimisation=replace(recipe.optimisation, batch_size=8, epochs=2),
        )

    def amount(self, many: int, few: int) -> int:
        """So much, or in a rehearsal so little."""
        return few if self.options.tiny else many


Section = tuple[str, Callable[[Day, Recipe], Found], str, int]
"""Its name, what measures it, of which preset, and the least seconds that it is begun with."""


def sections(name: str, cuda: bool) -> Iterator[Section]:
    """What is measured of a preset, and of "scratch" too what its network decides."""
    yield "same images", same_images, name, 0
    yield "same logits", same_logits, name, 0
    for preset in dict.fromkeys((name, "scratch")):
        yield f"waits, {preset}", waits, preset, 0
        yield f"input path, {preset}", path, preset, 20
        yield f"loop, {preset}", whole_loop, preset, 20
    yield f"loop, {name}, cudnn.benchmark", partial(whole_loop, way="benchmark"), name, 25
    yield "resumed", resumed, "small", 20
    yield "two ranks", two_ranks, "scratch", 45
    for preset in dict.fromkeys(("scratch", name) if cuda else ()):
        yield f"loop, {preset}, graphed", partial(whole_loop, way="graphed"), preset, 25
    if cuda:
        yield f"loop, {name}, compiled", partial(whole_loop, way="compiled"), name, 100


def machine(compute: Compute) -> Found:
    """Versions and the processor."""
    found = {"torch": torch.__version__, "python": platform.python_version(), **asdict(compute)}
    if compute.device == "cuda":
        found |= {"cudnn": torch.backends.cudnn.version(), "free, total": torch.cuda.mem_get_info()}
    return found


def same_images(day: Day, recipe: Recipe) -> Found:
    """Images of this processor against the CPU's, from the same keys."""
    made = []
    for device in ("cpu", day.compute.device):
        bank, pipeline = noise_bank(day.amount(400, 40), recipe, device), Pipeline(recipe, device)
        chosen, keys = plan_batches(bank, recipe, 1)[0]
        training = pipeline.training_images(bank, chosen, keys)
        made.append((training.cpu(), pipeline.evaluation_images(bank, chosen).cpu()))
    found = {}
    for kind, ours, theirs in zip(("training", "evaluation"), *made, strict=True):
        apart = (ours - theirs).abs()
        share = (apart > 1e-5).float().mean().item()
        found[kind] = {"largest": apart.max().item(), "share apart": share}
    return found


@torch.no_grad()
def same_logits(day: Day, recipe: Recipe) -> Found:
    """Relative error of the network's logits on this processor, by precision."""
    torch.manual_seed(0)
    network = network_of(recipe).eval()
    images = torch.randn(day.amount(8, 2), 3, *image_size(recipe))
    found: Found = {}
    reference = network(images)
    network, images = network.to(day.compute.device), images.to(day.compute.device)
    for precision, tf32 in (("fp32", False), ("fp32", True), ("bf16", True)):
        torch.backends.cudnn.allow_tf32 = tf32
        with torch.autocast(day.compute.device, torch.bfloat16, enabled=precision == "bf16"):
            error = (network(images).float().cpu() - reference).norm() / reference.norm()
        found[f"{precision}, tf32 {tf32}"] = error.item()
    return found


def waits(day: Day, recipe: Recipe) -> Found:
    """Where the host waits for the GPU within an epoch's steps."""
    bank = noise_bank(4 * recipe.optimisation.batch_size, recipe, day.compute.device)
    debug = torch.cuda.set_sync_debug_mode if day.compute.device == "cuda" else str
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        debug("warn")
        fitted(recipe, bank, day.compute, {"epochs": 1})
        debug("default")
    return dict(Counter(f"{Path(at.filename).name}:{at.lineno}" for at in seen))


def path(day: Day, recipe: Recipe) -> Found:
    """The input path, whole, by stage and by effect."""
    bank = noise_bank(day.amount(4142, 60), recipe, day.compute.device)
    effort = {"batches": day.amount(32, 3), "repeats": day.amount(3, 1)}
    return measure_input(recipe, day.compute, bank, None, **effort)


def whole_loop(day: Day, recipe: Recipe, way: str = "") -> Found:
    """fit() with images that are there, with the real path, and the path alone."""
    compute = day.compute
    network = on_device(network_of(recipe), compute.device).train()
    if way == "compiled":
        network.compile()
    if way == "graphed":
        size = (recipe.optimisation.batch_size, 3, *image_size(recipe))
        images = network_input(torch.randn(size, device=compute.device))
        bf16 = compute.precision == "bf16"
        with torch.autocast(compute.device, torch.bfloat16, enabled=bf16, cache_enabled=False):
            torch.cuda.make_graphed_callables(network, (images,))
    effort = {"steps": day.amount(40, 3), "repeats": day.amount(3, 2)}
    torch.backends.cudnn.benchmark = way == "benchmark"
    try:
        return measure_step(recipe, compute, network=network, **effort)
    finally:
        torch.backends.cudnn.benchmark = False


def resumed(day: Day, recipe: Recipe) -> Found:
    """Largest difference of weights: of a run done twice, and of one that was interrupted."""
    bank = noise_bank(day.amount(512, 32), recipe, day.compute.device)
    plain: Found = {"epochs": 3, "schedule": "constant", "optimiser": "sgd"}
    found: Found = {}
    states: list[bytes] = []
    for deterministic in (False, True):
        compute = replace(day.compute, deterministic=deterministic)
        trained = partial(fitted, recipe, bank, compute, plain)
        once = trained(after_epoch=lambda run: states.append(dump_state(run.state())))
        interrupted = Fit.from_state(load_state(states[-plain["epochs"]]))
        for kind, again in (("run twice", trained()), ("interrupted", trained(start=interrupted))):
            apart = max(float((once.weights[k] - v).abs().max()) for k, v in again.weights.items())
            found[f"{kind}, deterministic {deterministic}"] = apart
    return found


def two_ranks(day: Day, recipe: Recipe) -> Found:
    """fit() in two processes on one processor (gloo: NCCL refuses two ranks on one card)."""
    recipe = replace(recipe, model=replace(recipe.model, sync_batchnorm=True))
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(_rank, (folder, recipe, day.compute), 2)
        losses = [json.loads((Path(folder) / f"{rank}.json").read_text()) for rank in range(2)]
    return {"losses": losses, "equal on both": losses[0] == losses[1]}


def _rank(rank: int, folder: str, recipe: Recipe, compute: Compute) -> None:
    torch.distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    bank = noise_bank(48, recipe, compute.device, seed=rank)
    run = fitted(recipe, bank, compute, {"epochs": 2, "batch_size": 16})
    losses = json.dumps([row["train_loss"] for row in run.history])
    (Path(folder) / f"{rank}.json").write_text(losses)
    torch.distributed.destroy_process_group()


def fitted(recipe: Recipe, bank: CycleBank, compute: Compute, changes: Found, **more: Any) -> Fit:
    """fit() from the same initial weights, without a selecting side, its optimisation changed."""
    torch.manual_seed(0)
    settings = replace(recipe.optimisation, **changes)
    return fit(network_of(recipe), bank, None, recipe, settings, compute, seed=0, **more)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        "python -m respire.benchmark.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=["pack", "measure", "train"])
    parser.add_argument("--out", type=Path, required=True, help="folder for what is written")
    parser.add_argument("--recipe", default="paper", choices=PRESETS)
    parser.add_argument("--data", help="pack: recordings in ICBHI's layout")
    parser.add_argument("--parts", type=int, default=2, help="pack: how many files")
    parser.add_argument("--split-seed", type=int, default=0, help="pack: who is in test")
    parser.add_argument("--recordings", type=int, help="pack: about so many only")
    parser.add_argument("--cycles", nargs="+", type=Path, help="train: the parts")
    parser.add_argument("--work", type=Path, default=Path(".gpu/work"), help="train: kept to go on")
    parser.add_argument("--weights", default="none", help="train: a state dict of the backbone")
    parser.add_argument("--epochs", type=int, help="train: in place of the recipe's")
    parser.add_argument("--seed", type=int, default=0, help="train: training seed")
    parser.add_argument("--minutes", type=float, default=8.0, help="by when all is to be done")
    parser.add_argument("--only", nargs="*", help="names of the sections that are wanted")
    parser.add_argument("--tiny", action="store_true", help="rehearse: little of all, on the CPU")
    options = parser.parse_args(arguments)
    needed = {"pack": "data", "train": "cycles"}.get(options.what, "out")
    if not getattr(options, needed):
        parser.error(f"{options.what}: give --{needed}")
    return options


def main() -> int:
    """Do what was asked; 1 where a section failed or was left out."""
    options = parse()
    if options.what == "pack":
        told = (options.parts, options.split_seed, options.recordings)
        for file in pack(options.data, options.out, PRESETS[options.recipe]().preprocess, *told):
            print(file, f"{file.stat().st_size / 2**20:.1f} MiB")
        return 0
    set_up_torch()
    day = Day(options)
    if options.what == "train":
        recipe = day.recipe(options.recipe)
        day.section("train", lambda: train(options, recipe, day.compute, day.left_s))
    else:
        cuda = day.compute.device == "cuda"
        for name, measure, preset, least_s in sections(options.recipe, cuda):
            day.section(name, partial(measure, day, day.recipe(preset)), least_s)
    print("done; errors", list(day.results["errors"]), flush=True)
    return 1 if day.results["errors"] else 0


if __name__ == "__main__":
    sys.exit(main())
