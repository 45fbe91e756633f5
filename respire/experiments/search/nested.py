"""A nested search: test patients set apart, recipes tried on the rest, the best read once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa

from respire.data.splits.split import Cut
from respire.errors import InputError
from respire.experiments.search.objective import gain
from respire.experiments.search.samplers import check_sampler
from respire.experiments.search.space import SPACE, STAGE2_SPACE, Space, apply, read_space
from respire.experiments.search.summary import (
    FINISHED,
    OuterSplit,
    SearchPlan,
    SearchSummary,
    Trial,
    Winner,
    importance,
    study_of,
)
from respire.experiments.search.trials import Trials, run_trials
from respire.metrics import overall
from respire.recipe.identity import digest
from respire.recipe.recipe import Recipe
from respire.runtime.actors import run_grid
from respire.statistics.intervals import bootstrap_difference
from respire.study.experiment import Experiment, Planned, open_setting
from respire.study.one_run import Run, train_and_test, train_and_validate
from respire.study.place import Place
from respire.study.study import Study

DEFAULT, WINNER = "default", "winner"


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

    def run(self, split_seed: int) -> OuterSplit:
        """Search on all but an outer seed's test patients, and read those once, at the end."""
        studies, setting = self.inner[split_seed], self.experiment.setting
        split, outer = studies[0].split, f"outer split {split_seed}"
        known = studies[0].prepared.read(sorted(split.train + split.validation))
        tracker = self.experiment.tracker.child(outer)
        with setting.stopwatch.part(f"default recipe, {outer}"):
            default = self._default(studies, known)
        with tracker, setting.stopwatch.part(f"trials, {outer}"):
            trials = run_trials(
                Trials(
                    *(self.recipe, self.space, self.plan, studies, default),
                    *(self.seed + split_seed, tracker, setting.lines),
                ),
                known,
                self.experiment.folder / f"outer-{split_seed}",
            )
        best = best_of(trials)
        with setting.stopwatch.part(f"refit, {outer}"):
            predicted, baselines = self._refit(studies[0], best)
        return summarise(
            split_seed,
            tuple(study.split.cut.inner_seed for study in studies),
            *(default, trials, best, predicted, baselines, len(self.recipe.classes), self.space),
        )

    def summary(self) -> SearchSummary:
        """Search on every outer split."""
        outer = tuple(self.run(split_seed) for split_seed in self.inner)
        studies = [studies[0] for studies in self.inner.values()]
        patients = studies[0].cycles["patient"].nunique()
        tested = [len({s.split.patients[name] for name in s.split.test}) for s in studies]
        return SearchSummary(
            *(self.recipe, self.space, self.plan, self.seed, outer),
            *(float(np.mean(tested)), patients),
        )

    def _default(self, studies: Sequence[Study], known: pa.Table) -> tuple[float, ...]:
        """The default recipe's validation Score on each inner split."""
        runs = [
            Run(f"default recipe, inner split {s.split.cut.inner_seed}", s, self.plan.stage2)
            for s in studies
        ]
        self._train(train_and_validate, runs, known)
        return tuple(run.validation().score for run in runs)

    def _refit(
        self, study: Study, winner: Trial | None
    ) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
        """Test predictions of recipes that are settled, and of the default one's baselines.

        All are trained on everybody else, to their last epoch: nobody is left to choose one by.
        """
        recipes = {DEFAULT: self.recipe}
        if winner is not None:
            recipes[WINNER] = apply(self.recipe, winner.values)
        split = study.split.without_validation()
        runs = {
            name: Run(
                f"{name}, outer split {split.cut.split_seed}",
                replace(study, split=split, recipe=recipe),
                self.plan.stage2,
            )
            for name, recipe in recipes.items()
        }
        cycles = study.prepared.read(sorted(split.train + split.test))
        self._train(train_and_test, list(runs.values()), cycles)
        predicted = {name: run.predictions() for name, run in runs.items()}
        last = {name: rows[rows["stage"] == self.plan.stage] for name, rows in predicted.items()}
        return last, runs[DEFAULT].baseline_predictions()

    def _train(
        self, train: Callable[[Run, pa.Table], None], runs: Sequence[Run], cycles: pa.Table
    ) -> None:
        """Train all of these, as many at once as there is room for."""
        gpu = runs[0].study.compute.device == "cuda"
        failures = []
        jobs = ((run, cycles) for run in runs)
        for run, failure in run_grid(train, jobs, gpu=gpu, per_gpu=self.plan.per_gpu):
            print(f"{run.name}: {failure or 'done'}", flush=True)
            failures += [f"{run.name}: {failure}"] if failure else []
        if failures:
            raise FloatingPointError("; ".join(failures))


