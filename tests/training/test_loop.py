import dataclasses

import numpy as np
import pytest
import torch
from cycle_rows import cycles_table
from tiny_fit import CPU, RECIPE

from respire.errors import InputError
from respire.evaluation.decided import decided
from respire.features.bank import CycleBank
from respire.features.pipeline import Pipeline
from respire.metrics import Scores, overall
from respire.models.network import Learnt, respirenet
from respire.recipe.fields import Optimisation
from respire.runtime.run_folder import dump_state, load_state
from respire.training import loop
from respire.training.loop import HOST_BANK, Fit, _better, evaluate, fit
from respire.training.optimiser import optimiser_of
from respire.training.predict import predict
from respire.training.sampling import World

FAST = dataclasses.replace(
    RECIPE,
    model=dataclasses.replace(RECIPE.model, backbone="shufflenet_v2_x0_5"),
    optimisation=dataclasses.replace(RECIPE.optimisation, epochs=4, learning_rate=1e-2),
)
"""A fifth of the time for an epoch, where only the mechanics matter."""
TRAIN = CycleBank.from_table(cycles_table([[2000, 3000, 4000, 2500]] * 30, seed=1), "4-class")
VALIDATION = CycleBank.from_table(cycles_table([[2200, 3100, 3500]] * 10, seed=2), "4-class")
TEST = CycleBank.from_table(cycles_table([[2100, 3300, 2700]] * 8, seed=6), "4-class")


def train(recipe=FAST, selector=VALIDATION, seed=0, compute=CPU, **more) -> Fit:
    torch.manual_seed(seed)
    network = respirenet(recipe.model, 4)
    return fit(network, TRAIN, selector, recipe, recipe.optimisation, compute, seed=seed, **more)


@pytest.fixture(scope="module")
def whole() -> Fit:
    torch.set_num_threads(1)
    return train()


def weights_equal(one: Fit, other: Fit) -> bool:
    return all(torch.equal(one.weights[k], other.weights[k]) for k in one.weights)


def without_seconds(run: Fit) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in run.history]


def test_clicks_and_tones_are_learned():
    torch.set_num_threads(1)
    learned = train(RECIPE)
    assert learned.history[-1]["train_loss"] < 0.75 * learned.history[0]["train_loss"]
    assert learned.scores.score > 0.7


def test_one_cycle_moves_the_first_beta_of_adamw_and_leaves_the_momentum_of_sgd() -> None:
    def momenta(optimisation: Optimisation) -> list[float]:
        optimiser, schedule = optimiser_of(torch.nn.Linear(2, 2), optimisation, steps=5)
        seen = []
        for _ in range(10):
            group = optimiser.param_groups[0]
            seen.append(group["momentum"] if "momentum" in group else group["betas"][0])
            optimiser.step()
            schedule.step()
        return seen

    cycle = Optimisation(schedule="one-cycle", epochs=2, momentum=0.3)
    assert momenta(dataclasses.replace(cycle, optimiser="sgd")) == [0.3] * 10
    assert min(momenta(dataclasses.replace(cycle, optimiser="adamw"))) == pytest.approx(
        0.85, abs=0.01
    )


def test_where_test_selects_the_rows_say_so() -> None:
    one_epoch = dataclasses.replace(FAST.optimisation, epochs=1)
    (row,) = train(dataclasses.replace(FAST, optimisation=one_epoch, selection="test")).history
    assert {"test_loss", "test_se", "test_sp", "test_score"} < set(row)
    assert not any(name.startswith("validation") for name in row)


def test_the_best_validation_epoch_is_kept_and_the_earliest_of_equals(whole):
    scores = [row["validation_score"] for row in whole.history]
    assert whole.epoch == scores.index(max(scores)) + 1
    assert whole.scores.score == max(scores)
    assert np.count_nonzero(whole.scores.confusion.sum(0)) > 1  # not one class for all
    predictions = decided(predict(FAST, VALIDATION, whole.learnt, CPU))
    assert (overall(predictions, 4).confusion == whole.scores.confusion).all()
    probabilities = predictions[[f"p_{name}" for name in FAST.classes]]
    assert probabilities.sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)


def test_the_same_seed_gives_the_same_run_and_another_seed_another():
    short = dataclasses.replace(FAST, optimisation=dataclasses.replace(FAST.optimisation, epochs=1))
    one, same, other = train(short), train(short), train(short, seed=1)
    assert without_seconds(one) == without_seconds(same)
    assert weights_equal(one, same)
    assert without_seconds(one) != without_seconds(other)


