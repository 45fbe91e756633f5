"""Stage 2 on Ray Tune: one fine-tuning trial a device, all four at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import ray
import torch
from ray import tune

from respire.data.rows import of_device
from respire.errors import InputError
from respire.features.bank import CycleBank
from respire.models.network import Learnt
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute
from respire.runtime.resources import set_up_torch
from respire.runtime.run_folder import RunFolder
from respire.runtime.session import interruptible, on_worker, share
from respire.runtime.storage import Storage
from respire.training.checkpoint import Checkpoints
from respire.training.finetune import DeviceModel, Tuning, choose, finetune, learning_rates
from respire.training.loop import OnEpoch

TUNE = "ray-tune"
"""The folder of Ray Tune's own files, which is there only while trials run."""
CONTEXT = 2**29
"""What CUDA and its libraries take of a GPU for every process, in bytes: about half a GiB."""


@dataclass(frozen=True)
class DeviceCycles:
    """One device's rows to learn from and those whose Score chooses the epoch; may be empty."""

    train: pa.Table
    selector: pa.Table


def each_device(
    train: pa.Table, selector: pa.Table, devices: Sequence[str]
) -> dict[str, DeviceCycles]:
    """The rows of each stethoscope's recordings, every one of ``devices`` a key."""
    return {
        device: DeviceCycles(of_device(train, device), of_device(selector, device))
        for device in devices
    }


@dataclass(frozen=True)
class _Job:
    """One trial to run: a device, a learning rate, and where the run lives."""

    device: str
    learning_rate: float
    cell: RunFolder
    on_epoch: OnEpoch


def train_stage2(
    recipe: Recipe,
    stage1: Learnt,
    devices: Mapping[str, DeviceCycles],
    compute: Compute,
    storage: Storage,
    identity: Mapping[str, Any],
    *,
    seed: int,
    on_epoch: Callable[[str], OnEpoch],
    here: bool = False,
) -> dict[str, DeviceModel]:
    """Fine-tune stage 1's model for every device, four trials at a time or more.

    Fewer, where a GPU has no memory for them. Finished trials are read from their cells;
    interrupted ones go on from where they were saved. All share an identity, to which each adds its
    device and learning rate. ``on_epoch`` gives, for a trial's name, what is called with each
    epoch's row in the trial's process, and must be picklable. With ``here`` the trials run in this
    process, one after the other, and not on Ray Tune.

    Raises:
        InputError: what a trial leaves cannot be kept, or a GPU has no memory for one.
        RuntimeError: a trial failed on Ray Tune; the others' results are kept.
        FloatingPointError: a trial diverged; the others' results are kept.
    """
    jobs = [
        _Job(
            device,
            rate,
            RunFolder(storage, {**identity, "device": device, "learning_rate": rate}),
            on_epoch(trial_name(device, rate, recipe)),
        )
        for device, cycles in devices.items()
        if len(cycles.train)
        for rate in learning_rates(recipe.finetune)
    ]
    waiting = [job for job in jobs if not job.cell.exists("trial")]
    if here:
        for job in waiting:
            _run_trial(job, devices[job.device], recipe, stage1, compute, seed)
    elif waiting:
        _run(waiting, jobs[0].cell.storage, recipe, stage1, devices, compute, seed)
    elif jobs:
        (jobs[0].cell.storage / TUNE).delete()  # what a command left that was killed just now
    models = {}
    for device in devices:
        states = [job.cell.load("trial") for job in jobs if job.device == device]
        trials = [Tuning.from_state(state) for state in states if state is not None]
        models[device] = choose(trials, recipe.selection)
    return models


def trial_name(device: str, learning_rate: float, recipe: Recipe) -> str:
    """The device, and where several learning rates are tried, which."""
    several = recipe.finetune.trials_per_device > 1
    return f"{device} lr {learning_rate:.2g}" if several else device


