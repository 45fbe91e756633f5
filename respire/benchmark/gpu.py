"""Measure and train on a bare GPU machine, reached for minutes, without Ray, MLflow or audio.

    python -m respire.benchmark.gpu pack --data DIR --out FOLDER        # here: cycles-0.zip, ...
    python -m respire.benchmark.gpu measure --out FOLDER --minutes 5.5  # there; needs no data
    python -m respire.benchmark.gpu train --cycles FOLDER/cycles-*.zip --work DIR --out FOLDER

Packing needs the package's own environment; the rest torch, torchvision, NumPy, SciPy, pandas,
pyarrow, psutil, matplotlib and the package's folder. A section is written to OUT/measure.json or
OUT/train.json when it is done, survives the failure of others, and is left out when the minutes are
up. Training stops by itself before they are, goes on from --work, and brings back history.jsonl,
test-predictions.csv.gz and the weights in fp16, in files of 15 MiB. --tiny rehearses it on a CPU.
"""

import argparse
import json
import math
import statistics
import sys
from dataclasses import asdict, replace
from pathlib import Path

import torch

from respire.benchmark.gpu_checks import Day, EarlyStopError, Found, check, machine
from respire.benchmark.packed import pack, unpack
from respire.data.rows import pick
from respire.errors import InputError
from respire.features.bank import CycleBank
from respire.features.pipeline import Pipeline
from respire.metrics import overall
from respire.models.network import respirenet
from respire.recipe.presets import PRESETS
from respire.runtime.resources import set_up_torch
from respire.runtime.run_folder import RunFolder, dump_state
from respire.runtime.storage import Storage
from respire.training.checkpoint import PROGRESS, Checkpoints
from respire.training.loop import Fit, Row, fit
from respire.training.predict import predict

WEIGHTS_BYTES = 15 * 2**20


def train(day: Day) -> Found:
    """Train on the packed cycles as far as the minutes allow, and score the test side."""
    options, compute = day.options, day.compute
    table, meta = unpack(options.cycles)
    recipe = day.recipe(options.recipe)
    if options.epochs:
        settings = replace(recipe.optimisation, epochs=options.epochs)
        recipe = replace(recipe, optimisation=settings)
    described = json.loads(json.dumps(asdict(recipe)))
    if described["preprocess"] != meta["preprocess"]:
        raise InputError("the cycles were prepared by another recipe: pack them again")
    names = table.column("recording").to_pylist()
    banks = {
        side: CycleBank.from_table(
            pick(table, [row for row, name in enumerate(names) if name in set(held)]),
            recipe.task,
            compute.device,
        )
        for side, held in meta["sides"].items()
    }
    torch.manual_seed(options.seed)
    model = replace(recipe.model, weights=options.weights)
    network = respirenet(model, len(recipe.classes))
    folder = RunFolder(
        Storage.at(options.work),
        {"recipe": described, "sides": meta["sides"], "seed": options.seed}
        | {"weights": options.weights, "compute": asdict(compute), "torch": torch.__version__},
    )

    def on_epoch(row: Row) -> None:
        with (options.out / "history.jsonl").open("a") as history:
            history.write(json.dumps(row) + "\n")
        day.say("epoch", row)

    checkpoints = Checkpoints(folder, on_epoch)

    def after_epoch(run: Fit) -> None:
        checkpoints(run)
        slowest_s = max(row["seconds"] for row in run.history)
        if day.left_s() < 3 * slowest_s + 15 and len(run.history) < recipe.optimisation.epochs:
            folder.save(PROGRESS[0], run.state())  # however old the last save
            raise EarlyStopError(len(run.history))

    state = folder.load("fit")
    try:
        run = (
            Fit.from_state(state)
            if state
            else fit(
                network,
                banks["train"],
                banks["validation"],
                recipe,
                recipe.optimisation,
                compute,
                seed=options.seed,
                start=checkpoints.start(),
                after_epoch=after_epoch,
            )
        )
    except EarlyStopError as stopped:
        return {"finished": False, "epochs": stopped.args[0]}
    if not state:
        checkpoints.finish("fit", run, run.state)
    network.load_state_dict(run.weights)
    pipeline = Pipeline(recipe, compute.device)
    predictions = predict(network, pipeline, banks["test"], recipe.classes, compute)
    predictions.to_csv(options.out / "test-predictions.csv.gz", index=False)
    half = {k: v.half() if v.is_floating_point() else v for k, v in run.weights.items()}
    content = dump_state(half)
    for number in range(math.ceil(len(content) / WEIGHTS_BYTES)):
        part = content[number * WEIGHTS_BYTES :][:WEIGHTS_BYTES]
        (options.out / f"weights-fp16.{number}").write_bytes(part)
    scores = overall(predictions, len(recipe.classes))
    epoch_s = statistics.median(row["seconds"] for row in run.history)
    return {
        "finished": True,
        "epoch": run.epoch,
        "validation": None if run.scores is None else run.scores.score,
        "test": {"se": scores.se, "sp": scores.sp, "score": scores.score},
        "epoch_s": epoch_s,
        "windows_per_s": len(banks["train"]) / epoch_s,
    }


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
    missing = {"pack": not options.data, "train": not options.cycles}.get(options.what)
    if missing:
        parser.error(f"{options.what}: give --{'data' if options.what == 'pack' else 'cycles'}")
    return options


def main() -> int:
    """Do what was asked; 1 where a section failed or was left out."""
    options = parse()
    if options.what == "pack":
        recipe = PRESETS[options.recipe]().preprocess
        told = (options.parts, options.split_seed, options.recordings)
        for file in pack(options.data, options.out, recipe, *told):
            print(file, f"{file.stat().st_size / 2**20:.1f} MiB")
        return 0
    set_up_torch()
    day = Day(options)
    day.section("machine", lambda: machine(day.compute))
    if options.what == "train":
        day.section("train", lambda: train(day))
    else:
        check(day, options.recipe)
    day.say("done; errors", list(day.results["errors"]))
    return 1 if day.results["errors"] else 0


if __name__ == "__main__":
    sys.exit(main())
