"""The README's result rows: what committed results.json say, in a sentence each."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from respire.metrics import percent
from respire.report.numbers import between, ends, signed

BEGIN, END = "<!-- results -->\n", "<!-- /results -->"
"""What the rows stand between."""
Results = Mapping[str, Any]


class Row(NamedTuple):
    """A question, the experiment and name of what answers it, and the answer from its results."""

    question: str
    name: str
    answer: Callable[[Results], str]


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
    for question, name, answer in ROWS:
        report = f"[Report](experiments/results/{name}/report.md)"
        lines.append(f"| {question} | {answer(read(folder, name))} {report} |")
    return "\n".join(lines) + "\n"


def official(results: Results) -> str:
    """Both stages of several trainings, and their mean probabilities."""
    members = results["seeds"]["members"].values()
    first, tuned = ([of[stage]["score"] for of in members] for stage in ("stage1", "stage2"))
    together = results["seeds"]["averaged"]["stage1"]["overall"]
    best = f"{percent(together['score'])} ({ends(together['interval']['score'])})"
    (shared,) = (line for line in results["warnings"] if "on both sides" in line)
    told = re.search(r"patients ([\d, ]+) on both sides: (\d+) of (\d+) test cycles", shared)
    assert told is not None
    patients, heard, tested = told.groups()
    return (
        f"With ImageNet's ResNet-18, the last epoch and no look at test, a Score of "
        f"{percent(fmean(first))} in the mean of {len(first)} trainings, {best} by their averaged "
        f"probabilities; fine-tuned for each device {percent(fmean(tuned))}. Of "
        f"{int(tested):,} test cycles {heard} are of patients {patients}, whom training heard too."
    )


def luck(results: Results) -> str:
    """How far one training on one split is from the mean, and what share is the split's."""
    (variant,) = results["variants"].values()
    score = variant["variance"]["stage1"]["score"]
    reach, mean = (
        f"{percent(at['value'])} ({ends((at['low'], at['high']))})"
        for at in (score["single_half_width"], score["mean"])
    )
    value, low, high = (f"{score['share'][part]:.0%}" for part in ("value", "low", "high"))
    return (
        f"To ± {reach} points, of one training on one of {score['splits']} splits. Their mean is "
        f"{mean}; calling everything normal has "
        f"{percent(variant['baselines']['majority']['score'])}. The choice of test patients makes "
        f"{value} of the variance ({low}–{high}), the training seed the rest."
    )


def weights(results: Results) -> str:
    """One recipe with and without, on the same splits."""
    compared = results["comparison"]
    score = compared["stages"]["stage1"]["score"]
    with_, without = (
        percent(fmean(run["score"] for run in results["runs"] if run["variant"] == compared[side]))
        for side in "ab"
    )
    baselines = results["variants"][compared["a"]]["baselines"]
    return (
        f"{_gain(score['mean'], score['this_data_set'])} on {score['splits']} splits: a mean of "
        f"{with_} with them, {without} without. The classical baseline has "
        f"{percent(baselines['spectral statistics']['score'])} there."
    )


def shortcuts(results: Results) -> str:
    """Patients on both sides, an epoch chosen on test, and test cycles padded by their labels."""
    gain = {
        row["name"]: _difference(row)
        for row in results["rows"]
        if row["difference"] and row["difference"]["these_patients"]
    }
    return (
        f"A split by cycle, whose patients are on both sides, {gain['split by cycle']}, one by "
        f"recording {gain['split by recording']}; the best epoch on test in place of the last "
        f"{gain['epoch chosen on test']}, test cycles padded by their labels "
        f"{gain['test cycles padded by their labels']}: on {len(results['split_seeds'])} splits."
    )


def seams(results: Results) -> str:
    """How normal cycles are called alone and joined, by how a network was trained."""
    asked = {seam["variant"]: seam["called_normal"] for seam in results["seams"]}

    def called(variant: str) -> str:
        alone, joined = (100 * fmean(asked[variant][name]) for name in ("alone", "any"))
        return f"{alone:.0f}% and {joined:.0f}%"

    return (
        f"Normal test cycles called normal alone, and joined with any other: "
        f"{called('CNN + CBA')} with the paper's pairs, {called('CNN + CBA within a recording')} "
        f"with pairs within a recording, {called('CNN')} without. A seam means abnormal to a "
        f"network trained on the paper's pairs, and little to one whose pairs are of one recording."
    )