def _run(
    jobs: list[_Job],
    home: Storage,
    recipe: Recipe,
    stage1: Learnt,
    devices: Mapping[str, DeviceCycles],
    compute: Compute,
    seed: int,
) -> None:
    """Run trials on Ray Tune, whose files are at ``home``; each leaves its result in its cell."""
    slots = max(4, len(devices))
    gpu = compute.device == "cuda"
    part = share(slots, gpu, _trials_per_gpu(recipe, stage1, devices, compute) if gpu else None)
    resources = {"CPU": part.cpus} | ({"GPU": part.gpus} if gpu else {})
    cycles = {device: ray.put(c) for device, c in devices.items()}

    def trial(config: dict[str, Any], learnt: Learnt) -> None:
        job: _Job = jobs[config["job"]]
        set_up_torch(slots)
        data: DeviceCycles = ray.get(cycles[job.device])
        try:
            _run_trial(job, data, recipe, learnt, compute, seed)
            tune.report({"device": job.device})
        except FloatingPointError as error:  # it would diverge again: no second try
            tune.report({"device": job.device, "diverged": str(error)})

    home.hold("fine-tunes this recipe on this split with this seed")
    filesystem, path = home.filesystem()
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(trial, learnt=stage1), resources),
        param_space={"job": tune.grid_search(list(range(len(jobs))))},
        tune_config=tune.TuneConfig(
            max_concurrent_trials=None,
            trial_name_creator=lambda t: f"{jobs[t.config['job']].device}-{t.trial_id}",
            trial_dirname_creator=lambda t: t.trial_id,
        ),
        run_config=tune.RunConfig(
            name=TUNE,
            storage_path=path,
            storage_filesystem=filesystem,
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=3),
        ),
    )
    with interruptible():
        results = tuner.fit()
    errors = [result.error for result in results if result.error is not None]
    ended = [result.metrics or {} for result in results]
    diverged = [f"{of['device']}: {of['diverged']}" for of in ended if "diverged" in of]
    (home / TUNE).delete()
    if diverged:
        raise FloatingPointError("; ".join(diverged))
    if not errors and not all(job.cell.exists("trial") for job in jobs):
        raise KeyboardInterrupt  # Tune ends so when it gets SIGUSR1
    for error in errors:
        if isinstance(cause := getattr(error, "cause", error), InputError):
            raise cause from None
    if errors:
        raise RuntimeError(f"{len(errors)} of {len(jobs)} fine-tuning trials failed") from errors[0]


def _trials_per_gpu(
    recipe: Recipe, stage1: Learnt, devices: Mapping[str, DeviceCycles], compute: Compute
) -> int:
    """How many trials the memory of one GPU holds; says where it is not one of each device."""
    most = max((cycles.train for cycles in devices.values()), key=len)
    needed, free = on_worker(_memory_of_a_trial, recipe, stage1, most, compute, gpu=True)
    room = max(1, free // needed)
    if room < len(devices):
        print(
            f"respire: fine-tuning for a device takes {needed / 2**30:.1f} GiB of a GPU that has "
            f"{free / 2**30:.1f} free: {room} at once on each (more with a smaller "
            f"--recipe.optimisation.batch-size)",
            flush=True,
        )
    return room


def _memory_of_a_trial(
    recipe: Recipe, stage1: Learnt, rows: pa.Table, compute: Compute
) -> tuple[int, int]:
    """Bytes that one epoch of fine-tuning takes of this process's GPU, and those to be had there.

    Raises:
        InputError: it takes more.
    """
    short = replace(recipe, finetune=replace(recipe.finetune, unselected_epochs=1))
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    free = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved() + CONTEXT
    try:
        bank = CycleBank.from_table(rows, recipe.task, compute.device)
        rate = recipe.finetune.learning_rate
        finetune(stage1, bank, None, short, compute, learning_rate=rate, seed=0)
    except torch.OutOfMemoryError as error:
        raise InputError(
            f"the GPU has {free / 2**30:.1f} GiB free, and fine-tuning takes more: choose a "
            f"smaller --recipe.optimisation.batch-size, or --gpu none"
        ) from error
    return torch.cuda.max_memory_reserved() + CONTEXT, free


def _run_trial(
    job: _Job, data: DeviceCycles, recipe: Recipe, stage1: Learnt, compute: Compute, seed: int
) -> None:
    """One trial, from where it was saved if it was interrupted, to its cell."""
    train = CycleBank.from_table(data.train, recipe.task, compute.device)
    selector = None
    if len(data.selector):
        selector = CycleBank.from_table(data.selector, recipe.task, compute.device)
    checkpoints = Checkpoints(job.cell, job.on_epoch)
    result = finetune(
        stage1,
        train,
        selector,
        recipe,
        compute,
        learning_rate=job.learning_rate,
        seed=seed,
        start=checkpoints.start(),
        after_epoch=checkpoints,
    )
    checkpoints.finish("trial", result.fit, result.state)
