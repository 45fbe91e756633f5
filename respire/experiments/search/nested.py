"""A nested search: test patients set apart, recipes tried on the rest, the best read once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pandas as pd
import pyarrow as pa

from respire.command.command import SearchOptions
from respire.data.cycles import PreparedCycles
from respire.evaluation.evaluate import STAGE1, STAGE2
from respire.experiments.search.samplers import check_sampler
from respire.experiments.search.space import SPACE, STAGE2_SPACE, Space, apply, read_space
from respire.experiments.search.trials import FINISHED, Trial, Trials, run_trials
from respire.models.network import initial_weights
from respire.recipe.identity import digest
from respire.recipe.recipe import Recipe
from respire.runtime.actors import run_grid, slots
from respire.runtime.storage import Storage
from respire.runtime.tracking import Tracker
from respire.study.experiment import Setting, claim, open_setting
from respire.study.one_run import GridCell, run_cell, validate_cell
from respire.study.study import Study, choose_compute, open_study

EXPERIMENT = "search"
DEFAULT, WINNER = "default", "winner"


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
        setting: what it shares with other experiments.
        options: from the command line.
        space: what varies.
        name: the search's own.
        folder: where its results go.
        tracker: its MLflow run.
        prepared: the cycles.
        inner: by outer seed, the default recipe's studies on each inner split.
    """

    setting: Setting
    options: SearchOptions
    space: Space
    name: str
    folder: Storage
    tracker: Tracker
    prepared: PreparedCycles
    inner: Mapping[int, tuple[Study, ...]]

    def run(self, split_seed: int) -> Outer:
        """Search on all but an outer seed's test patients, and read those once, at the end."""
        studies = self.inner[split_seed]
        compute = studies[0].compute
        split = studies[0].split
        known = self.prepared.read(sorted(split.train + split.validation))
        outer = f"outer split {split_seed}"
        tracker = self.tracker.child(outer)
        parallel = slots(compute.device == "cuda", self.options.per_gpu)
        part = self.setting.stopwatch.part
        with part(f"default recipe, {outer}"):
            default = self._default(studies, known)
        with tracker, part(f"trials, {outer}"):
            trials = run_trials(
                Trials(
                    self.options.recipe,
                    self.space,
                    studies,
                    default,
                    self.options.caution,
                    self.options.stage2,
                    tracker,
                    self.setting.lines,
                    parallel,
                ),
                known,
                sampler=self.options.sampler,
                seed=self.options.seed + split_seed,
                samples=self.options.trials,
                gpu=compute.device == "cuda",
                folder=self.folder / f"outer-{split_seed}",
            )
        winner = best(trials)
        recipes = {DEFAULT: self.options.recipe}
        if winner is not None:
            recipes[WINNER] = apply(self.options.recipe, winner.values)
        with part(f"refit, {outer}"):
            test, baselines = self._refit(studies[0], recipes)
        return Outer(
            split_seed,
            tuple(study.split.inner_seed for study in studies),
            default,
            tuple(trials),
            winner,
            test,
            baselines,
        )

    def _default(self, studies: Sequence[Study], known: pa.Table) -> tuple[float, ...]:
        """The default recipe's validation Score on each inner split."""
        cells = [
            GridCell(f"default recipe, inner split {s.split.inner_seed}", s, self.options.stage2)
            for s in studies
        ]
        self._all(validate_cell, cells, known)
        return tuple(cell.validation().score for cell in cells)

    def _refit(
        self, study: Study, recipes: Mapping[str, Recipe]
    ) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
        """Test predictions of recipes that are settled, and of the default one's baselines.

        All are trained on everybody else, to their last epoch: nobody is left to choose one by.
        """
        whole = replace(study, split=study.split.without_validation())
        cells = {
            name: GridCell(
                f"{name}, outer split {study.split.split_seed}",
                replace(whole, recipe=recipe),
                self.options.stage2,
            )
            for name, recipe in recipes.items()
        }
        cycles = self.prepared.read(sorted(whole.split.train + whole.split.test))
        self._all(run_cell, list(cells.values()), cycles)
        predicted = {name: _last_stage(cell) for name, cell in cells.items()}
        return predicted, cells[DEFAULT].baseline_predictions()

    def _all(
        self, run: Callable[[GridCell, pa.Table], None], cells: list[GridCell], cycles: pa.Table
    ) -> None:
        gpu = cells[0].study.compute.device == "cuda"
        jobs = ((cell, cycles) for cell in cells)
        failures = []
        for cell, failure in run_grid(run, jobs, gpu=gpu, per_gpu=self.options.per_gpu):
            print(f"{cell.name}: {failure or 'done'}", flush=True)
            failures += [f"{cell.name}: {failure}"] if failure else []
        if failures:
            raise FloatingPointError("; ".join(failures))


@contextmanager
def start_search(options: SearchOptions) -> Iterator[Search]:
    """Check everything, prepare the cycles, and cut the outer and inner splits.

    Raises:
        InputError: bad input or an unusable setting, found before anything is trained.
    """
    recipe = options.recipe
    texts = SPACE + STAGE2_SPACE if options.stage2 else SPACE
    space = read_space(recipe, texts, options.vary, options.only)
    check_sampler(options.sampler, space)
    initial = initial_weights(recipe, options.seed)
    with open_setting(EXPERIMENT, options) as setting:
        prepared = setting.prepare(recipe.preprocess)
        compute = choose_compute(options, recipe)
        inner_seeds = range(options.inner_seed, options.inner_seed + options.inner_splits)
        inner = {
            split_seed: tuple(
                open_study(
                    replace(options, split_seed=split_seed, inner_seed=inner_seed),
                    setting.corpus,
                    prepared,
                    initial,
                    compute,
                )
                for inner_seed in inner_seeds
            )
            for split_seed in options.outer_seeds
        }
        identity = {
            "space": [str(dimension) for dimension in space],
            "sampler": options.sampler,
            "trials": options.trials,
            "caution": options.caution,
            "stage": STAGE2 if options.stage2 else STAGE1,
            "studies": [study.whole.key for studies in inner.values() for study in studies],
        }
        key = digest(identity)
        name = options.name or f"{recipe.preset}-{key[:8]}"
        folder = setting.storage / EXPERIMENT / name
        claim(folder, identity)
        warnings = {w for studies in inner.values() for study in studies for w in study.warnings}
        setting.warn(sorted(warnings))
        tracker = setting.children.enter_context(Tracker.start(setting.uri, EXPERIMENT, name, key))
        tracker.log_recipe(recipe)
        yield Search(setting, options, space, name, folder, tracker, prepared, inner)


def _last_stage(cell: GridCell) -> pd.DataFrame:
    predictions = cell.predictions()
    return predictions[predictions["stage"] == (STAGE2 if cell.stage2 else STAGE1)]


def best(trials: Sequence[Trial]) -> Trial | None:
    """The trial with the largest gain among those that came to all splits; None without a gain."""
    whole = [trial for trial in trials if trial.state == FINISHED and trial.gain is not None]
    winner = max(whole, key=lambda trial: trial.gain or 0.0, default=None)
    return winner if winner is not None and (winner.gain or 0.0) > 0 else None
