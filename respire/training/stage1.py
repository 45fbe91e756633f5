"""Stage 1 on Ray Train: N workers around fit(), their recordings from Ray Data."""

import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray.exceptions
import ray.train
import torch
import torch.distributed as dist
from pyarrow import fs
from ray.train.torch import TorchTrainer

from respire.data.cycles import PreparedCycles
from respire.data.rows import in_order
from respire.features.bank import CycleBank
from respire.models.network import Weights, network_of
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute
from respire.runtime.resources import set_up_torch
from respire.runtime.run_folder import RunFolder, dump_state, load_state
from respire.runtime.session import interruptible
from respire.runtime.storage import Storage
from respire.training.checkpoint import DAMAGED, PACE, Pace
from respire.training.loop import Fit, OnEpoch, fit
from respire.training.sampling import share_of_batch

CHECKPOINT_FILE = "fit.pt"
ABORT_SECONDS = 3.0
"""How long an interrupted training may take to give back what it holds, before it is killed."""
RETRIES = 3
"""Losses of workers, and errors of theirs, that one trainer bears."""


@dataclass(frozen=True)
class _Work:
    """What every worker needs besides its recordings."""

    recipe: Recipe
    home: Storage
    initial: Weights
    compute: Compute
    seed: int
    on_epoch: OnEpoch
    pace: Pace


class _Trainer(TorchTrainer):
    """Leaves Ctrl-C to us: Train's own handler waits for as long as workers wait for room.

    Attributes:
        controller: the actor that runs the training, once it does.
    """

    controller: Any = None

    def _register_sigint_handler(self, controller: Any) -> None:
        self.controller = controller

    def abort(self) -> None:
        """End the training: it gives back what it holds, or, where it waits, is killed."""
        if self.controller is None:
            return
        with suppress(ray.exceptions.RayError):  # it has ended, or takes too long
            ray.get(self.controller.abort.remote(), timeout=ABORT_SECONDS)
        ray.kill(self.controller)


def train_stage1(
    recipe: Recipe,
    prepared: PreparedCycles,
    train: Sequence[str],
    selector: Sequence[str],
    test: Sequence[str],
    initial: Weights,
    compute: Compute,
    cell: RunFolder,
    *,
    seed: int,
    workers: int,
    on_epoch: OnEpoch,
) -> Fit:
    """Train the common model on all devices (paper 2.1, stage 1).

    A finished cell is returned at once; an interrupted one goes on from its last checkpoint. The
    Score of ``selector``'s recordings chooses the epoch, if there are any; those in test are read
    only if ``recipe.watch_test``, and choose nothing. The global batch stays the recipe's, whatever
    the number of workers. ``on_epoch`` is called on worker 0 with each epoch's row, and must be
    picklable. Workers that are lost, as spot nodes are, are replaced as often as it takes,
    if only a checkpoint is new since the last loss; other errors three times.

    Raises:
        InputError: the workers do not divide the batch, or the storage has no room left.
        FloatingPointError: training diverged.
        ray.train.TrainingFailedError: workers failed more often than is retried.
    """
    folder = cell.storage / "ray-train"
    finished = cell.load("fit")
    if finished is not None:
        folder.delete()  # what a command left that was killed just now
        return Fit.from_state(finished)
    cell.storage.hold("trains this recipe on this split with this seed")
    share_of_batch(recipe.optimisation.batch_size, workers)
    shares: Sequence[Sequence[str]] = [train] * workers
    if recipe.optimisation.bank == "sharded":
        shares = share_recordings(train, workers, seed)
    datasets = {f"train-{rank}": prepared.dataset(share) for rank, share in enumerate(shares)}
    if selector:
        datasets["selector"] = prepared.dataset(selector)
    if recipe.watch_test:
        datasets["watched"] = prepared.dataset(test)
    filesystem, path = cell.storage.filesystem()
    work = _Work(recipe, cell.storage, initial, compute, seed, on_epoch, PACE)
    trainer = _Trainer(
        _train_on_worker,
        train_loop_config={"work": work},
        datasets=datasets,
        dataset_config=ray.train.DataConfig(datasets_to_split=[]),
        scaling_config=ray.train.ScalingConfig(
            num_workers=workers,
            use_gpu=compute.device == "cuda",
            resources_per_worker={"CPU": 1} | ({"GPU": 1} if compute.device == "cuda" else {}),
        ),
        run_config=ray.train.RunConfig(
            name="ray-train",
            storage_path=path,
            storage_filesystem=filesystem,
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=2),
            failure_config=ray.train.FailureConfig(
                max_failures=RETRIES, controller_failure_limit=RETRIES
            ),
        ),
    )
    result = None
    newest: str | None = None
    while result is None:
        try:
            with interruptible():
                result = trainer.fit()
        except KeyboardInterrupt:
            trainer.abort()
            raise
        except ray.train.TrainingFailedError as error:
            cell.check_room(initial)
            before, newest = newest, _newest(folder)
            if not _lost(error) or newest == before:
                raise
    if result.return_value is not None:
        raise result.return_value
    assert result.checkpoint is not None
    run = _read(result.checkpoint)
    run.progress = None
    cell.save("fit", run.state())
    folder.delete()
    return run


