"""A nested search: test patients set apart, recipes tried on the rest, the best read once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pandas as pd
import pyarrow as pa

from respire.data.splits.split import Cut
from respire.errors import InputError
from respire.evaluation.evaluate import STAGE1, STAGE2
from respire.experiments.search.samplers import check_sampler
from respire.experiments.search.space import SPACE, STAGE2_SPACE, Space, apply, read_space
from respire.experiments.search.trials import FINISHED, Trial, Trials, run_trials
from respire.recipe.identity import digest
from respire.recipe.recipe import Recipe
from respire.runtime.actors import run_grid, slots
from respire.study.experiment import Experiment, Planned, open_setting
from respire.study.one_run import Run, train_and_test, train_and_validate
from respire.study.place import Place
from respire.study.study import Study

DEFAULT, WINNER = "default", "winner"


@dataclass(frozen=True)
class SearchPlan:
    """How to search.

    Attributes:
        trials: how many recipes to try.
        inner_splits: validation splits that each is scored on.
        outer_seeds: split seeds that set test patients apart; the search is repeated for each.
        sampler: who proposes recipes (samplers.py).
        caution: standard errors that are taken off a recipe's gain.
        vary: dimensions that replace those of the same field of the space, or come on top.
        only: fields of the space that are varied; None for all.
        stage2: whether recipes are scored after device-specific fine-tuning.
        per_gpu: how many trials share a GPU; without GPUs each gets a core.
    """

    trials: int
    inner_splits: int
    outer_seeds: tuple[int, ...]
    sampler: str = "tpe"
    caution: float = 0.0
    vary: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    stage2: bool = False
    per_gpu: int = 2


@dataclass(frozen=True)
class Outer:
    """What one outer seed's search found.

    Attributes:
        split_seed: who is in test.
        inner_seeds: of the validation splits.
        default: the default recipe's validation Scores on them.
        trials: every recipe that was tried.
        winner: the best that came to all splits, or None where none beat the default.
        test: predictions on the outer test side, refitted on everybody else, of the default and,
            where there is one, the winner.
        baselines: predictions of the baselines there, a row a test cycle and baseline.
    """

    split_seed: int
    inner_seeds: tuple[int, ...]
    default: tuple[float, ...]
    trials: tuple[Trial, ...]
    winner: Trial | None
    test: Mapping[str, pd.DataFrame]
    baselines: pd.DataFrame


@dataclass(frozen=True)
class Search:
    """A search under way, in a Ray session.

    Attributes:
        experiment: what it is run for.
        recipe: the default one.
        seed: training seed of all recipes.
        plan: how to search.
        space: what varies.
        inner: by outer seed, the default recipe's studies on each inner split.
    """

    experiment: Experiment
    recipe: Recipe
    seed: int
    plan: SearchPlan
    space: Space
    inner: Mapping[int, tuple[Study, ...]]

    def run(self, split_seed: int) -> Outer:
        """Search on all but an outer seed's test patients, and read those once, at the end."""
        studies = self.inner[split_seed]
        compute = studies[0].compute
        split = studies[0].split
        known = studies[0].prepared.read(sorted(split.train + split.validation))
        outer = f"outer split {split_seed}"
        tracker = self.experiment.tracker.child(outer)
        parallel = slots(compute.device == "cuda", self.plan.per_gpu)
        part = self.experiment.setting.stopwatch.part
        with part(f"default recipe, {outer}"):
            default = self._default(studies, known)
        with tracker, part(f"trials, {outer}"):
            trials = run_trials(
                Trials(
                    self.recipe,
                    self.space,
                    studies,
                    default,
                    self.plan.caution,
                    self.plan.stage2,
                    tracker,
                    self.experiment.setting.lines,
                    parallel,
                ),
                known,
                sampler=self.plan.sampler,
                seed=self.seed + split_seed,
                samples=self.plan.trials,
                gpu=compute.device == "cuda",
                folder=self.experiment.folder / f"outer-{split_seed}",
            )
        winner = best(trials)
        recipes = {DEFAULT: self.recipe}
        if winner is not None:
            recipes[WINNER] = apply(self.recipe, winner.values)
        with part(f"refit, {outer}"):
            test, baselines = self._refit(studies[0], recipes)
        return Outer(
            split_seed,
            tuple(study.split.cut.inner_seed for study in studies),
            default,
            tuple(trials),
            winner,
            test,
            baselines,
        )

    def _default(self, studies: Sequence[Study], known: pa.Table) -> tuple[float, ...]:
        """The default recipe's validation Score on each inner split."""
        cells = [
            Run(f"default recipe, inner split {s.split.cut.inner_seed}", s, self.plan.stage2)
            for s in studies
        ]
        self._all(train_and_validate, cells, known)
        return tuple(cell.validation().score for cell in cells)

    def _refit(
        self, study: Study, recipes: Mapping[str, Recipe]
    ) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
        """Test predictions of recipes that are settled, and of the default one's baselines.

        All are trained on everybody else, to their last epoch: nobody is left to choose one by.
        """
        whole = replace(study, split=study.split.without_validation())
        cells = {
            name: Run(
                f"{name}, outer split {study.split.cut.split_seed}",
                replace(whole, recipe=recipe),
                self.plan.stage2,
            )
            for name, recipe in recipes.items()
        }
        cycles = study.prepared.read(sorted(whole.split.train + whole.split.test))
        self._all(train_and_test, list(cells.values()), cycles)
        predicted = {name: _last_stage(cell) for name, cell in cells.items()}
        return predicted, cells[DEFAULT].baseline_predictions()

    def _all(
        self, run: Callable[[Run, pa.Table], None], cells: list[Run], cycles: pa.Table
    ) -> None:
        gpu = cells[0].study.compute.device == "cuda"
        jobs = ((cell, cycles) for cell in cells)
        failures = []
        for cell, failure in run_grid(run, jobs, gpu=gpu, per_gpu=self.plan.per_gpu):
            print(f"{cell.name}: {failure or 'done'}", flush=True)
            failures += [f"{cell.name}: {failure}"] if failure else []
        if failures:
            raise FloatingPointError("; ".join(failures))