@pytest.mark.parametrize("wanted", [True, False])
def test_sums_have_a_fixed_order_where_that_is_asked_and_nowhere_else(whole, wanted):
    compute, seen = dataclasses.replace(CPU, deterministic=wanted), []
    torch.use_deterministic_algorithms(not wanted)  # as a run before in this process left it
    try:
        again = train(
            compute=compute,
            after_epoch=lambda _: seen.append(torch.are_deterministic_algorithms_enabled()),
        )
    finally:
        torch.use_deterministic_algorithms(False)
    assert seen == [wanted] * 4
    assert weights_equal(again, whole)  # on a CPU they have one anyway


def test_a_run_interrupted_after_any_epoch_ends_as_an_uninterrupted_one(whole):
    saved: list[bytes] = []

    class KilledError(Exception):
        pass

    def stop_after_two(run: Fit) -> None:
        saved.append(dump_state(run.state()))
        if len(run.history) == 2:
            raise KilledError

    with pytest.raises(KilledError):
        train(after_epoch=stop_after_two)
    resumed = train(start=Fit.from_state(load_state(saved[-1])))
    assert without_seconds(resumed) == without_seconds(whole)
    assert weights_equal(resumed, whole)


def test_averaged_weights_are_scored_and_kept_and_survive_an_interruption():
    optimisation = dataclasses.replace(RECIPE.optimisation, epochs=2, average_decay=0.9)
    recipe = dataclasses.replace(RECIPE, optimisation=optimisation)
    saved: list[bytes] = []
    averaged = train(recipe, after_epoch=lambda run: saved.append(dump_state(run.state())))
    resumed = train(recipe, start=Fit.from_state(load_state(saved[0])))
    assert without_seconds(resumed) == without_seconds(averaged)
    assert weights_equal(resumed, averaged)
    predictions = decided(predict(recipe, VALIDATION, averaged.learnt, CPU))
    assert (overall(predictions, 4).confusion == averaged.scores.confusion).all()


def test_a_finished_run_is_not_trained_further(whole):
    again = train(start=Fit.from_state(load_state(dump_state(whole.state()))))
    assert again.history == whole.history


def seen_on_test(weights: dict[str, torch.Tensor], recipe=FAST) -> dict[str, float]:
    """What a row says of weights on the test side."""
    learnt = Learnt(weights, torch.ones(4, dtype=torch.int64))
    scores = overall(decided(predict(recipe, TEST, learnt, CPU)), 4)
    return {"test_se": scores.se, "test_sp": scores.sp, "test_score": scores.score}


def on_test(row: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if name.startswith("test_")}


def test_watching_test_notes_every_epochs_scores_on_it_and_changes_nothing_else(whole):
    epochs: list[dict[str, torch.Tensor]] = []

    def keep(run: Fit) -> None:
        epochs.append({k: v.clone() for k, v in run.progress["network"].items()})

    watched = train(watched=TEST, after_epoch=keep)
    rows = without_seconds(watched)
    assert [on_test(row) for row in rows] == [seen_on_test(weights) for weights in epochs]
    assert len({row["test_score"] for row in rows}) > 1
    assert [{k: v for k, v in row.items() if k not in on_test(row)} for row in rows] == (
        without_seconds(whole)
    )
    assert (watched.epoch, watched.scores.score) == (whole.epoch, whole.scores.score)
    assert weights_equal(watched, whole)


def test_what_is_watched_is_the_averaged_weights_without_a_selecting_side_too(monkeypatch):
    optimisation = dataclasses.replace(
        FAST.optimisation, epochs=1, average_decay=0.99, schedule="constant"
    )
    recipe = dataclasses.replace(FAST, optimisation=optimisation)
    evaluated: list[dict[str, torch.Tensor]] = []

    def noted(network, *given):
        evaluated.append({k: v.clone() for k, v in network.state_dict().items()})
        return evaluate(network, *given)

    monkeypatch.setattr(loop, "evaluate", noted)
    run = train(recipe, selector=None, watched=TEST)
    (watched,) = evaluated
    assert all(torch.equal(run.weights[name], watched[name]) for name in watched)
    assert not torch.equal(run.progress["network"]["conv1.0.weight"], watched["conv1.0.weight"])
    assert on_test(run.history[-1]) == seen_on_test(run.weights, recipe)


@pytest.mark.parametrize("workers", [2, 3, 8])
def test_workers_score_each_entry_once_however_few_there_are(workers, monkeypatch):
    bank = CycleBank.from_table(cycles_table([[2200, 3100, 3500, 900]], seed=2), "4-class")
    torch.manual_seed(0)
    network, counts = respirenet(FAST.model, 4), torch.ones(4, dtype=torch.int64)
    pipeline = Pipeline(FAST, "cpu")
    monkeypatch.setattr(loop, "_over_workers", lambda value, _: value)  # each by itself
    parts = [
        evaluate(network, pipeline, bank, FAST, CPU, World(rank, workers), counts)[0]
        for rank in range(workers)
    ]
    alone, _ = evaluate(network, pipeline, bank, FAST, CPU, World(), counts)
    assert sum(parts) == pytest.approx(alone)


