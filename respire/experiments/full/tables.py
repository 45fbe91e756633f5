"""The report's tables: results.json in, rows of text out."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from respire.evaluation.assess import ABOUT_BEYOND, ABOUT_PATIENTS, BEYOND, LABELS, NAMES, Statistic
from respire.evaluation.decided import SHOWN, SHOWN_PRIORS
from respire.experiments.full.summary import StoredScores, Summary
from respire.labels import CLASSES
from respire.metrics import percent
from respire.report.numbers import NONE, between, ends, signed
from respire.report.reproduction import STAGES as TITLES
from respire.report.table import Table

SIDES = ("train", "validation", "test")
ALL = "all devices"


def scores(found: Summary) -> Table:
    """Se, Sp and Score of both stages and every baseline over all test cycles."""
    return Table(
        "Test scores (%)",
        ("", *LABELS.values(), "Interval of Score", "n"),
        tuple(
            (label, *_scores(model.overall, interval(model.overall)))
            for label, model in found.models.items()
        ),
        note="n: test cycles. Score = (Se + Sp) / 2. Predicting normal for every cycle gives "
        f"Se 0, Sp 100, Score 50. {_about_interval(found.stages.stage2.overall)} "
        "One split, one training seed: read small differences as ties.",
    )


def beyond(found: Summary) -> Table:
    """What a Score hides, one statistic a row."""
    counted = found.stages.stage2.overall["counted"]
    stages = {title: found.models[title].overall for title in TITLES.values()}
    models = {title: model.overall for title, model in found.models.items()}
    return Table(
        "Beyond one threshold (%; r: correlations)",
        ("", *models, "n"),
        tuple(
            (
                statistic.label,
                *(
                    _with_interval(statistic, of)
                    if title in stages
                    else statistic.written(of[statistic.name])
                    for title, of in models.items()
                ),
                f"{counted[statistic.counted]:,} {statistic.counted.split()[0]}",
            )
            for statistic in BEYOND
            if any(not undefined(of[statistic.name]) for of in models.values())
        ),
        note=f"In brackets the interval over patients. {ABOUT_BEYOND} {ABOUT_PATIENTS}",
    )


def subgroups(found: Summary) -> Table:
    """The Score of stage 2 for patients who have something in common."""
    told = found.subgroups
    few = "; ".join(f"{name} ({why})" for name, why in told.left_out.items())
    return Table(
        "Stage 2 by subgroup (%)",
        ("", "Group", *LABELS.values(), "Interval of Score", "Patients", "n"),
        tuple(
            (
                *(of.what, of.group, *map(percent, of.measures), ends(of.interval)),
                *(f"{of.patients:,}", f"{of.cycles:,}"),
            )
            for of in told.shown
        ),
        text_columns=2,
        note="n: test cycles. Subgroups are read, not tested: nobody was drawn by them, they "
        "overlap, and of so many some differ by chance." + f" Left out: {few}." * bool(few),
    )


def windows(found: Summary) -> list[Table]:
    """What windows do to the Score of stage 2; none where they could not be heard."""
    if (heard := found.windows) is None:
        return []
    difference = heard.difference
    gain = {
        name: NONE if difference is None else signed(difference[name]["value"]) for name in NAMES
    }
    score = None if difference is None else difference["score"]
    within = None if score is None else (score["low"], score["high"])
    why = f" No interval ({heard.no_interval})." * bool(heard.no_interval)
    return [
        Table(
            "Stage 2 on windows in place of cycles (%)",
            ("", *LABELS.values(), "Interval of Score", "n"),
            (
                ("annotated cycles", *_scores(heard.cycles, NONE)),
                ("windows", *_scores(heard.windows, NONE)),
                ("windows less cycles (points)", *gain.values(), between(within), NONE),
            ),
            note=f"Of the same {heard.recordings:,} test recordings: half-overlapping windows of "
            f"{heard.window_s:g} s, as respire predict hears recordings that nobody annotated. A "
            f"window is of the classes of all cycles whose midpoint lies in it; "
            f"{heard.without_cycle:,} more hold none. Interval: jackknife t over patients, each "
            f"with both.{why}",
        )
    ]


def seeds(found: Summary) -> list[Table]:
    """Every training seed beside the average of their probabilities; none where there is one."""
    if found.seeds is None:
        return []
    rows = []
    for stage, title in TITLES.items():
        members = [of[stage] for of in found.seeds.members.values()]
        for seed, scored in zip(found.seeds.members, members, strict=True):
            rows.append((title, f"seed {seed}", *_scores(scored, NONE)))
        means = (percent(np.mean([scored[name] for scored in members])) for name in NAMES)
        rows.append((title, "mean of the seeds' Scores", *means, NONE, f"{members[0]['n']:,}"))
        averaged = found.seeds.averaged[stage].overall
        rows.append((title, "their probabilities averaged", *_scores(averaged, interval(averaged))))
    return [
        Table(
            "Test scores by training seed (%)",
            ("", "", *LABELS.values(), "Interval of Score", "n"),
            tuple(rows),
            text_columns=2,
            note="n: test cycles. Averaged: of each cycle, the mean of the seeds' probabilities.",
        )
    ]


def scores_by_device(found: Summary) -> Table:
    """The same for the test cycles of each device."""
    return Table(
        "Test scores by device (%)",
        ("Device", "", *LABELS.values(), "n"),
        tuple(
            (device, label, *_scores(model.by_device[device]))
            for device in found.stages.stage1.by_device
            for label, model in found.models.items()
        ),
        text_columns=2,
        note="n: test cycles; without any there is nothing to compute.",
    )


def recall(found: Summary) -> Table:
    """Recall of every class over all test cycles."""
    totals = map(sum, found.stages.stage1.overall["confusion"])
    classes = zip(CLASSES[found.recipe["task"]], totals, strict=True)
    return Table(
        "Test recall by class (%)",
        ("", *(f"{name} (n = {n:,})" for name, n in classes)),
        tuple(
            (label, *map(percent, model.overall["recall"])) for label, model in found.models.items()
        ),
        note="n: test cycles of the class. The recall of normal is Sp.",
    )


def finetuning(found: Summary, side: str) -> Table:
    """What became of each device in stage 2, and why; ``side`` selected, or "none" did."""
    counted = "train" if side == "none" else side

    def score(selecting: StoredScores | None) -> str:
        return NONE if selecting is None else percent(selecting["score"])

    scored: dict[str, Callable[[str, Any], str]] = {
        "Score before (%)": lambda _, tuned: score(tuned.selecting_before),
        "Score after (%)": lambda _, tuned: score(tuned.selecting_after),
    }
    return Table.of(
        "Fine-tuning by device",
        {
            "Device": lambda device, _: device,
            "Decision": lambda _, tuned: tuned.decision,
            "Reason": lambda _, tuned: tuned.reason,
            "Epoch": lambda _, tuned: str(tuned.epoch or NONE),
            "Learning rate": lambda _, tuned: (
                NONE if tuned.learning_rate is None else f"{tuned.learning_rate:.3g}"
            ),
            **({} if side == "none" else scored),
            "n": lambda device, _: f"{cycles(found, counted, device):,}",
        },
        found.stages.stage2.devices.items(),
        text_columns=3,
        note="n: train cycles of the device."
        if side == "none"
        else f"Scores and n: {side} cycles of the device; –: there was nothing to compute.",
    )


def along_prior(found: Summary) -> Table:
    """The Score of stage 2 under some priors; that on test is marked."""
    along, sides = found.along_prior, found.split.sides
    rows = {"validation": along.validation, "test (not a choice)": along.test}
    return Table(
        "Score of stage 2 by prior (%)",
        ("Side", *(f"{prior:g}" for prior in SHOWN_PRIORS), "n"),
        tuple(
            (side, *map(percent, scores[SHOWN]), f"{sides[side.split()[0]]['cycles']:,}")
            for side, scores in rows.items()
            if scores is not None
        ),
        note="n: cycles. Prior 0: all classes equally common; 1: as they count in the Score. Who "
        "knows nothing has a Score of 25 at 0 in the mean, calling all four classes equally often, "
        "and of 50 at 1, calling everything normal.",
    )


def split(found: Summary) -> Table:
    """Patients, recordings and cycles of each side, by device and class."""
    cut, sides = found.split, found.split.sides
    names = tuple(sides["train"]["by_class"])
    return Table(
        "Split",
        ("Side", "Device", "Patients", "Recordings", "Cycles", *names),
        tuple(
            (
                *(side, device),
                *(f"{part[count]:,}" for count in ("patients", "recordings", "cycles")),
                *(f"{part['by_class'].get(name, 0):,}" for name in names),
            )
            for side in SIDES
            if sides[side]["cycles"]
            for device, part in {ALL: sides[side], **sides[side]["by_device"]}.items()
        ),
        text_columns=2,
        note=f"Split {cut.kind}, split seed {cut.split_seed}, inner seed {cut.inner_seed}, "
        f"training seed {cut.training_seed}. A patient recorded on two devices counts once in all "
        "devices.",
    )


def cycles(found: Summary, side: str, device: str) -> int:
    """Cycles of a device on a side of the split."""
    by_device = found.split.sides[side]["by_device"]
    return by_device[device]["cycles"] if device in by_device else 0


def interval(stored: StoredScores) -> str:
    """Low and high end of the Score's interval in percent, "–" where there is none."""
    found = stored["interval"]
    return ends(None if found is None else found["score"])


def _about_interval(stored: StoredScores) -> str:
    found = stored["interval"]
    if found is None:
        return f"No interval of the Score ({stored['no_interval']})."
    return (
        f"Interval: {found['level']:.0%}, jackknife t over the {found['patients']:,} test "
        f"patients; on simulated test sides of such patients it holds the true Score "
        f"{found['coverage']:.0%} of the time."
    )


def undefined(value: float | None) -> bool:
    """Whether a number of results.json is none."""
    return value is None or np.isnan(value)


def _with_interval(statistic: Statistic, stored: StoredScores) -> str:
    """A statistic and, where it has one, its interval over patients."""
    written = statistic.written(stored[statistic.name])
    known = stored["interval"] and stored["interval"][statistic.name]
    return f"{written} ({_ends(statistic, known)})" if known else written


def _ends(statistic: Statistic, known: Sequence[float]) -> str:
    joined = "–" if statistic.least == 0 else " to "
    return joined.join(map(statistic.written, known))


def _scores(stored: StoredScores, *beside: str) -> tuple[str, ...]:
    """Every statistic, what stands beside it, and n."""
    shares = (percent(stored[name]) for name in NAMES)
    return (*shares, *beside, f"{stored['n']:,}")
