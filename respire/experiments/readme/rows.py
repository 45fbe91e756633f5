"""The README's result rows: what committed results.json say, in a sentence each."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- results -->\n", "<!-- /results -->"
"""What the rows stand between."""
Results = Mapping[str, Any]


def read(folder: Path, name: str) -> Results:
    """The results.json of an experiment and its name, such as ``search/small-12x2``."""
    found: Results = json.loads((folder / name / "results.json").read_text())
    return found


def with_rows(text: str, folder: Path) -> str:
    """The README with its rows made anew.

    Args:
        text: the README.
        folder: experiments/results.
    """
    before, rest = text.split(BEGIN)
    return before + BEGIN + rows(folder) + END + rest.split(END)[1]


def rows(folder: Path) -> str:
    """A Markdown table: a question, its answer with a link to the report.

    Args:
        folder: experiments/results.
    """
    lines = ["| question | answer |", "|---|---|"]
    for name, question, answer in ROWS:
        report = f"[Report](experiments/results/{name}/report.md)"
        lines.append(f"| {question} | {answer(read(folder, name))} {report} |")
    return "\n".join(lines) + "\n"


def _one_score(results: Results) -> str:
    variant = results["variants"]["small"]
    score = variant["variance"]["stage1"]["score"]
    reach = score["single_half_width"]
    majority = variant["baselines"]["majority"]["score"]
    mean = f"{_percent(score['mean'])} ({_ends(score['mean'])})"
    return (
        f"± {_percent(reach)} points ({_ends(reach)}) for one training on one of "
        f"{score['splits']} splits. The mean is {mean}; calling everything normal has "
        f"{100 * majority:.1f}."
    )


def _test_epoch(results: Results) -> str:
    cost = results["variants"]["small"]["selection_cost"]
    gain = cost["best_less_chosen"]
    low, high = gain["this_data_set"]
    return (
        f"{100 * gain['mean']:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f}) in "
        f"{cost['runs']} runs: the best epoch on test, less the one that validation patients chose."
    )


def _techniques(results: Results) -> str:
    row = next(row for row in results["rows"] if row["name"] == "CNN + CBA + BRC")
    apart = row["difference"]
    return (
        f"{100 * apart['mean']['score']:+.1f} points ({_difference(apart['these_patients'])}) on "
        f"{len(apart['splits'])} splits, for the paper's {row['printed']['gain']:+.1f}: "
        f"{_shown(apart['these_patients'])}."
    )


def _search(results: Results) -> str:
    (outer,) = results["outer"]
    winner = outer["winner"]
    known = winner["on_patients"]
    ends = [known["score"][end] for end in ("low", "high")]
    return (
        f"{100 * winner['gain']:+.1f} points on validation patients with the best of "
        f"{len(outer['trials'])} recipes, {100 * winner['test_gain']:+.1f} ({_difference(ends)}) "
        f"on {known['patients']} patients that the search has not heard: {_shown(ends)}."
    )


def _audit(results: Results) -> str:
    paper = results["paper"]
    differ = sum(number["status"] == "differs" for number in paper["numbers"])
    return (
        f"Of {paper['checked']} numbers {paper['agree']} agree with the recordings and {differ} "
        f"differ, in {len(paper['errata'])} errata."
    )


ROWS: Sequence[tuple[str, str, Callable[[Results], str]]] = (
    ("seed_variance/small-8x2", "How far can one Score be trusted?", _one_score),
    ("seed_variance/small-8x2", "What is choosing the epoch on test worth?", _test_epoch),
    ("ablation/small-3-all", "Do the paper's CBA and BRC help?", _techniques),
    ("search/small-12x2", "Does a recipe that a search finds hold?", _search),
    ("audit/icbhi", "Is what the paper says of the data true?", _audit),
)
"""An experiment and its name, a question, and what answers it."""


def _percent(known: Mapping[str, float]) -> str:
    return f"{100 * known['value']:.1f}"


def _ends(known: Mapping[str, float]) -> str:
    return f"{100 * known['low']:.1f}–{100 * known['high']:.1f}"


def _difference(ends: Sequence[float]) -> str:
    return f"{100 * ends[0]:+.1f} to {100 * ends[1]:+.1f}"


def _shown(ends: Sequence[float]) -> str:
    """What a difference with this interval shows."""
    return "not shown, for or against" if ends[0] <= 0 <= ends[1] else "shown"
