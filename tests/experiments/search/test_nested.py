"""What a search refuses, before it opens anything."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution

from respire.data.splits.split import Cut
from respire.errors import InputError, RunError
from respire.experiments.search import nested
from respire.experiments.search.nested import check_honest
from respire.experiments.search.objective import best_of
from respire.experiments.search.run import search
from respire.experiments.search.space import Dimension, read_space
from respire.experiments.search.summary import FAILED, FINISHED, STOPPED, SearchPlan, Trial
from respire.recipe.presets import small
from respire.runtime.resources import Stopwatch
from respire.study.place import Place

SPACE = read_space(small(), ["features.window_seconds=1:9"])
SMART = replace(small(), features=replace(small().features, evaluation_padding="smart"))
DISHONEST = [
    (SMART, Cut(), "test labels shaped the padding"),
    (replace(small(), selection="test"), Cut(), "selected on test"),
    (replace(small(), watch_test=True), Cut(), "leave out --recipe.watch-test"),
    (small(), Cut("by-cycle"), "a search needs patients apart"),
]


@pytest.mark.parametrize(("recipe", "cut", "said"), DISHONEST)
def test_a_search_that_breaks_a_rule_is_refused_before_anything_is_opened(
    recipe: Any, cut: Cut, said: str
) -> None:
    plan = SearchPlan(trials=1, inner_splits=1, outer_seeds=(0,))
    nowhere = Place("/nowhere", "/proc/none", "no store")
    with pytest.raises(InputError, match=said):
        search(recipe, cut, 0, plan, nowhere)


def test_every_stamp_of_a_recipe_is_refused() -> None:
    for recipe in (SMART, replace(small(), selection="test")):
        assert recipe.stamps
        with pytest.raises(InputError, match="a search must not be led by what is tested"):
            check_honest(recipe, Cut(), SPACE)


@pytest.mark.parametrize(
    "text", ["features.evaluation_padding=repeat|smart", "selection=validation|test"]
)
def test_a_space_that_leads_to_a_stamp_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not searched"):
        read_space(small(), [text])
    field, _, choices = text.partition("=")
    # Were the field ever let into the space, its stamp would still give it away.
    dimension = Dimension(field, CategoricalDistribution(choices.split("|")))
    with pytest.raises(InputError, match=f"{field}.*leads to '"):
        check_honest(small(), Cut(), (*SPACE, dimension))


def test_one_test_side_is_not_searched_twice() -> None:
    for kind in ("60-40", "60-40-disjoint"):
        check_honest(small(), Cut(kind), SPACE, [0])
        with pytest.raises(InputError, match="has one test side"):
            check_honest(small(), Cut(kind), SPACE, [0, 1])
    check_honest(small(), Cut(), SPACE, [0, 1])


def test_the_best_came_to_all_splits_and_beats_the_default() -> None:
    def tried(name: str, gain: float | None, state: str) -> Trial:
        return Trial(name, {}, (), gain, state, "", 1.0)

    early, good, worse = (
        tried("early", 0.3, STOPPED),
        tried("good", 0.1, FINISHED),
        tried("worse", -0.1, FINISHED),
    )
    assert best_of([worse, early, good]) == good
    assert best_of([worse, early]) is None
    assert best_of([]) is None


def test_a_choice_that_is_impossible_by_itself_is_left_to_its_trials() -> None:
    check_honest(small(), Cut(), read_space(small(), ["features.n_fft=512|99999"]))


def test_a_search_of_which_every_trial_failed_is_no_result_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed = Trial("a", {}, (), None, FAILED, "training diverged", 1.0)
    validated = SimpleNamespace(validation=lambda: SimpleNamespace(score=0.5))
    monkeypatch.setattr(nested, "Run", lambda *_: validated)
    monkeypatch.setattr(nested, "_train", lambda *_: None)
    monkeypatch.setattr(nested, "run_trials", lambda *_: [failed, failed])
    experiment: Any = SimpleNamespace(
        setting=SimpleNamespace(stopwatch=Stopwatch(), lines=None),
        tracker=SimpleNamespace(child=nullcontext),
        folder=Path("nowhere"),
    )
    study: Any = SimpleNamespace(split=SimpleNamespace(cut=Cut()), read=lambda *_: None)
    plan = SearchPlan(trials=2, inner_splits=1, outer_seeds=(0,))
    said = "^outer split 0: all 2 trials failed, the first because: training diverged$"
    with pytest.raises(RunError, match=said):
        nested.search_split(experiment, [study], study, SPACE, plan)