@contextmanager
def start_search(
    recipe: Recipe, cut: Cut, seed: int, plan: SearchPlan, place: Place, name: str | None = None
) -> Iterator[Search]:
    """Check everything, prepare the cycles, and cut the outer and inner splits.

    Args:
        recipe: the default one, that the others are compared with.
        cut: who is held out; its outer seed gives way to the plan's, its inner seed is the first.
        seed: training seed of all recipes.
        plan: how to search.
        place: where things are.
        name: the search's own; None for one made of recipe and key.

    Raises:
        InputError: bad input or an unusable setting, found before anything is trained.
    """
    texts = SPACE + STAGE2_SPACE if plan.stage2 else SPACE
    space = read_space(recipe, texts, plan.vary, plan.only)
    check_honest(recipe, cut, space)
    check_sampler(plan.sampler, space)
    planned = {
        (split_seed, number): Planned(
            recipe,
            replace(cut, split_seed=split_seed, inner_seed=cut.inner_seed + number),
            seed,
        )
        for split_seed in plan.outer_seeds
        for number in range(plan.inner_splits)
    }
    with open_setting("search", place, planned) as setting:
        inner = {
            split_seed: tuple(setting.studies[split_seed, i] for i in range(plan.inner_splits))
            for split_seed in plan.outer_seeds
        }
        identity = {
            "space": [str(dimension) for dimension in space],
            "sampler": plan.sampler,
            "trials": plan.trials,
            "caution": plan.caution,
            "stage": STAGE2 if plan.stage2 else STAGE1,
            "studies": [study.whole.key for studies in inner.values() for study in studies],
        }
        key = digest(identity)
        experiment = setting.begin(name, f"{recipe.preset}-{key[:8]}", identity, key)
        experiment.tracker.log_recipe(recipe)
        yield Search(experiment, recipe, seed, plan, space, inner)


def check_honest(recipe: Recipe, cut: Cut, space: Space) -> None:
    """Refuse a search in which test, or labels of those who are scored, would choose.

    Raises:
        InputError: the recipe is stamped or watches test, a dimension leads to one that is, or
            patients are not apart.
    """
    if not cut.patients_apart:
        raise InputError(f"--split {cut.kind}: a search needs patients apart; use --split 80-20")
    if recipe.watch_test:
        raise InputError("a search must not read test: leave out --recipe.watch-test")
    stamped = [f"the recipe is stamped {stamp!r}" for stamp in recipe.stamps]
    for dimension in space:
        for choice in dimension.choices:
            for stamp in apply(recipe, {dimension.field: choice}).stamps:
                stamped.append(f"{str(dimension)!r} leads to {stamp!r}")
    if stamped:
        raise InputError(
            f"a search must not be led by what is tested: {stamped[0]}; use --recipe.selection "
            f"validation and a --recipe.features.evaluation-padding that reads no labels"
        )


def _last_stage(cell: Run) -> pd.DataFrame:
    predictions = cell.predictions()
    return predictions[predictions["stage"] == (STAGE2 if cell.stage2 else STAGE1)]


def best(trials: Sequence[Trial]) -> Trial | None:
    """The trial with the largest gain among those that came to all splits; None without a gain."""
    whole = [trial for trial in trials if trial.state == FINISHED and trial.gain is not None]
    winner = max(whole, key=lambda trial: trial.gain or 0.0, default=None)
    return winner if winner is not None and (winner.gain or 0.0) > 0 else None
