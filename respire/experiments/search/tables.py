"""Tables of a search: its summary in, rows of text out."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from respire.experiments.search.summary import SearchSummary
from respire.metrics import percent
from respire.report.numbers import between
from respire.report.table import Table

SHOWN = 12
"""Trials that are listed of each outer split, the best first; results.json has all."""


def survival(search: SearchSummary) -> Table:
    """Default and winner on validation and test, by outer split."""
    rows = []
    for split in search.outer:
        won = ["–"] * 4
        if winner := split.winner:
            apart = winner.on_patients
            interval = "–" if apart is None else between((apart.score.low, apart.score.high))
            won = [_gain(winner.gain), percent(winner.test.score), _gain(winner.test_gain)]
            won.append(interval)
        best = max(split.baselines, key=lambda name: split.baselines[name].score)
        rows.append(
            (
                str(split.split_seed),
                percent(sum(split.default) / len(split.default)),
                won[0],
                percent(split.test.score),
                *won[1:],
                f"{percent(split.baselines[best].score)} ({best})",
                f"{split.test.n:,}",
            )
        )
    chosen = ""
    if search.plan.caution:
        chosen = f"Winner: largest gain less {search.plan.caution:g} standard errors. "
    return Table(
        "What survives on test (%)",
        (
            *("Outer split", "Default, validation", "Winner's gain there", "Default, test"),
            *("Winner, test", "Gain on test", "Interval", "Best baseline, test", "n"),
        ),
        tuple(rows),
        note=f"n: test cycles. {chosen}Both recipes were refitted on all but the test "
        "patients, for their last epoch (stage 2: their fixed number of epochs), since nobody is "
        "left to choose one by; the test patients were read once. Interval: over the test "
        "patients, of these two models. –: no recipe was better than the default on validation.",
    )


def winners(search: SearchSummary) -> Table:
    """What the best recipe of each outer split changes."""
    default = search.recipe.flat()
    return Table(
        "The best recipe",
        ("Outer split", "Field", "Default", "Best"),
        tuple(
            (str(split.split_seed), field, _value(default[field]), _value(value))
            for split in search.outer
            if split.winner is not None
            for field, value in split.winner.trial.values.items()
        ),
        text_columns=2,
        note="Complete in best-SPLIT.toml, which --recipe takes. A strength is the number that "
        "makes its range (respire/experiments/search/space.py).",
    )


def trials(search: SearchSummary) -> Table:
    """The best trials, those that came to all splits first."""
    return Table(
        f"The {SHOWN} best trials of each outer split",
        ("Outer split", "Trial", "Gain (points)", "State", "Splits", "Values"),
        tuple(
            (
                str(split.split_seed),
                trial.name,
                _gain(split.gain(trial)),
                trial.state,
                str(len(trial.scores)),
                ", ".join(f"{f.split('.')[1]} {_value(v)}" for f, v in trial.values.items()),
            )
            for split in search.outer
            for trial in sorted(
                split.scored, key=lambda trial: (len(trial.scores), split.gain(trial)), reverse=True
            )[:SHOWN]
        ),
        text_columns=2,
        note="Gain over the default recipe on the inner splits that a trial came to.",
    )


def states(search: SearchSummary) -> Table:
    """How the trials ended, and why some failed."""
    counted = {
        split.split_seed: Counter((trial.state, trial.reason) for trial in split.trials)
        for split in search.outer
    }
    return Table(
        "How trials ended",
        ("Outer split", "State", "Reason", "n"),
        tuple(
            (str(seed), state, reason or "–", str(n))
            for seed, ends in counted.items()
            for (state, reason), n in sorted(ends.items())
        ),
        text_columns=3,
    )


def reproduction(search: SearchSummary, results: Mapping[str, Any]) -> list[Table]:
    """What it takes to do it again; results.json gives its header."""
    run = (
        ("respire", results["respire_version"]),
        ("numerics version", str(results["numerics_version"])),
        ("training in trials (s)", f"{sum(split.train_s for split in search.outer):,.1f}"),
        *((f"{step} (s)", f"{took:,.1f}") for step, took in results["seconds"].items()),
        ("peak memory (MiB)", f"{results['peak_memory_mib']:,.0f}"),
        *((name, str(value)) for name, value in results["environment"].items()),
    )
    space = tuple((d.field, str(d).partition("=")[2]) for d in search.space)
    recipe = tuple((name, str(value)) for name, value in search.recipe.flat().items())
    return [
        Table("Search space", ("Field", "Values"), space, text_columns=2),
        Table("Run", ("", "Value"), run, text_columns=2),
        Table("Default recipe", ("Field", "Value"), recipe, text_columns=2),
    ]


def _gain(fraction: float) -> str:
    return f"{100 * fraction:+.1f}"


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " to ".join(map(_value, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
