"""Prepared cycles as files that travel, each a part of them, lossless; and training on them."""

import argparse
import json
import math
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from respire.data.rows import blocks_of, in_order, pick
from respire.data.splits.split import SIDES, Cut
from respire.errors import InputError
from respire.evaluation.decided import decided
from respire.features.bank import CycleBank
from respire.metrics import overall
from respire.models.network import respirenet
from respire.recipe.fields import Preprocess
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute
from respire.runtime.run_folder import RunFolder, dump_state
from respire.runtime.storage import Storage
from respire.training.checkpoint import PROGRESS, Checkpoints
from respire.training.loop import Fit, Row, fit
from respire.training.predict import predict

META = b"respire"
"""Where a file keeps which part it is, how its cycles were prepared and who is on which side."""
SMALL: dict[str, Any] = {
    "column_encoding": {"audio.list.element": "DELTA_BINARY_PACKED"},
    "use_dictionary": False,
    "compression": "zstd",
}
"""How audio becomes small: three quarters of its size."""
WEIGHTS_BYTES = 15 * 2**20


class EarlyStopError(Exception):
    """A run was stopped on purpose."""


def pack(
    data: str, out: Path, recipe: Preprocess, parts: int, split_seed: int, recordings: int | None
) -> list[Path]:
    """Prepare recordings and write them in parts, with the sides of an 80-20 split.

    Args:
        data: manifest or folder (data/corpora/corpus.py).
        out: where the parts go.
        recipe: rate and band.
        parts: how many files.
        split_seed: who is in test.
        recordings: about so many only, spread over all; None for all.

    Raises:
        InputError: a recording is bad.
    """
    from respire.data.corpora.corpus import open_corpus  # audio packages are needed here only
    from respire.data.prepare import ERROR, NO_SOUND, by_recording, prepare_block

    cycles = open_corpus(data).cycles
    if recordings:
        names = sorted(cycles["recording"].unique())
        chosen = names[:: max(1, len(names) // recordings)]
        cycles = cycles[cycles["recording"].isin(chosen)].reset_index(drop=True)
    split = Cut(split_seed=split_seed).on(cycles)
    with ThreadPoolExecutor() as pool:
        blocks = blocks_of(by_recording(cycles))
        prepare = partial(prepare_block, recipe=recipe, spectral=False)
        prepared = list(pool.map(prepare, blocks))
    errors = pa.concat_tables(prepared).column(ERROR.name).drop_null().to_pylist()
    if errors:
        raise InputError(errors[0])
    out.mkdir(parents=True, exist_ok=True)
    sides = {side: getattr(split, side) for side in SIDES}
    files = [out / f"cycles-{part}.parquet" for part in range(parts)]
    for part, file in enumerate(files):
        meta = {"part": part, "parts": parts, "preprocess": asdict(recipe), "sides": sides}
        rows = pa.concat_tables(prepared[part::parts] or [prepared[0].slice(0, 0)])
        rows = rows.drop_columns([ERROR.name, NO_SOUND.name]).replace_schema_metadata(
            {META: json.dumps(meta)}
        )
        pq.write_table(rows, file, write_page_checksum=True, **SMALL)
    return files


def unpack(files: Sequence[Path]) -> tuple[pa.Table, dict[str, Any]]:
    """Rows of all parts, sorted by recording, and what META says; every sample is checked.

    Raises:
        InputError: a part is missing or there twice, or is not as it was written.
    """
    tables, metas = [], []
    for file in sorted(files):
        try:
            tables.append(pq.read_table(file, page_checksum_verification=True))
            metas.append(json.loads((tables[-1].schema.metadata or {})[META]))
        except (OSError, pa.ArrowException, KeyError) as error:
            raise InputError(f"{file}: damaged ({error}); pack and carry it again") from error
    parts = sorted(meta["part"] for meta in metas)
    if not metas or parts != list(range(metas[0]["parts"])):
        raise InputError(f"--cycles: parts {parts}; give each part that was packed, once")
    return in_order(pa.concat_tables(tables)), metas[0]


def train(
    options: argparse.Namespace, recipe: Recipe, compute: Compute, left_s: Callable[[], float]
) -> dict[str, Any]:
    """Train on the packed cycles as far as the seconds left allow, and score the test side."""
    table, meta = unpack(options.cycles)
    settings = replace(recipe.optimisation, epochs=options.epochs or recipe.optimisation.epochs)
    model = replace(recipe.model, weights=options.weights)
    recipe = replace(recipe, model=model, optimisation=settings)
    described = json.loads(json.dumps(asdict(recipe)))
    if described["preprocess"] != meta["preprocess"]:
        raise InputError("the cycles were prepared by another recipe: pack them again")
    names = table.column("recording").to_pylist()
    banks = {}
    sides = dict(meta["sides"])
    if recipe.selection == "none":
        sides["train"] = sides["train"] + sides.pop("validation")
    for side, held in sides.items():
        rows = pick(table, [row for row, name in enumerate(names) if name in set(held)])
        banks[side] = CycleBank.from_table(rows, recipe.task, compute.device)
    torch.manual_seed(options.seed)
    network = respirenet(model, len(recipe.classes))
    identity = {"recipe": described, "sides": sides, "seed": options.seed}
    environment = {"compute": asdict(compute), "torch": torch.__version__}
    folder = RunFolder(Storage.at(options.work), identity | environment)

    def on_epoch(row: Row) -> None:
        with (options.out / "history.jsonl").open("a") as history:
            print(json.dumps(row), file=history)
        print(f"[{left_s():6.1f} s left] epoch {row}", flush=True)

    checkpoints = Checkpoints(folder, on_epoch)

    def after_epoch(run: Fit) -> None:
        checkpoints(run)
        slowest_s = max(row["seconds"] for row in run.history)
        if left_s() < 3 * slowest_s + 15 and len(run.history) < settings.epochs:
            folder.save(PROGRESS[0], run.state())  # however old the last save
            raise EarlyStopError(len(run.history))

    if state := folder.load("fit"):
        run = Fit.from_state(state)
    else:
        selector = banks.get(recipe.selection)
        kept: dict[str, Any] = {"start": checkpoints.start(), "after_epoch": after_epoch}
        try:
            run = fit(
                network,
                banks["train"],
                selector,
                recipe,
                settings,
                compute,
                seed=options.seed,
                **kept,
            )
        except EarlyStopError as stopped:
            return {"finished": False, "epochs": stopped.args[0]}
        checkpoints.finish("fit", run, run.state)
    predictions = predict(recipe, banks["test"], run.learnt, compute)
    predictions.to_csv(options.out / "test-predictions.csv.gz", index=False)
    half = {k: v.half() if v.is_floating_point() else v for k, v in run.weights.items()}
    content = dump_state(half)
    for number in range(math.ceil(len(content) / WEIGHTS_BYTES)):
        part = content[number * WEIGHTS_BYTES :][:WEIGHTS_BYTES]
        (options.out / f"weights-fp16.{number}").write_bytes(part)
    epoch_s = statistics.median(row["seconds"] for row in run.history)
    return {
        "finished": True,
        "epoch": run.epoch,
        "validation": None if run.scores is None else run.scores.score,
        "test": overall(decided(predictions), len(recipe.classes)).fractions,
        "epoch_s": epoch_s,
        "windows_per_s": len(banks["train"]) / epoch_s,
    }