def share_recordings(recordings: Sequence[str], workers: int, seed: int) -> list[list[str]]:
    """Give every recording to exactly one worker, in shares as equal as can be.

    Ray Train's own split drops rows to make shares equal. Here a row is a recording, and none may
    be dropped.
    """
    names = sorted(recordings)
    order = np.random.default_rng(seed).permutation(len(names))
    return [[names[index] for index in share] for share in np.array_split(order, workers)]


def _train_on_worker(config: dict[str, Any]) -> Exception | None:
    """What each Ray Train worker runs; returns what ended it that no second try would mend."""
    work: _Work = config["work"]
    context = ray.train.get_context()
    set_up_torch(context.get_local_world_size())
    device = ray.train.torch.get_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    train = _bank(f"train-{context.get_world_rank()}", work, device)
    selector = _bank("selector", work, device) if work.recipe.selection != "none" else None
    watched = _bank("watched", work, device) if work.recipe.watch_test else None
    network = network_of(work.recipe, work.initial)
    start, damaged = _start(ray.train.get_checkpoint())
    first = context.get_world_rank() == 0
    saved = (time.monotonic(), 0.0)

    def after_epoch(run: Fit) -> None:
        nonlocal saved, damaged
        if first:
            work.on_epoch(run.history[-1] | ({DAMAGED: float(damaged)} if damaged else {}))
        damaged = 0
        # Ray takes a report every two seconds: without a checkpoint none is made.
        last = len(run.history) == work.recipe.optimisation.epochs
        if last or _as_the_first(work.pace.due(*saved), device):
            began = time.monotonic()
            _report(run, work.home) if first else ray.train.report({})
            ended = time.monotonic()
            saved = (ended, ended - began)

    given = (network, train, selector, work.recipe, work.recipe.optimisation, work.compute)
    try:
        fit(*given, seed=work.seed, watched=watched, start=start, after_epoch=after_epoch)
    except FloatingPointError as error:
        return error
    except OSError as error:
        if context.get_world_size() > 1:
            raise  # the others wait for this one, until Ray ends them all
        return work.home.refused(error)
    return None


def _as_the_first(decision: bool, device: torch.device) -> bool:
    """The first worker's decision, on every worker."""
    if not dist.is_initialized():
        return decision
    told = torch.tensor(int(decision), device=device)
    dist.broadcast(told, 0)
    return bool(told)


def _report(run: Fit, home: Storage) -> None:
    """Give Ray a checkpoint, which goes to an object store while training goes on."""
    modes, folder = ray.train.CheckpointUploadMode, Path(tempfile.mkdtemp())
    try:
        (folder / CHECKPOINT_FILE).write_bytes(dump_state(run.state()))
        ray.train.report(
            run.history[-1],
            ray.train.Checkpoint.from_directory(folder),
            checkpoint_upload_mode=modes.ASYNC if home.is_object_store else modes.SYNC,
            delete_local_checkpoint_after_upload=True,
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _lost(error: ray.train.TrainingFailedError) -> bool:
    """Whether a worker's process or node went, and not its program."""
    return isinstance(error, ray.train.WorkerGroupError) and any(
        isinstance(getattr(failure, "health_check_failure", failure), ray.exceptions.RayActorError)
        for failure in error.worker_failures.values()
    )


def _newest(folder: Storage) -> str | None:
    """A run's newest checkpoint, if there is one; their names are the times of their making."""
    filesystem, path = folder.filesystem()
    inside = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
    folders = [info.base_name for info in inside if info.type == fs.FileType.Directory]
    return max((name for name in folders if name.startswith("checkpoint_")), default=None)


def _bank(name: str, work: _Work, device: torch.device) -> CycleBank:
    """The recordings of a dataset, in the order of their names.

    A block is copied when it comes, so that the object store, which may be smaller than the
    dataset, need not hold the blocks before it any longer.
    """
    shard = ray.train.get_dataset_shard(name)
    blocks = [
        in_order(block) for block in shard.iter_batches(batch_size=None, batch_format="pyarrow")
    ]
    # Each is a run of the sorted recordings (PreparedCycles.dataset).
    blocks.sort(key=lambda block: block.column("recording")[0].as_py())
    return CycleBank.from_table(pa.concat_tables(blocks), work.recipe.task, device)


def _start(newest: ray.train.Checkpoint | None) -> tuple[Fit | None, int]:
    """Where an interrupted run stood, as far as can be read; and how many checkpoints cannot."""
    if newest is None:
        return None, 0
    beside = newest.filesystem.get_file_info(fs.FileSelector(str(Path(newest.path).parent)))
    # Their names are the times at which they were made.
    kept = sorted((info.path for info in beside if "checkpoint_" in info.path), reverse=True)
    kept = kept[kept.index(newest.path) :]
    for damaged, path in enumerate(kept):
        with suppress(ValueError, OSError):
            return _read(ray.train.Checkpoint(path, newest.filesystem)), damaged
    return None, len(kept)


def _read(checkpoint: ray.train.Checkpoint) -> Fit:
    with checkpoint.as_directory() as folder:
        return Fit.from_state(load_state((Path(folder) / CHECKPOINT_FILE).read_bytes()))