@contextmanager
def start_search(
    recipe: Recipe, cut: Cut, seed: int, plan: SearchPlan, place: Place, name: str | None = None
) -> Iterator[Search]:
    """Check everything, prepare the cycles, and cut the outer and inner splits.

    Args: as ``run.search`` takes them.

    Raises:
        InputError: bad input or an unusable setting, found before anything is trained.
    """
    texts = SPACE + STAGE2_SPACE if plan.stage2 else SPACE
    space = read_space(recipe, texts, plan.vary, plan.only)
    check_honest(recipe, cut, space, plan.outer_seeds)
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
            "stage": plan.stage,
            "studies": [study.whole.key for studies in inner.values() for study in studies],
        }
        key = digest(identity)
        experiment = setting.begin(name, f"{recipe.preset}-{key[:8]}", identity, key)
        experiment.tracker.log_recipe(recipe)
        yield Search(experiment, recipe, seed, plan, space, inner)


def check_honest(recipe: Recipe, cut: Cut, space: Space, outer_seeds: Sequence[int] = (0,)) -> None:
    """Refuse a search in which test, or labels of those who are scored, would choose.

    Raises:
        InputError: the recipe is stamped or watches test, a dimension leads to one that is,
            patients are not apart, or all outer seeds have one test side.
    """
    if not cut.patients_apart:
        raise InputError(f"--split {cut.kind}: a search needs patients apart; use --split 80-20")
    if cut.needs_list and len(outer_seeds) > 1:
        raise InputError(
            f"--split {cut.kind} has one test side; use --split 80-20, or one outer seed"
        )
    if recipe.watch_test:
        raise InputError("a search must not read test: leave out --recipe.watch-test")
    stamped = [f"the recipe is stamped {stamp!r}" for stamp in recipe.stamps]
    for dimension in space:
        for choice in dimension.choices:
            try:
                stamps = apply(recipe, {dimension.field: choice}).stamps
            except InputError:
                continue  # impossible by itself: its trials fail and say so
            stamped += [f"{str(dimension)!r} leads to {stamp!r}" for stamp in stamps]
    if stamped:
        raise InputError(
            f"a search must not be led by what is tested: {stamped[0]}; use --recipe.selection "
            f"validation and a --recipe.features.evaluation-padding that reads no labels"
        )


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The trial with the largest gain among those that came to all splits; None without a gain."""
    gains = [trial.gain or 0.0 if trial.state == FINISHED else 0.0 for trial in trials]
    largest = max(gains, default=0.0)
    return trials[gains.index(largest)] if largest > 0 else None


def summarise(
    split_seed: int,
    inner_seeds: tuple[int, ...],
    default: tuple[float, ...],
    trials: Sequence[Trial],
    best: Trial | None,
    predicted: Mapping[str, pd.DataFrame],
    baselines: pd.DataFrame,
    classes: int,
    space: Space,
) -> OuterSplit:
    """What an outer split is said to have gained.

    Args:
        split_seed: of the outer split, and of the interval's draws.
        inner_seeds: of the validation splits.
        default: the default recipe's validation Scores on them, fractions.
        trials: every recipe that was tried.
        best: the one that is refitted beside the default; None for none.
        predicted: test predictions of DEFAULT and, where there is one, WINNER, a row a cycle.
        baselines: those of the baselines, a row a cycle and ``baseline``.
        classes: number of classes.
        space: what varied.
    """
    test = {name: overall(rows, classes) for name, rows in predicted.items()}
    winner = None
    if best is not None:
        winner = Winner(
            best,
            test[WINNER],
            gain(best.scores, default),
            test[WINNER].score - test[DEFAULT].score,
            bootstrap_difference(predicted[WINNER], predicted[DEFAULT], split_seed),
        )
    return OuterSplit(
        split_seed,
        inner_seeds,
        default,
        test[DEFAULT],
        {str(name): overall(rows, classes) for name, rows in baselines.groupby("baseline")},
        tuple(trials),
        winner,
        importance(study_of(trials, space), split_seed),
    )