def test_without_a_selecting_side_the_last_epoch_is_taken():
    recipe = dataclasses.replace(
        FAST, optimisation=dataclasses.replace(FAST.optimisation, epochs=2)
    )
    run = train(recipe, selector=None)
    assert (run.epoch, run.scores) == (2, None)


def test_divergence_is_an_error_that_names_the_epoch():
    wild = dataclasses.replace(
        FAST.optimisation, optimiser="sgd", schedule="constant", learning_rate=1e30
    )
    with pytest.raises(FloatingPointError, match="epoch 1"):
        train(dataclasses.replace(FAST, optimisation=wild))


def test_a_selecting_side_of_one_class_is_refused():
    normal = CycleBank.from_table(cycles_table([[2000, 2000]], [[0, 0]]), "4-class")
    with pytest.raises(InputError, match="2 normal and 0 abnormal"):
        train(selector=normal)


def test_a_heavier_normal_class_is_called_more_often():
    def specificity(weight: float) -> float:
        optimisation = dataclasses.replace(
            RECIPE.optimisation, epochs=2, learning_rate=5e-4, normal_loss_weight=weight
        )
        scores = train(dataclasses.replace(RECIPE, optimisation=optimisation)).scores
        assert scores is not None
        return scores.sp

    assert specificity(100.0) > specificity(0.01)


def test_under_the_scores_prior_normal_is_called_more_often():
    def specificity(prior: float) -> float:
        optimisation = dataclasses.replace(
            RECIPE.optimisation, epochs=2, learning_rate=5e-4, prior=prior
        )
        scores = train(dataclasses.replace(RECIPE, optimisation=optimisation)).scores
        assert scores is not None
        return scores.sp

    assert specificity(1.0) > specificity(0.0)


@pytest.mark.parametrize(("selected_by", "better"), [("score", "second"), ("accuracy", "first")])
def test_the_best_epoch_is_the_best_by_the_recipes_yardstick(selected_by, better):
    recipe = dataclasses.replace(FAST, selected_by=selected_by)
    # Accuracy 8/10 and 6/10; Score (1 + 0) / 2 and (.5 + 1) / 2.
    epochs = {
        "first": Scores(np.array([[8, 0], [2, 0]])),
        "second": Scores(np.array([[4, 4], [0, 2]])),
    }
    worse = next(name for name in epochs if name != better)
    assert _better(epochs[better], epochs[worse], recipe)
    assert not _better(epochs[worse], epochs[better], recipe)
    assert not _better(epochs[better], epochs[better], recipe)


def test_windows_of_long_cycles_train_and_each_cycle_is_scored_once():
    features = dataclasses.replace(FAST.features, window_seconds=0.5, long_cycles="windows")
    optimisation = dataclasses.replace(FAST.optimisation, epochs=1)
    recipe = dataclasses.replace(FAST, features=features, optimisation=optimisation)
    run = train(recipe)
    assert run.scores.confusion.sum() == len(VALIDATION)
    predictions = decided(predict(recipe, VALIDATION, run.learnt, CPU))
    assert (overall(predictions, 4).confusion == run.scores.confusion).all()


def test_the_two_class_task_is_trained_and_predicted():
    recipe = dataclasses.replace(
        FAST,
        task="2-class",
        optimisation=dataclasses.replace(FAST.optimisation, epochs=1),
    )
    table = cycles_table([[2000, 3000]] * 8, seed=3)
    bank = CycleBank.from_table(table, "2-class")
    network = respirenet(recipe.model, 2)
    run = fit(network, bank, bank, recipe, recipe.optimisation, CPU, seed=0)
    assert run.scores.confusion.shape == (2, 2)


def test_audio_in_host_memory_changes_no_number_and_is_noted(monkeypatch, whole):
    assert not whole.from_host_memory
    short = dataclasses.replace(FAST, optimisation=dataclasses.replace(FAST.optimisation, epochs=1))
    held = train(short)
    monkeypatch.setattr(CycleBank, "in_host_memory", True)
    sent = train(short)
    assert sent.from_host_memory
    assert Fit.from_state(load_state(dump_state(sent.state()))).from_host_memory
    assert weights_equal(sent, held)
    noted = [row | {HOST_BANK: 1.0} for row in without_seconds(held)]
    assert without_seconds(sent) == noted
