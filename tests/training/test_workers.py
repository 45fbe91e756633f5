"""Two workers against one, on plain torch.distributed."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from cycle_rows import cycles_table
from torch import Tensor, nn

from respire.errors import InputError
from respire.features.bank import CycleBank
from respire.features.draws import Draws
from respire.features.keyed import sample_keys
from respire.features.pipeline import Pipeline
from respire.models.network import GlobalBatchNorm2d, respirenet
from respire.recipe.fields import Features, Model, Optimisation
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute
from respire.training.loop import Fit, evaluate, fit
from respire.training.sampling import World
from respire.training.stage1 import _as_the_first

WORKERS = 2
CPU = Compute("cpu", "fp32")
SEED = 3
RECIPE = Recipe(
    features=Features(window_seconds=1.0, n_mels=32, hop=128, colour_map="grey", upsample=1),
    model=Model(backbone="resnet18", weights="none", dropout=0.0, sync_batchnorm=True),
    optimisation=Optimisation(
        momentum=0.0, learning_rate=1.0, epochs=1, batch_size=16, bank="replicated"
    ),
)
"""A step of plain SGD at a learning rate of 1 changes the weights by the gradient."""
ONE_STEP = cycles_table([[900, 1500, 1200, 700]] * 4, [[0, 1, 2, 3]] * 4)
SHARES = [cycles_table([[900, 1500, 1200]] * 5, seed=1), cycles_table([[800, 1100]] * 2, seed=2)]
"""Shares of the recordings that differ in size: 15 cycles and 4."""
SELECTOR = cycles_table([[900, 1500, 1200]] * 3, [[0, 1, 2], [0, 3, 1], [0, 0, 2]], seed=5)


def bank(table: Any) -> CycleBank:
    return CycleBank.from_table(table, "4-class")


def network() -> nn.Module:
    """The recipe's network made smooth, so that its gradient is a continuous function.

    Where ReLU and max pooling jump, the last bit of an activation can decide a whole path of the
    gradient: not even fp32 and fp64 then agree to 1e-3.
    """
    torch.manual_seed(0)
    net = respirenet(RECIPE.model, 4)
    for name, module in list(net.named_modules()):
        if isinstance(module, nn.ReLU):
            net.set_submodule(name, nn.SiLU())
        elif isinstance(module, nn.MaxPool2d):
            net.set_submodule(name, nn.AvgPool2d(3, 2, 1))
    return net


def changed(sync_batchnorm: bool = True, **optimisation: object) -> Recipe:
    return dataclasses.replace(
        RECIPE,
        model=dataclasses.replace(RECIPE.model, sync_batchnorm=sync_batchnorm),
        optimisation=dataclasses.replace(RECIPE.optimisation, **optimisation),
    )


@contextmanager
def watched(seen: list[tuple[Tensor, Tensor]]) -> Iterator[None]:
    """Note which cycles are trained on, under which keys."""
    draw = Pipeline.draw

    def noted(self: Pipeline, of: CycleBank, chosen: Tensor, keys: Tensor) -> Iterator[list[Draws]]:
        seen.append((chosen, keys))
        return draw(self, of, chosen, keys)

    with mock.patch.object(Pipeline, "draw", noted):
        yield


def train(recipe: Recipe, train: Any) -> dict[str, Any]:
    """One run, as numbers: what it saw, its history and its weights."""
    seen: list[tuple[Tensor, Tensor]] = []
    with watched(seen):
        run: Fit = fit(
            network(), bank(train), bank(SELECTOR), recipe, recipe.optimisation, CPU, seed=SEED
        )
    (row,) = run.history
    return {
        "cycles": seen[0][0],
        "keys": seen[0][1],
        "row": {name: value for name, value in row.items() if name != "seconds"},
        "confusion": torch.from_numpy(run.scores.confusion),
        "weights": run.weights,
    }


def scored(weights: dict[str, Tensor], world: World = World()) -> dict[str, Any]:  # noqa: B008
    """An evaluation on the selecting side."""
    model = network()
    model.load_state_dict(weights)
    pipeline = Pipeline(RECIPE, "cpu")
    loss, scores = evaluate(
        model, pipeline, bank(SELECTOR), RECIPE, CPU, world, torch.ones(4, dtype=torch.int64)
    )
    return {"loss": loss, "confusion": torch.from_numpy(scores.confusion)}


def joined_batch() -> tuple[Tensor, Tensor]:
    """A batch [6, 3, 4, 5] and the gradient that reaches its normalised values."""
    generator = torch.Generator().manual_seed(1)
    batch = torch.randn(6, 3, 4, 5, generator=generator) * 3 + 1
    return batch, torch.randn(6, 3, 4, 5, generator=generator)


def normalised(norm: nn.BatchNorm2d, batch: Tensor, gradient: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
        norm.bias.copy_(torch.tensor([-1.0, 0.0, 1.0]))
    batch = batch.clone().requires_grad_()
    out = norm(batch)
    out.backward(gradient)
    return {
        "out": out.detach(),
        "batch": batch.grad,
        "weight": norm.weight.grad,
        "bias": norm.bias.grad,
        "running mean": norm.running_mean,
        "running variance": norm.running_var,
        "evaluation": norm.eval()(batch).detach(),
    }


def refusal(attempt: Callable[[], object]) -> str:
    with pytest.raises(InputError) as refused:
        attempt()
    return str(refused.value)


def work(rank: int, folder: str) -> None:
    """Everything that two workers do, in one of the two; they are started once."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=WORKERS
    )
    batch, gradient = (part.chunk(WORKERS)[rank] for part in joined_batch())
    sharded = changed(sync_batchnorm=False, bank="sharded", learning_rate=1e-3, batch_size=8)
    done = {
        "norm": normalised(GlobalBatchNorm2d(3), batch, gradient),
        "replicated": train(RECIPE, ONE_STEP),
        "sharded": train(sharded, SHARES[rank]),
        "in bf16": train(changed(exchange="bf16"), ONE_STEP),
        "scored": scored(network().state_dict(), World(rank, WORKERS)),
        "decided": [_as_the_first(rank == leader, torch.device("cpu")) for leader in (0, 1)],
        "refused": refusal(lambda: train(changed(batch_size=7), ONE_STEP)),
    }
    torch.save(done, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder: Path = tmp_path_factory.mktemp("workers")
    torch.multiprocessing.spawn(work, (str(folder),), WORKERS)
    return [torch.load(folder / f"{rank}.pt") for rank in range(WORKERS)]


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    torch.set_num_threads(1)
    return train(RECIPE, ONE_STEP)


def gradients(run: dict[str, Any]) -> dict[str, Tensor]:
    before = dict(network().named_parameters())
    return {name: parameter.detach() - run["weights"][name] for name, parameter in before.items()}


def test_replicated_workers_see_the_samples_that_one_worker_sees(workers, alone):
    for of in ("cycles", "keys"):
        together = torch.cat([worker["replicated"][of] for worker in workers], 1)
        assert torch.equal(together, alone[of])
    assert torch.equal(alone["keys"], sample_keys(SEED, 1, torch.arange(16))[None])


def test_replicated_workers_take_the_step_that_one_worker_takes(workers, alone):
    expected = gradients(alone)
    assert max(float(gradient.abs().max()) for gradient in expected.values()) > 1e-2
    for worker in workers:
        for name, gradient in gradients(worker["replicated"]).items():
            torch.testing.assert_close(gradient, expected[name], rtol=0, atol=1e-5, msg=name)


def test_gradients_exchanged_in_bf16_are_those_rounded(workers, alone):
    expected = gradients(alone)
    apart = 0.0
    for name, gradient in gradients(workers[0]["in bf16"]).items():
        # Two roundings of 2^-9, of a sum's parts that may be larger than the sum.
        torch.testing.assert_close(gradient, expected[name], rtol=0.02, atol=2e-3, msg=name)
        apart = max(apart, float((gradient - expected[name]).abs().max()))
        assert torch.equal(gradient, gradients(workers[1]["in bf16"])[name])
    assert apart > 1e-5  # what fp32 keeps to


def test_without_shared_batch_statistics_the_step_would_be_another(alone):
    # Each half of the batch is normalised by itself: what sync_batchnorm is there to prevent.
    halves = []
    for half in alone["cycles"][0].chunk(WORKERS):
        net = network().train()
        keys = alone["keys"][0].chunk(WORKERS)[len(halves)]
        images = Pipeline(RECIPE, "cpu").training_images(bank(ONE_STEP), half, keys)
        nn.functional.cross_entropy(net(images), bank(ONE_STEP).label[half]).backward()
        halves.append(net.conv1.weight.grad)
    apart = torch.stack(halves).mean(0)
    assert (apart - gradients(alone)["conv1.weight"]).abs().max() > 1e-3


def test_all_running_statistics_are_shared_too(workers, alone):
    for worker in workers:
        assert worker["replicated"]["weights"].keys() == alone["weights"].keys()
        for name in ("bn1.running_mean", "bn1.running_var", "layer4.1.bn2.running_var"):
            torch.testing.assert_close(
                worker["replicated"]["weights"][name], alone["weights"][name]
            )


def test_training_loss_is_that_of_all_workers(workers, alone):
    for worker in workers:
        assert worker["replicated"]["row"]["train_loss"] == pytest.approx(
            alone["row"]["train_loss"], abs=1e-6
        )


def test_evaluation_over_two_workers_is_that_of_one(workers):
    expected = scored(network().state_dict())
    assert expected["confusion"].sum() == 9  # odd: the workers' parts differ in size
    for worker in workers:
        assert torch.equal(worker["scored"]["confusion"], expected["confusion"])
        assert worker["scored"]["loss"] == pytest.approx(expected["loss"], abs=1e-6)


def test_sharded_workers_see_as_many_windows_though_their_shares_differ(workers):
    cycles = [worker["sharded"]["cycles"] for worker in workers]
    assert cycles[0].shape == cycles[1].shape == (3, 4)  # 19 cycles in batches of 8
    assert all(int(c.max()) < n for c, n in zip(cycles, (15, 4), strict=True))
    keys = torch.cat([worker["sharded"]["keys"] for worker in workers], 1)
    assert torch.equal(keys.flatten(), sample_keys(SEED, 1, torch.arange(24)))


def test_sharded_workers_stay_one_model_with_one_history(workers):
    one, other = (worker["sharded"] for worker in workers)
    assert one["row"] == other["row"]
    assert torch.equal(one["confusion"], other["confusion"])
    assert all(torch.equal(one["weights"][name], other["weights"][name]) for name in one["weights"])


def test_without_shared_batch_statistics_the_scores_are_those_of_the_weights_kept(workers):
    kept = workers[0]["sharded"]
    expected = scored(kept["weights"])
    assert torch.equal(kept["confusion"], expected["confusion"])
    assert kept["row"]["validation_loss"] == pytest.approx(expected["loss"], abs=1e-5)


def test_all_workers_save_when_the_first_one_says_so(workers):
    assert [worker["decided"] for worker in workers] == [[True, False]] * 2


def test_a_batch_that_two_workers_do_not_divide_is_refused_by_each(workers):
    for worker in workers:
        assert "2 workers do not divide the global batch of 7" in worker["refused"]


def test_global_batch_norm_is_batch_norm_of_the_joined_batch(workers):
    expected = normalised(nn.BatchNorm2d(3), *joined_batch())
    parts = [worker["norm"] for worker in workers]
    for name in ("out", "batch", "evaluation"):
        found = torch.cat([part[name] for part in parts])
        np.testing.assert_allclose(found, expected[name], atol=1e-5, err_msg=name)
    for name in ("weight", "bias"):
        found = sum(part[name] for part in parts)
        np.testing.assert_allclose(found, expected[name], atol=1e-5, err_msg=name)
    for name in ("running mean", "running variance"):
        for part in parts:
            np.testing.assert_allclose(part[name], expected[name], rtol=1e-5, err_msg=name)