def techniques(results: Results) -> str:
    """CBA, BRC, both, and silence for neighbours, beside what the paper has."""
    gain = {row["name"]: _difference(row) for row in results["rows"] if row["difference"]}
    return (
        f"CBA {gain['CNN + CBA']}, BRC {gain['CNN + BRC']}, both {gain['CNN + CBA + BRC']}; "
        f"silence in place of smart padding {gain['CNN, zero padding']}: on "
        f"{len(results['split_seeds'])} splits."
    )


def listened(results: Results) -> str:
    """Each other window less the recipe's own."""
    compared = [row for row in results["rows"] if row["difference"]]
    own = next(row["name"] for row in results["rows"] if not row["difference"])
    gains = ", ".join(f"of {row['name']} {_difference(row)}" for row in compared)
    return f"In place of {own}, windows {gains}: on {len(results['split_seeds'])} splits."


def tuned(results: Results) -> str:
    """Stage 2 less stage 1, and where it loses or gains most."""
    row = results["rows"][1]
    apart = row["difference"]
    spread, new = apart["these_patients"], apart["new_patients"]
    name, most = max(row["by_device"].items(), key=lambda device: abs(device[1]["difference"]))
    return (
        f"{_gain(apart['mean']['score'], spread)} on {len(apart['splits'])} splits (for new "
        f"patients {between((new['low'], new['high']))}), where the paper has "
        f"{row['printed']['gain']:+.1f}; on {name}, where it changes most, "
        f"{_gain(most['difference'], most['interval'])}."
    )


def searched(results: Results) -> str:
    """The winner's gain where it was chosen, and where it was not."""
    (outer,) = results["outer"]
    winner, known = outer["winner"], outer["winner"]["on_patients"]
    heard = known["score"]["low"], known["score"]["high"]
    return (
        f"The best of {len(outer['trials'])} gains {signed(winner['gain'])} points on validation "
        f"patients, {_gain(winner['test_gain'], heard)} on {known['patients']} patients that the "
        f"search has not heard: {_shown(heard)}."
    )


def audited(results: Results) -> str:
    """How many of the paper's numbers hold."""
    paper = results["paper"]
    differ = sum(number["status"] == "differs" for number in paper["numbers"])
    return (
        f"Of {paper['checked']} numbers {paper['agree']} agree with the recordings and {differ} "
        f"differ, in {len(paper['errata'])} errata."
    )


def _difference(row: Results) -> str:
    """A row's gain over the one it is compared with, and the paper's where it has one."""
    apart, paper = row["difference"], row["printed"]["gain"]
    printed = "" if paper is None else f"; paper {paper:+.1f}"
    return _gain(apart["mean"]["score"], apart["these_patients"], printed)


def _gain(mean: float, interval: Sequence[float], printed: str = "") -> str:
    return f"{signed(mean)} points ({between(interval)}{printed})"


def _shown(interval: Sequence[float]) -> str:
    return "not shown, for or against" if interval[0] <= 0 <= interval[1] else "shown"


SEEDS = "seed_variance/light-10x2"
TECHNIQUES = "ablation/light-3"
ROWS = (
    Row(
        "What does RespireNet's idea reach on the official split?",
        "full/transfer-official",
        official,
    ),
    Row("How far can one Score be trusted?", SEEDS, luck),
    Row("What are ImageNet's weights worth?", "seed_variance/light-weights", weights),
    Row("What are four shortcuts worth?", "leakage/light-3-all", shortcuts),
    Row("Does CBA teach what it means to?", TECHNIQUES, seams),
    Row("What are CBA, BRC and smart padding worth?", TECHNIQUES, techniques),
    Row("Do longer windows help?", "window_length/light-3", listened),
    Row("Does fine-tuning for each device help?", "device_finetuning/light-8", tuned),
    Row("Does a recipe that a search finds hold?", "search/light", searched),
    Row("Is what the paper says of the data true?", "audit/icbhi", audited),
)
