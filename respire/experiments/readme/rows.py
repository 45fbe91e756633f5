"""The README's result rows: what committed results.json say, in a sentence each."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from respire.report.numbers import between, ends, points, signed
from respire.statistics.variance import decompose

BEGIN, END = "<!-- results -->\n", "<!-- /results -->"
"""What the rows stand between."""
SEEDS = "seed_variance/small-8x2"
OLD_NEW = "seed_variance/small-old-new"
OFFICIAL = "full/transfer-official"
SEAMS = "ablation/light-cba"
NAMES = (
    *(OFFICIAL, SEEDS, OLD_NEW, SEAMS),
    *("ablation/small-3-all", "search/small-12x2", "audit/icbhi"),
)
"""Experiments with their names."""


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
    official, seeds, old_new, joined, *others = (read(folder, name) for name in NAMES)
    ablation, search, audit = others
    variant = seeds["variants"]["small"]
    score, cost = variant["variance"]["stage1"]["score"], variant["selection_cost"]
    gain = cost["best_less_chosen"]
    reach, mean = (
        f"{points(at['value'])} ({ends((at['low'], at['high']))})"
        for at in (half_width(seeds), score["mean"])
    )
    better = old_new["comparison"]["stages"]["stage1"]["score"]
    today = [run["score"] for run in old_new["runs"] if run["variant"] == "small"]
    baselines = old_new["variants"]["small"]["baselines"]
    classical = points(baselines["spectral statistics"]["score"])
    row = next(row for row in ablation["rows"] if row["name"] == "CNN + CBA + BRC")
    apart, paper = row["difference"], audit["paper"]
    spread = apart["these_patients"]
    (outer,) = search["outer"]
    winner, known = outer["winner"], outer["winner"]["on_patients"]
    heard = known["score"]["low"], known["score"]["high"]
    differ = sum(number["status"] == "differs" for number in paper["numbers"])
    asked = {seam["variant"]: seam["called_normal"] for seam in joined["seams"]}

    def called(variant: str) -> str:
        alone, seam = (100 * fmean(asked[variant][name]) for name in ("alone", "any"))
        return f"{alone:.0f}% and {seam:.0f}%"

    trainings = [stages["stage1"]["score"] for stages in official["seeds"]["members"].values()]
    together = official["seeds"]["averaged"]["stage1"]["overall"]
    best = f"{points(together['score'])} ({ends(together['interval']['score'])})"
    tuned = fmean(stages["stage2"]["score"] for stages in official["seeds"]["members"].values())
    answers = {
        "What does RespireNet's idea reach on the official split?": f"With ImageNet's ResNet-18, "
        f"the last epoch and no look at test, a Score of {points(fmean(trainings))} in the mean of "
        f"{len(trainings)} trainings, {best} by their averaged probabilities; fine-tuned for each "
        f"device {points(tuned)}.",
        "How far can one Score be trusted?": f"To ± {reach} points, of one training on one of "
        f"{score['splits']} splits. Their mean is {mean}; calling everything normal has "
        f"{points(variant['baselines']['majority']['score'])}.",
        "What is choosing the epoch on test worth?": f"{_gain(gain['mean'], gain['this_data_set'])}"
        f" in {cost['runs']} trainings: the best epoch on test, less the one that validation "
        f"patients chose.",
        "What do the Score's prior, the last epoch and overlapping frames bring?": f"Recipe "
        f"`small` {_gain(better['mean'], better['this_data_set'])} on {better['splits']} splits, "
        f"to a mean of {points(fmean(today))}; the classical baseline has {classical} there.",
        "Does CBA teach what it means to?": f"Normal test cycles called normal alone, and joined "
        f"with another's: {called('CNN + CBA')} with the paper's pairs, "
        f"{called('CNN + CBA within a recording')} with pairs within a recording, "
        f"{called('CNN')} without. A seam means abnormal, unless pairs are chosen.",
        "Do the paper's CBA and BRC help?": f"{_gain(apart['mean']['score'], spread)}"
        f" on {len(apart['splits'])} splits, where the paper has {row['printed']['gain']:+.1f}: "
        f"{_shown(spread)}.",
        "Does a recipe that a search finds hold?": f"The best of {len(outer['trials'])} gains "
        f"{signed(winner['gain'])} points on validation patients, "
        f"{_gain(winner['test_gain'], heard)} on {known['patients']} patients that the search has "
        f"not heard: {_shown(heard)}.",
        "Is what the paper says of the data true?": f"Of {paper['checked']} numbers "
        f"{paper['agree']} agree with the recordings and {differ} differ, in "
        f"{len(paper['errata'])} errata.",
    }
    lines = ["| question | answer |", "|---|---|"]
    reports = (OFFICIAL, SEEDS, *NAMES[1:])
    for name, (question, answer) in zip(reports, answers.items(), strict=True):
        report = f"[Report](experiments/results/{name}/report.md)"
        lines.append(f"| {question} | {answer} {report} |")
    return "\n".join(lines) + "\n"


def half_width(results: Mapping[str, Any]) -> dict[str, float]:
    """What one run of a seed_variance is worth, anew from its runs: value, low and high.

    The committed one was reckoned with 1.96 where a t quantile is due.
    """
    runs = pd.DataFrame(results["runs"])
    scores = runs[runs["variant"] == runs["variant"][0]].query("stage == 'stage1'")
    values = scores.pivot(index="split_seed", columns="seed", values="score").to_numpy()
    return asdict(decompose(values, n_test=0, n_train=1).single_half_width)


def _gain(mean: float, interval: Sequence[float]) -> str:
    return f"{signed(mean)} points ({between(interval)})"


def _shown(interval: Sequence[float]) -> str:
    return "not shown, for or against" if interval[0] <= 0 <= interval[1] else "shown"
