"""Device-specific fine-tuning (paper 2.1): four copies of one model, each for one device."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from respire.features.bank import CycleBank
from respire.features.pipeline import Pipeline
from respire.metrics import Scores, percent, scorable
from respire.models.network import Learnt, network_of, on_device
from respire.recipe.fields import FineTune, Selection
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute
from respire.training.loop import Fit, evaluate, fit
from respire.training.sampling import World

Decision = Literal["fine-tuned", "kept stage 1", "unselected"]


@dataclass(frozen=True)
class Tuning:
    """One fine-tuning of one device, with the Scores ``before`` of stage 1's weights there.

    Both these and ``fit.scores`` are None where too few patients could select.
    """

    learning_rate: float
    fit: Fit
    before: Scores | None

    def state(self) -> dict[str, Any]:
        """Tensors, numbers and containers, for torch.save."""
        before = None if self.before is None else torch.from_numpy(self.before.confusion)
        return {"learning_rate": self.learning_rate, "fit": self.fit.state(), "before": before}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Tuning":
        """The trial that ``state`` described."""
        before = None if state["before"] is None else Scores(state["before"].numpy())
        return cls(state["learning_rate"], Fit.from_state(state["fit"]), before)


@dataclass(frozen=True)
class DeviceModel:
    """What a device is given after stage 2.

    It learnt what the fine-tuned one did, nothing but stage 1 (None), or what no validation could
    choose among; the reason is a clause, and the trial that which was decided on, if any.
    """

    decision: Decision
    reason: str
    learnt: Learnt | None
    trial: Tuning | None


def learning_rates(finetune: FineTune) -> list[float]:
    """The recipe's learning rate, then steps of a third around it: 1, 1/3, 3, 1/9, 9, ..."""
    steps = [(k + 1) // 2 * (-1 if k % 2 else 1) for k in range(finetune.trials_per_device)]
    return [finetune.learning_rate * 3.0**step for step in steps]


def selectable(selector: CycleBank | None, finetune: FineTune) -> bool:
    """Whether a device's validation side can choose an epoch: enough patients, and a Score."""
    if selector is None or selector.cycles["patient"].nunique() < finetune.min_validation_patients:
        return False
    return scorable(selector.cycles["label"].to_numpy())


def finetune(
    stage1: Learnt,
    train: CycleBank,
    selector: CycleBank | None,
    recipe: Recipe,
    compute: Compute,
    *,
    learning_rate: float,
    seed: int,
    start: Fit | None = None,
    after_epoch: Callable[[Fit], None] = lambda _: None,
) -> Tuning:
    """Fine-tune stage 1's model on one device's cycles, as ``fit`` does, at a fixed learning rate.

    ``selector`` holds the device's cycles on the selecting side, if it has any. Where they are too
    few to choose by (``selectable``), the recipe's fixed number of epochs is run.

    Raises:
        FloatingPointError: training diverged.
    """
    network = network_of(recipe, stage1.weights)
    before = None
    epochs = recipe.finetune.unselected_epochs
    if selector is not None and selectable(selector, recipe.finetune):
        epochs = recipe.finetune.epochs
        pipeline = Pipeline(recipe, compute.device)
        network = on_device(network, compute.device)
        _, before = evaluate(network, pipeline, selector, recipe, compute, World(), stage1.counts)
    else:
        selector = None
    optimisation = replace(
        recipe.optimisation,
        learning_rate=learning_rate,
        schedule="constant",
        average_decay=recipe.finetune.average_decay,
        epochs=epochs,
    )
    given = (network, train, selector, recipe, optimisation, compute)
    run = fit(*given, seed=seed, start=start, after_epoch=after_epoch)
    return Tuning(learning_rate, run, before)


def choose(trials: Sequence[Tuning], selection: Selection) -> DeviceModel:
    """Choose a device's model among its trials, in the order of ``learning_rates``.

    Stage 1's weights stay where fine-tuning does not improve the device's Score on the selecting
    side, named ``selection``. Where nothing could be selected, the recipe's own learning rate is
    taken.
    """
    if not trials:
        return DeviceModel("kept stage 1", "the device has no training cycles", None, None)
    selected = [trial for trial in trials if trial.fit.scores is not None]
    if not selected:
        trial = trials[0]
        lacking = f"too few {selection} patients, or one class only"
        reason = (
            f"{'selection none' if selection == 'none' else lacking}: "
            f"{len(trial.fit.history)} fixed epochs, chosen by nothing"
        )
        return DeviceModel("unselected", reason, trial.fit.learnt, trial)
    best = max(selected, key=_score_after)
    assert best.before is not None
    change = f"{selection} Score {percent(best.before.score)}% to {percent(_score_after(best))}%"
    if _score_after(best) > best.before.score:
        return DeviceModel("fine-tuned", change, best.fit.learnt, best)
    return DeviceModel("kept stage 1", f"no improvement: {change}", None, best)


def _score_after(trial: Tuning) -> float:
    assert trial.fit.scores is not None
    return trial.fit.scores.score
