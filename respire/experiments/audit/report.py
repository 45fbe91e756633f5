"""The report of what a data set is made of, and of what the paper says about it."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from respire.experiments.audit import figures, tables
from respire.experiments.audit.summary import AuditSummary
from respire.metrics import percent
from respire.report.numbers import count
from respire.report.page import Page, Picture, Section, printed
from respire.report.typed import read


def page(results: Mapping[str, Any], lengths_s: np.ndarray) -> Page:
    """The report.

    Args:
        results: content of results.json.
        lengths_s: length of every cycle in seconds, float64 [N].
    """
    audit = read(AuditSummary, results)
    census, blank, recipe, paper = audit.census, audit.blank_rows, audit.recipe, audit.paper
    by_device = (
        "Cycles of each class by device (as the paper's Table 4).",
        figures.cycles_by_device(census),
    )
    by_length = (
        "Length of the cycles (as the paper's Figure 4). Longer ones than the dashed line do not "
        "fit the window.",
        figures.cycle_lengths(lengths_s, recipe.features.window_seconds),
    )
    by_row = (
        "Windows whose top row is blank, and in how many each row is.",
        figures.blank_rows(blank),
    )
    of_devices = [tables.devices(census), tables.shares(census)]
    of_lengths = [tables.lengths(census), tables.recordings(census)]
    sections = [
        Section("Devices and classes", of_devices, [Picture("cycles-by-device", *by_device)]),
        Section("Patients", [tables.patients(census)]),
        Section("Lengths and sample rates", of_lengths, [Picture("cycle-lengths", *by_length)]),
        Section("Blank rows", [tables.blank_rows(blank, recipe)], [Picture("blank-rows", *by_row)]),
    ]
    if split := census.official:
        overlap = [tables.official(split), *[tables.shared_patients(split)] * bool(split.shared)]
        sections.insert(-1, Section("Official split", overlap))
    if paper is not None:
        numbers = [tables.errata(paper), tables.against_the_paper(paper)]
        sections.insert(0, Section("The paper", numbers))
    return Page(
        results,
        facts=f"{census.patients:,} patients, {census.recordings:,} recordings, "
        f"{census.cycles:,} cycles, {census.hours:.2f} h · nothing was trained · "
        f"respire {results['respire_version']}",
        lead=lead(audit),
        verdict=verdict(audit),
        sections=sections,
    )


def summary(results: Mapping[str, Any]) -> str:
    """What the command prints last."""
    audit = read(AuditSummary, results)
    split, wrong = audit.census.official, audit.paper.errata if audit.paper else ()
    shown = [
        tables.devices(audit.census),
        *([] if split is None else [tables.official(split)]),
        tables.blank_rows(audit.blank_rows, audit.recipe),
    ]
    listed = [f"- {one.where}: {one.what}" + f" – {one.why}" * bool(one.why) for one in wrong]
    parts = [lead(audit), *(["\n".join(listed)] * bool(listed)), verdict(audit)]
    return printed(results, *parts, *shown)


def lead(audit: AuditSummary) -> str:
    """How the data stands to the paper, in a sentence."""
    paper = audit.paper
    if paper is None:
        return f"Nothing is compared with the paper: {audit.not_compared}."
    numbers = Counter(one.status for one in paper.numbers)
    copy, unchecked = numbers["depends on the copy"], numbers["not checked"]
    return (
        f"{paper.agree} of the paper's {paper.checked} numbers about the data set agree with it; "
        f"{numbers['differs']} differ ({len(paper.errata)} "
        f"{'erratum' if len(paper.errata) == 1 else 'errata'})"
        + f", {copy} hang on how this copy's audio was processed" * bool(copy)
        + f", {unchecked} could not be checked" * bool(unchecked)
        + "."
    )


def verdict(audit: AuditSummary) -> str:
    """What a reader should keep in mind."""
    split = audit.census.official
    blank = f"{percent(audit.blank_rows.all.top_row)}% of the windows are blank at the top."
    if split is None:
        return blank
    return (
        f"{count(split.shared_patients, 'patient')} on both sides of the official split, "
        f"with {count(split.touched_cycles, 'test cycle')}. {blank}"
    )
