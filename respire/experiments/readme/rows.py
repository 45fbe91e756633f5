"""The README's result rows: what committed results.json say, in a sentence each."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- results -->\n", "<!-- /results -->"
"""What the rows stand between."""
SEEDS = "seed_variance/small-8x2"


def read(folder: Path, name: str) -> dict[str, Any]:
    """The results.json below experiments/results of an experiment and its name."""
    found: dict[str, Any] = json.loads((folder / name / "results.json").read_text())
    return found


def with_rows(text: str, folder: Path) -> str:
    """The README with the rows that the results in the folder give."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + rows(folder) + END + rest.split(END)[1]


def rows(folder: Path) -> str:
    """A Markdown table: a question, its answer and the report."""
    lines = ["| question | answer |", "|---|---|"]
    for name, question, answer in ROWS:
        report = f"[Report](experiments/results/{name}/report.md)"
        lines.append(f"| {question} | {answer(read(folder, name))} {report} |")
    return "\n".join(lines) + "\n"


def _one_score(results: Mapping[str, Any]) -> str:
    variant = results["variants"]["small"]
    score = variant["variance"]["stage1"]["score"]
    reach, mean = (
        f"{100 * of['value']:.1f} ({100 * of['low']:.1f}–{100 * of['high']:.1f})"
        for of in (score["single_half_width"], score["mean"])
    )
    return (
        f"To ± {reach} points, of one training on one of {score['splits']} splits. Their mean is "
        f"{mean}; calling everything normal has "
        f"{100 * variant['baselines']['majority']['score']:.1f}."
    )


def _test_epoch(results: Mapping[str, Any]) -> str:
    cost = results["variants"]["small"]["selection_cost"]
    gain = cost["best_less_chosen"]
    return (
        f"{_points(gain['mean'], gain['this_data_set'])} in {cost['runs']} trainings: the best "
        f"epoch on test, less the one that validation patients chose."
    )


def _techniques(results: Mapping[str, Any]) -> str:
    row = next(row for row in results["rows"] if row["name"] == "CNN + CBA + BRC")
    apart, ends = row["difference"], row["difference"]["these_patients"]
    return (
        f"{_points(apart['mean']['score'], ends)} on {len(apart['splits'])} splits, where the "
        f"paper has {row['printed']['gain']:+.1f}: {_shown(ends)}."
    )


def _search(results: Mapping[str, Any]) -> str:
    (outer,) = results["outer"]
    winner, known = outer["winner"], outer["winner"]["on_patients"]
    ends = known["score"]["low"], known["score"]["high"]
    return (
        f"The best of {len(outer['trials'])} gains {100 * winner['gain']:+.1f} points on "
        f"validation patients, {_points(winner['test_gain'], ends)} on {known['patients']} "
        f"patients that the search has not heard: {_shown(ends)}."
    )


def _audit(results: Mapping[str, Any]) -> str:
    paper = results["paper"]
    differ = sum(number["status"] == "differs" for number in paper["numbers"])
    return (
        f"Of {paper['checked']} numbers {paper['agree']} agree with the recordings and {differ} "
        f"differ, in {len(paper['errata'])} errata."
    )


def _points(mean: float, ends: Sequence[float]) -> str:
    return f"{100 * mean:+.1f} points ({100 * ends[0]:+.1f} to {100 * ends[1]:+.1f})"


def _shown(ends: Sequence[float]) -> str:
    return "not shown, for or against" if ends[0] <= 0 <= ends[1] else "shown"


ROWS: Sequence[tuple[str, str, Callable[[Mapping[str, Any]], str]]] = (
    (SEEDS, "How far can one Score be trusted?", _one_score),
    (SEEDS, "What is choosing the epoch on test worth?", _test_epoch),
    ("ablation/small-3-all", "Do the paper's CBA and BRC help?", _techniques),
    ("search/small-12x2", "Does a recipe that a search finds hold?", _search),
    ("audit/icbhi", "Is what the paper says of the data true?", _audit),
)
"""An experiment with its name, a question, and what answers it."""
