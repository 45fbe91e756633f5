"""Write what a run found: results.json, report.md, report.html and figures."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from respire.evaluation.evaluate import STAGE2
from respire.experiments.full import figures, tables
from respire.experiments.full.summary import Model, StoredScores, Summary
from respire.experiments.full.tables import ALL
from respire.labels import CLASSES
from respire.metrics import MIN_SE, Scores, percent, shortcomings
from respire.report.confusion import confusion
from respire.report.numbers import epochs_of
from respire.report.page import Page, Picture, Section, printed
from respire.report.reproduction import made
from respire.report.typed import Header, read


def page(results: Mapping[str, Any], histories: pd.DataFrame) -> Page:
    """The report.

    Args:
        results: content of results.json.
        histories: a row an epoch of each run, with columns run ("stage1" or a device), epoch
            (from 1), train_loss and validation_score, or test_score where test selects (fraction,
            NaN where undefined).
    """
    header, found = read(Header, results), read(Summary, results)
    return Page(
        results,
        facts=_facts(header, found),
        lead=lead(header, found),
        verdict=verdict(header, found),
        sections=_sections(header, found, results, histories),
    )


def summary(results: Mapping[str, Any]) -> str:
    """What the command prints last: lead sentence, stamps, scores, by device, recall, verdict."""
    header, found = read(Header, results), read(Summary, results)
    shown = (
        *(tables.scores(found), *tables.seeds(found)),
        *(tables.scores_by_device(found), tables.recall(found)),
    )
    return printed(results, lead(header, found), *shown, verdict(header, found))


def lead(header: Header, found: Summary) -> str:
    """The result in one sentence, the best baseline beside it."""
    final = found.stages.stage2.overall
    interval = final["interval"]
    within = f"{interval['level']:.0%} interval {tables.interval(final)}, " if interval else ""
    # Choosing on test is seeing it.
    seen = "unseen" if found.split.holds_out and header.selection != "test" else "test"
    patients = found.split.sides["test"]["patients"]
    whose = f"of {patients:,} {seen} patients" if patients else "of patients who are not known"
    scores = {name: model.overall["score"] or 0.0 for name, model in found.baselines.items()}
    best = max(scores, key=lambda name: scores[name])
    return (
        f"Stage 2 reaches a Score of {percent(final['score'])}% "
        f"({within}Se {percent(final['se'])}%, Sp {percent(final['sp'])}%) on {final['n']:,} "
        f"cycles {whose}; stage 1 {percent(found.stages.stage1.overall['score'])}%, the best "
        f"baseline ({best}) {percent(found.baselines[best].overall['score'])}%." + _averaged(found)
    )


def _averaged(found: Summary) -> str:
    """What several training seeds reach together, as one more sentence."""
    if found.seeds is None:
        return ""
    final = found.seeds.averaged[STAGE2].overall
    return (
        f" That is one training; the probabilities of {len(found.seeds.members)} averaged reach "
        f"{percent(final['score'])}% (Se {percent(final['se'])}%, Sp {percent(final['sp'])}%)."
    )


def verdict(header: Header, found: Summary) -> str:
    """Whether each stage counts as working, and why not."""
    baselines = {name: Scores.from_json(b.overall) for name, b in found.baselines.items()}
    sentences = []
    for label, model in list(found.models.items())[:2]:
        reasons = shortcomings(Scores.from_json(model.overall), baselines)
        if reasons:
            sentences.append(f"{label} does not count as working: {'; '.join(reasons)}.")
        else:
            sentences.append(
                f"{label} counts as working: Se of at least {MIN_SE:.0%}, every class recognised, "
                "a Score above all baselines."
            )
    if header.stamps:
        sentences.append(f"None of this is evidence: {'; '.join(header.stamps)}.")
    return " ".join(sentences)


def _sections(
    header: Header, found: Summary, results: Mapping[str, Any], histories: pd.DataFrame
) -> list[Section]:
    stages = dict(list(found.models.items())[:2])
    scored = "" if header.selection == "none" else f" and {header.selection} Score"
    curves = Picture(
        "learning-curves",
        f"Training loss{scored} by epoch, of stage 1 and of each device's fine-tuning. A ring "
        "marks the epoch whose weights are used; a device without one keeps those of stage 1.",
        _curves(header, found, histories),
    )
    priors = Picture(
        "score-by-prior",
        "Score of stage 2 under each prior of the classes, from 0, all equally common, to 1, as "
        "they count in the Score, and beyond. On test it was looked up to tell this, and is not a "
        "choice.",
        figures.score_by_prior(found.along_prior, _decided(found), _sizes(found), header.stamps),
    )
    matrices = {label: np.array(model.overall["confusion"]) for label, model in stages.items()}
    confusions = Picture(
        "confusion",
        "Test cycles by true and predicted class before and after device-specific "
        "fine-tuning: counts, and shares of the true class (as Fig. 6 of the paper).",
        confusion(matrices, CLASSES[found.recipe["task"]], header.stamps),
    )
    test = found.split.sides["test"]
    sides = {ALL: test} | {d: test["by_device"][d] for d in found.stages.stage1.by_device}
    devices = Picture(
        "score-by-device",
        "Score (dot), Se (triangle) and Sp (square) on the test cycles of each device; "
        "lines are the baselines' Scores.",
        figures.score_by_device(
            {group: side["patients"] for group, side in sides.items()},
            {label: _groups(model) for label, model in stages.items()},
            {name: _groups(model) for name, model in found.baselines.items()},
            header.stamps,
        ),
    )
    return [
        Section(
            "Results",
            [
                *(tables.scores(found), *tables.seeds(found)),
                *(tables.recall(found), *tables.windows(found)),
            ],
            [confusions],
        ),
        Section("Beyond one threshold", [tables.beyond(found)], _beyond(header, found)),
        Section("Devices", [tables.scores_by_device(found)], [devices]),
        *_subgroups(header, found),
        Section("Training", [tables.finetuning(found, header.selection)], [curves]),
        Section("Prior", [tables.along_prior(found)], [priors]),
        Section("Data", [tables.split(found)]),
        Section("Reproduction", made(results, {"": found.recipe})),
    ]


def _beyond(header: Header, found: Summary) -> list[Picture]:
    """What stage 2 would say at other thresholds, of probabilities, and of whole recordings."""
    baselines = {name: model.overall for name, model in found.baselines.items()}
    final, beyond = found.stages.stage2.overall, found.beyond
    return [
        Picture(
            "operating-curve",
            "Abnormal cycles that stage 2 gives their class against normal cycles it calls normal, "
            "as the threshold between normal and abnormal moves; the dot is what was decided. On "
            "the dashed line the Score is the same.",
            figures.operating_curve(beyond, final, baselines, header.stamps),
        ),
        Picture(
            "reliability",
            "Share of cycles that are abnormal against the probability that stage 2 gives, in bins "
            "of equal mass: below the line too much is "
            "called likely. Devices differ in how common abnormal cycles are.",
            figures.reliability(beyond, header.stamps),
        ),
        Picture(
            "answers",
            "Share of a recording's, and of a patient's, cycles that stage 2 calls abnormal "
            "against the share that is annotated so; a dot is as large as it holds cycles.",
            figures.answers(beyond, final, header.stamps),
        ),
    ]


def _subgroups(header: Header, found: Summary) -> list[Section]:
    """By sex, age, location and diagnosis; nothing where the corpus tells none of them."""
    told = found.subgroups
    if not (told.shown or told.left_out):
        return []
    picture = Picture(
        "subgroups",
        "Score of stage 2 for test patients who have something in common, with its interval over "
        "patients; the line is that of all. Subgroups are read, not tested.",
        figures.subgroups(told, found.stages.stage2.overall, header.stamps),
    )
    return [Section("Subgroups", [tables.subgroups(found)], [picture] * bool(told.shown))]


def _curves(header: Header, found: Summary, histories: pd.DataFrame) -> Figure:
    used = ("train",) if header.selection == "none" else ("train", header.selection)
    tuned = found.stages.stage2.devices
    rings = {d: None if t.decision == "kept stage 1" else t.epoch for d, t in tuned.items()}
    cycles = {d: tuple(tables.cycles(found, side, d) for side in used) for d in tuned}
    return figures.learning_curves(
        histories,
        {"stage1": found.stages.stage1.epoch, **rings},
        {"stage1": tuple(found.split.sides[side]["cycles"] for side in used), **cycles},
        *(header.selection, header.stamps),
    )


def _groups(model: Model) -> dict[str, StoredScores]:
    return {ALL: model.overall, **model.by_device}


def _decided(found: Summary) -> dict[str, float]:
    """The prior of training, and that which was decided under."""
    trained, given = found.recipe["optimisation"]["prior"], found.recipe["decision"]["prior"]
    return {"trained": trained, "decided": trained if given is None else given}


def _sizes(found: Summary) -> dict[str, int]:
    return {side: found.split.sides[side]["cycles"] for side in ("validation", "test")}


def _facts(header: Header, found: Summary) -> str:
    split = found.split
    return (
        f"Recipe {found.recipe['preset']}, {found.recipe['task']} · "
        f"split {split.kind}, split seed {split.split_seed}, "
        f"inner seed {split.inner_seed}, training seed {split.training_seed} · "
        f"{epochs_of(header.selection)} · respire {header.respire_version} · "
        f"key {header.key}"
    )
