"""The report of a search: results.json in, page and sentences out."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from respire.experiments.search import figures as draw
from respire.metrics import percent
from respire.recipe.identity import flatten
from respire.report.numbers import between, points
from respire.report.page import Page, Picture, Section
from respire.report.reproduction import STAGES
from respire.report.table import Table
from respire.runtime.storage import Storage

SHOWN = 12
"""Trials that are listed of each outer split, the best first; results.json has all."""


def write_report(results: Mapping[str, Any], directory: Storage) -> list[str]:
    """Write results.json, report.md, the self-contained report.html and the figures.

    Args:
        results: results.json as a dictionary, strict (its fields: experiments/results/SCHEMA.md).
        directory: where the files go.

    Returns:
        Names of the figures' files.

    Raises:
        InputError: the directory cannot be written.
    """
    return Page(
        results,
        facts=_facts(results),
        lead=lead(results),
        verdict=verdict(results),
        sections=_sections(results),
    ).write(directory)


def summary(results: Mapping[str, Any]) -> str:
    """What the command prints last."""
    shown = [survival(results), winners(results)]
    return "\n\n".join([lead(results), verdict(results), *(t.markdown() for t in shown)])


def lead(results: Mapping[str, Any]) -> str:
    """The gain on validation, and what is left of it on test."""
    found, outer = results["survival"], results["outer"]
    trials = sum(len(of["trials"]) for of in outer)
    splits = "one outer split" if len(outer) == 1 else f"{len(outer)} outer splits"
    if not any(of["winner"] for of in outer):
        return (
            f"None of the {trials} recipes that were tried on {splits} is better on validation "
            f"than recipe {results['recipe']['preset']}."
        )
    return (
        f"On {splits}, the best of {trials} recipes gains {points(found['validation_gain'])} "
        f"points on validation over recipe {results['recipe']['preset']}, and "
        f"{100 * found['test_gain']:+.1f} points on test patients that no search has seen."
    )


def verdict(results: Mapping[str, Any]) -> str:
    """How far the gain can be trusted."""
    found, outer = results["survival"], results["outer"]
    if found["test"] is not None:
        test = found["test"]["new_patients"]
        return (
            f"Over the {found['outer_splits']} outer splits the gain on test has an interval of "
            f"{between((test['low'], test['high']))} points for new patients (p = {test['p']:.2g})."
        )
    winner = outer[0]["winner"]
    if winner is None:
        return "Nothing was gained, and nothing can be lost on test."
    apart = winner["on_patients"]
    if apart is None:
        return "The test side has too few patients for an interval of the gain."
    return (
        f"Over the {apart['patients']} test patients the {apart['level']:.0%} interval of that "
        f"gain is {between((apart['score']['low'], apart['score']['high']))} points, of these two "
        "models and this one outer split; repeat the search with more --outer-seeds to know more."
    )


def survival(results: Mapping[str, Any]) -> Table:
    """Default and winner on validation and test, by outer split."""
    rows = []
    for of in results["outer"]:
        default, winner = of["default"], of["winner"]
        validation = sum(default["validation"]) / len(default["validation"])
        gained = None if winner is None else winner["on_patients"]
        best = max(of["baselines"], key=lambda name: of["baselines"][name]["score"] or 0.0)
        rows.append(
            (
                str(of["split_seed"]),
                percent(validation),
                "–" if winner is None else f"{100 * winner['gain']:+.1f}",
                percent(default["test"]["score"]),
                "–" if winner is None else percent(winner["test"]["score"]),
                "–" if winner is None else f"{100 * winner['test_gain']:+.1f}",
                "–"
                if gained is None
                else between((gained["score"]["low"], gained["score"]["high"])),
                f"{percent(of['baselines'][best]['score'])} ({best})",
                f"{default['test']['n']:,}",
            )
        )
    return Table(
        "What survives on test (%)",
        (
            *("Outer split", "Default, validation", "Winner's gain there", "Default, test"),
            *("Winner, test", "Gain on test", "Interval", "Best baseline, test", "n"),
        ),
        tuple(rows),
        note=f"n: test cycles. {_chosen(results)}Both recipes were refitted on all but the test "
        "patients, for their last epoch (stage 2: their fixed number of epochs), since nobody is "
        "left to choose one by; the test patients were read once. Interval: over the test "
        "patients, of these two models. –: no recipe was better than the default on validation.",
    )


def _chosen(results: Mapping[str, Any]) -> str:
    """How the winner was chosen, where not by its gain alone."""
    caution = results["caution"]
    return f"Winner: largest gain less {caution:g} standard errors. " if caution else ""


def winners(results: Mapping[str, Any]) -> Table:
    """What the best recipe of each outer split changes."""
    default = flatten(results["recipe"])
    rows = []
    for of in results["outer"]:
        for trial in of["trials"]:
            if of["winner"] is None or trial["name"] != of["winner"]["name"]:
                continue
            rows += [
                (str(of["split_seed"]), field, _value(default[field]), _value(value))
                for field, value in trial["values"].items()
            ]
    return Table(
        "The best recipe",
        ("Outer split", "Field", "Default", "Best"),
        tuple(rows),
        text_columns=2,
        note="Complete in best-SPLIT.toml, which --recipe takes. A strength is the number that "
        "makes its range (respire/search_space.py).",
    )


def _trials(results: Mapping[str, Any]) -> Table:
    return Table(
        f"The {SHOWN} best trials of each outer split",
        ("Outer split", "Trial", "Gain (points)", "State", "Splits", "Values"),
        tuple(
            (
                str(of["split_seed"]),
                trial["name"],
                f"{100 * trial['gain']:+.1f}",
                trial["state"],
                str(len(trial["scores"])),
                ", ".join(f"{f.split('.')[1]} {_value(v)}" for f, v in trial["values"].items()),
            )
            for of in results["outer"]
            for trial in sorted(
                (trial for trial in of["trials"] if trial["gain"] is not None),
                key=lambda trial: (-len(trial["scores"]), -trial["gain"]),
            )[:SHOWN]
        ),
        text_columns=2,
        note="Gain over the default recipe on the inner splits that a trial came to.",
    )


def _states(results: Mapping[str, Any]) -> Table:
    """How the trials ended, and why some failed."""
    rows = []
    for of in results["outer"]:
        counted = Counter((trial["state"], trial["reason"]) for trial in of["trials"])
        rows += [
            (str(of["split_seed"]), state, reason or "–", str(n))
            for (state, reason), n in sorted(counted.items())
        ]
    return Table(
        "How trials ended", ("Outer split", "State", "Reason", "n"), tuple(rows), text_columns=3
    )


def _made(results: Mapping[str, Any]) -> list[Table]:
    run = (
        ("respire", results["respire_version"]),
        ("numerics version", str(results["numerics_version"])),
        ("training in trials (s)", f"{sum(of['train_s'] for of in results['outer']):,.1f}"),
        *((f"{step} (s)", f"{took:,.1f}") for step, took in results["seconds"].items()),
        ("peak memory (MiB)", f"{results['peak_memory_mib']:,.0f}"),
        *((name, str(value)) for name, value in results["environment"].items()),
    )
    space = tuple(tuple(text.split("=", 1)) for text in results["space"])
    recipe = tuple((name, str(value)) for name, value in flatten(results["recipe"]).items())
    return [
        Table("Search space", ("Field", "Values"), space, text_columns=2),
        Table("Run", ("", "Value"), run, text_columns=2),
        Table("Default recipe", ("Field", "Value"), recipe, text_columns=2),
    ]


def _sections(results: Mapping[str, Any]) -> list[Section]:
    outer = results["outer"]
    scored = [trial for of in outer for trial in of["trials"] if trial["gain"] is not None]
    pictures: list[Picture] = []
    if scored:
        drawn: dict[str, tuple[str, Figure]] = {
            "history": (
                "Gain of every trial over the default recipe on the same inner splits, and the "
                "best so far of those that came to all.",
                draw.history(outer),
            )
        }
        if draw.fields_that_differ(scored):
            drawn["parallel-coordinates"] = (
                "A line a trial through the values it varied; the colour is its gain.",
                draw.parallel_coordinates(outer),
            )
            drawn["slices"] = (
                "Gain against each field by itself; open: stopped early.",
                draw.slices(outer),
            )
        if any(of["importance"] for of in outer):
            drawn["importance"] = (
                "Share of the gain's variance that each field explains by itself (fANOVA); fields "
                "that only some trials have are not in it.",
                draw.importance(outer),
            )
        pictures = [Picture(name, text, figure) for name, (text, figure) in drawn.items()]
    return [
        Section("Results", [survival(results), winners(results)]),
        Section("Trials", [_trials(results), _states(results)], pictures),
        Section("Reproduction", _made(results)),
    ]


def _facts(results: Mapping[str, Any]) -> str:
    outer = results["outer"]
    return (
        f"Recipe {results['recipe']['preset']}, {results['recipe']['task']}, "
        f"{STAGES[results['stage']].lower()} · {len(outer[0]['trials'])} trials by "
        f"{results['sampler']}, each on up to {len(outer[0]['inner_seeds'])} inner splits (seeds "
        f"{', '.join(map(str, outer[0]['inner_seeds']))}) · outer split seeds "
        f"{', '.join(str(of['split_seed']) for of in outer)} · "
        f"{results['recipe']['optimisation']['epochs']} epochs · training seed "
        f"{results['training_seed']} · respire {results['respire_version']}"
    )


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " to ".join(map(_value, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
