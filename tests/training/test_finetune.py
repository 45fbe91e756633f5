import dataclasses

import pytest
import torch
from cycle_rows import cycles_table
from tiny_fit import CPU, RECIPE

from respire.features.bank import CycleBank
from respire.metrics import Scores
from respire.models.network import Learnt, respirenet
from respire.recipe.fields import FineTune
from respire.training.finetune import Tuning, choose, finetune, learning_rates, selectable
from respire.training.loop import Fit

COUNTS = torch.tensor([4, 3, 2, 1])
TUNED = dataclasses.replace(RECIPE, finetune=FineTune(epochs=2, unselected_epochs=1))


def bank(recordings: int, labels: list[int]) -> CycleBank:
    return CycleBank.from_table(
        cycles_table([[2000] * len(labels)] * recordings, [labels] * recordings), "4-class"
    )


def trial(before: float, after: float, rate: float = 1e-4) -> Tuning:
    def scores(score: float) -> Scores:
        hits = round(100 * score)
        return Scores(torch.tensor([[hits, 100 - hits], [100 - hits, hits]]).numpy())

    run = Fit({"w": torch.tensor([after])}, COUNTS, 3, scores(after), [{"epoch": 1.0}])
    return Tuning(rate, run, scores(before))


def test_three_patients_with_normal_and_abnormal_cycles_can_select_and_less_cannot():
    assert selectable(bank(3, [0, 1]), FineTune())
    assert not selectable(bank(2, [0, 1]), FineTune())
    assert not selectable(bank(5, [0, 0]), FineTune())
    assert not selectable(bank(5, [1, 2]), FineTune())
    assert not selectable(None, FineTune())


def test_stage_1_is_kept_where_fine_tuning_does_not_improve():
    assert choose([trial(0.6, 0.6)], "validation").decision == "kept stage 1"
    assert choose([trial(0.6, 0.6)], "validation").learnt is None
    better = choose([trial(0.6, 0.65)], "validation")
    assert better.decision == "fine-tuned"
    assert better.learnt == Learnt({"w": torch.tensor([0.65])}, COUNTS)
    assert better.reason == "validation Score 60.0% to 65.0%"
    assert choose([trial(0.6, 0.65)], "test").reason == "test Score 60.0% to 65.0%"


def test_the_best_of_several_learning_rates_is_kept():
    chosen = choose(
        [trial(0.6, 0.65, 1e-4), trial(0.6, 0.7, 3e-4), trial(0.6, 0.5, 3e-5)], "validation"
    )
    assert chosen.trial.learning_rate == 3e-4


def test_a_device_without_training_cycles_keeps_stage_1_and_says_so():
    kept = choose([], "validation")
    assert (kept.decision, kept.learnt) == ("kept stage 1", None)
    assert "no training cycles" in kept.reason


def test_learning_rates_step_by_a_third_around_the_recipes():
    assert learning_rates(FineTune()) == [1e-4]
    assert learning_rates(FineTune(trials_per_device=4)) == pytest.approx(
        [1e-4, 1e-4 / 3, 3e-4, 1e-4 / 9]
    )


@pytest.fixture(scope="module")
def stage1() -> Learnt:
    torch.manual_seed(0)
    return Learnt(respirenet(TUNED.model, 4).state_dict(), COUNTS)


def test_few_validation_patients_mean_fixed_epochs_and_no_selection(stage1):
    result = finetune(
        stage1, bank(4, [0, 1, 2]), bank(2, [0, 1]), TUNED, CPU, learning_rate=1e-4, seed=0
    )
    assert (result.before, result.fit.scores, result.fit.epoch) == (None, None, 1)
    assert choose([result], "validation").decision == "unselected"
    assert result.fit.counts.tolist() == [4, 4, 4, 0]


def test_where_nothing_selects_the_reason_says_so(stage1) -> None:
    result = finetune(stage1, bank(4, [0, 1, 2]), None, TUNED, CPU, learning_rate=1e-4, seed=0)
    chosen = choose([result], "none")
    assert chosen.decision == "unselected"
    assert chosen.reason == "selection none: 1 fixed epochs, chosen by nothing"


def test_twelve_steps_move_the_average_though_it_decays_slowly(stage1) -> None:
    """At .99 alone 89% of the first of 12 steps' weights would be left."""
    epochs, batch = 3, 3  # of 12 windows: 12 steps

    def tuned(decay: float) -> torch.Tensor:
        recipe = dataclasses.replace(
            TUNED,
            finetune=FineTune(unselected_epochs=epochs, average_decay=decay),
            optimisation=dataclasses.replace(TUNED.optimisation, batch_size=batch, average_decay=0),
        )
        run = finetune(stage1, bank(4, [0, 1, 2]), None, recipe, CPU, learning_rate=1e-2, seed=0)
        return run.fit.weights["fc.6.bias"] - stage1.weights["fc.6.bias"]

    plain, averaged = tuned(0.0).norm(), tuned(0.99).norm()
    assert averaged > 0.3 * plain


def test_enough_validation_patients_choose_the_epoch(stage1):
    result = finetune(
        stage1, bank(4, [0, 1, 2]), bank(3, [0, 1]), TUNED, CPU, learning_rate=1e-4, seed=0
    )
    assert len(result.fit.history) == 2
    assert result.before is not None
    assert result.before.n == result.fit.scores.n == 6
