"""Write what a run found: results.json, report.md, report.html and figures."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from respire.experiments.full import figures, tables
from respire.experiments.full.tables import ALL
from respire.labels import CLASSES
from respire.metrics import MIN_SE, Scores, percent, shortcomings
from respire.report.confusion import confusion
from respire.report.page import Page, Picture, Section, strict
from respire.report.reproduction import STAGES, made
from respire.runtime.storage import Storage


def write_report(
    results: Mapping[str, Any], histories: pd.DataFrame, directory: Storage
) -> list[str]:
    """Write results.json, report.md, the self-contained report.html and three figures.

    results.json is written last: where it is, the report is whole. It is strict JSON: a number
    that is not finite becomes null.

    Args:
        results: results.json as a dictionary (its fields: experiments/results/SCHEMA.md).
        histories: a row an epoch of each run, with columns run ("stage1" or a device), epoch
            (from 1), train_loss and validation_score, or test_score where test selects (fraction,
            NaN where undefined).
        directory: where the files go.

    Returns:
        Names of the figures' files.

    Raises:
        InputError: the directory cannot be written.
    """
    results = strict(results)
    return Page(
        results,
        facts=_facts(results),
        lead=lead(results),
        verdict=verdict(results),
        sections=_sections(results, histories),
    ).write(directory)


def table(results: Mapping[str, Any]) -> str:
    """What a command prints last: lead sentence, stamps, scores, by device, recall, verdict."""
    results = strict(results)
    shown = (tables.scores(results), tables.scores_by_device(results), tables.recall(results))
    return "\n\n".join(
        [lead(results), *(each.markdown(results["stamps"]) for each in shown), verdict(results)]
    )


def lead(results: Mapping[str, Any]) -> str:
    """The result in one sentence, the best baseline beside it."""
    final = results["stages"]["stage2"]["overall"]
    interval = final["interval"]
    within = f"{interval['level']:.0%} interval {tables.interval(final)}, " if interval else ""
    test = results["split"]["sides"]["test"]
    # Choosing on test is seeing it.
    unseen = results["split"]["holds_out"] and results["selection"] == "validation"
    best = max(
        results["baselines"],
        key=lambda name: results["baselines"][name]["overall"]["score"] or 0.0,
    )
    return (
        f"Stage 2 reaches a Score of {percent(final['score'])}% "
        f"({within}Se {percent(final['se'])}%, Sp {percent(final['sp'])}%) on {final['n']:,} "
        f"cycles of {test['patients']:,} {'unseen' if unseen else 'test'} patients; stage 1 "
        f"{percent(results['stages']['stage1']['overall']['score'])}%, the best baseline "
        f"({best}) {percent(results['baselines'][best]['overall']['score'])}%."
    )


def verdict(results: Mapping[str, Any]) -> str:
    """Whether each stage counts as working, and why not."""
    baselines = {
        name: Scores.from_json(stored["overall"]) for name, stored in results["baselines"].items()
    }
    sentences = []
    for stage, label in STAGES.items():
        reasons = shortcomings(Scores.from_json(results["stages"][stage]["overall"]), baselines)
        if reasons:
            sentences.append(f"{label} does not count as working: {'; '.join(reasons)}.")
        else:
            sentences.append(
                f"{label} counts as working: Se of at least {MIN_SE:.0%}, every class recognised, "
                "a Score above all baselines."
            )
    if results["stamps"]:
        sentences.append(f"None of this is evidence: {'; '.join(results['stamps'])}.")
    return " ".join(sentences)


def _sections(results: Mapping[str, Any], histories: pd.DataFrame) -> list[Section]:
    curves, confusions, devices = _pictures(results, histories)
    return [
        Section(
            "Results",
            [tables.scores(results), tables.recall(results)],
            [confusions],
        ),
        Section("Devices", [tables.scores_by_device(results)], [devices]),
        Section("Training", [tables.finetuning(results)], [curves]),
        Section("Data", [tables.split(results)]),
        Section("Reproduction", made(results, {"": results["recipe"]})),
    ]


def _pictures(results: Mapping[str, Any], histories: pd.DataFrame) -> list[Picture]:
    stages, sides, stamps = results["stages"], results["split"]["sides"], results["stamps"]
    selection, devices = results["selection"], stages["stage2"]["devices"]

    drawn: dict[str, tuple[str, Figure]] = {
        "learning-curves": (
            f"Training loss and {selection} Score by epoch, of stage 1 and of each device's "
            "fine-tuning. A ring marks the epoch whose weights are used; a device without one "
            "keeps those of stage 1.",
            figures.learning_curves(
                histories,
                {
                    "stage1": stages["stage1"]["epoch"],
                    **{
                        device: None if tuned["decision"] == "kept stage 1" else tuned["epoch"]
                        for device, tuned in devices.items()
                    },
                },
                {
                    "stage1": (sides["train"]["cycles"], sides[selection]["cycles"]),
                    **{
                        device: tuple(
                            tables.cycles(results, side, device) for side in ("train", selection)
                        )
                        for device in devices
                    },
                },
                selection,
                stamps,
            ),
        ),
        "confusion": (
            "Test cycles by true and predicted class before and after device-specific "
            "fine-tuning: counts, and shares of the true class (as Fig. 6 of the paper).",
            confusion(
                {
                    label: np.array(stages[stage]["overall"]["confusion"])
                    for stage, label in STAGES.items()
                },
                CLASSES[results["recipe"]["task"]],
                stamps,
            ),
        ),
        "score-by-device": (
            "Score (dot), Se (triangle) and Sp (square) on the test cycles of each device; "
            "lines are the baselines' Scores.",
            figures.score_by_device(
                {
                    ALL: sides["test"]["patients"],
                    **{
                        device: sides["test"]["by_device"][device]["patients"]
                        for device in stages["stage1"]["by_device"]
                    },
                },
                {label: _groups(stages[stage]) for stage, label in STAGES.items()},
                {name: _groups(stored) for name, stored in results["baselines"].items()},
                stamps,
            ),
        ),
    }
    return [Picture(name, caption, figure) for name, (caption, figure) in drawn.items()]


def _groups(model: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {ALL: model["overall"], **model["by_device"]}


def _facts(results: Mapping[str, Any]) -> str:
    split = results["split"]
    return (
        f"Recipe {results['recipe']['preset']}, {results['recipe']['task']} · "
        f"split {split['kind']}, split seed {split['split_seed']}, "
        f"inner seed {split['inner_seed']}, training seed {split['training_seed']} · epochs "
        f"chosen on {results['selection']} · respire {results['respire_version']} · "
        f"key {results['key']}"
    )
