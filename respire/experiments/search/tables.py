"""Tables of a search: its summary in, rows of text out."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from respire.experiments.search.summary import OuterSplit, SearchSummary
from respire.metrics import percent
from respire.report.numbers import NONE, between, signed
from respire.report.reproduction import made
from respire.report.table import Table

SHOWN = 12
"""Trials that are listed of each outer split, the best first; results.json has all."""


def survival(search: SearchSummary) -> Table:
    """Default and winner on validation and test, by outer split."""
    rows = [_survival(split) for split in search.outer]
    chosen = ""
    if search.caution:
        chosen = f"Winner: largest gain less {search.caution:g} standard errors. "
    return Table(
        "What survives on test (%)",
        tuple(rows[0]),
        tuple(tuple(row.values()) for row in rows),
        note=f"n: test cycles. {chosen}Both recipes were refitted on all but the test "
        "patients, for their last epoch (stage 2: their fixed number of epochs), since nobody is "
        "left to choose one by; the test patients were read once. Interval: over the test "
        "patients, of these two models. –: no recipe was better than the default on validation.",
    )


def winners(search: SearchSummary) -> list[Table]:
    """What the best recipe of each outer split changes; no table where nothing won."""
    default = search.recipe.flat()
    rows = tuple(
        (str(split.split_seed), field, _value(default[field]), _value(value))
        for split in search.outer
        for field, value in split.changes.items()
    )
    table = Table(
        "The best recipe",
        ("Outer split", "Field", "Default", "Best"),
        rows,
        text_columns=2,
        note="Complete in best-SPLIT.toml, which --recipe takes. Of a field that is a range the "
        "number that makes it is shown (respire/experiments/search/space.py).",
    )
    return [table] if rows else []


def trials(search: SearchSummary) -> Table:
    """The best trials, those that came to all splits first."""
    return Table(
        f"The {SHOWN} best trials of each outer split",
        ("Outer split", "Trial", "Gain (points)", "State", "Splits", "Values"),
        tuple(
            (
                *(str(split.split_seed), trial.name, signed(trial.gain or 0.0), trial.state),
                str(len(trial.scores)),
                ", ".join(f"{f.rpartition('.')[2]} {_value(v)}" for f, v in trial.values.items()),
            )
            for split in search.outer
            for trial in sorted(split.scored, key=lambda t: (-len(t.scores), -(t.gain or 0.0)))[
                :SHOWN
            ]
        ),
        text_columns=2,
        note="Gain over the default recipe on the inner splits that a trial came to.",
    )


def states(search: SearchSummary) -> Table:
    """How the trials ended, and why some failed."""
    return Table(
        "How trials ended",
        ("Outer split", "State", "Reason", "n"),
        tuple(
            (str(split.split_seed), state, reason or NONE, str(n))
            for split in search.outer
            for (state, reason), n in sorted(
                Counter((t.state, t.reason) for t in split.trials).items()
            )
        ),
        text_columns=3,
        note=f"Training in them took {sum(split.train_s for split in search.outer):,.1f} s.",
    )


def reproduction(search: SearchSummary, results: Mapping[str, Any]) -> list[Table]:
    """What it takes to do it again; results.json gives its header."""
    space = tuple((d.field, str(d).partition("=")[2]) for d in search.space)
    return [
        Table("Search space", ("Field", "Values"), space, text_columns=2),
        *made(results, {"the default": asdict(search.recipe)}),
    ]


def _survival(split: OuterSplit) -> dict[str, str]:
    """A row, by columns."""
    winner, default = split.winner, split.default
    apart = winner and winner.on_patients
    best = max(split.baselines, key=lambda name: split.baselines[name].score)
    return {
        "Outer split": str(split.split_seed),
        "Default, validation": percent(sum(default.validation) / len(default.validation)),
        "Winner's gain there": signed(winner.gain) if winner else NONE,
        "Default, test": percent(default.test.score),
        "Winner, test": percent(winner.test.score) if winner else NONE,
        "Gain on test": signed(winner.test_gain) if winner else NONE,
        "Interval": between((apart.score.low, apart.score.high) if apart else None),
        "Best baseline, test": f"{percent(split.baselines[best].score)} ({best})",
        "n": f"{default.test.n:,}",
    }


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " to ".join(map(_value, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
