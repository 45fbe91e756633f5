"""The report of what a data set is made of, and of what the paper says about it."""

import numpy as np

from respire.experiments.audit.figures import blank_rows as draw_blank_rows
from respire.experiments.audit.figures import cycle_lengths, cycles_by_device
from respire.experiments.audit.tables import (
    Results,
    against_the_paper,
    blank_rows,
    devices,
    errata,
    lengths,
    official,
    patients,
    recordings,
    shared_patients,
    shares,
)
from respire.metrics import percent
from respire.report.page import Page, Picture, Section
from respire.report.style import count
from respire.runtime.storage import Storage


def write_report(results: Results, lengths_s: np.ndarray, directory: Storage) -> list[str]:
    """Write results.json, report.md, the self-contained report.html and the figures.

    Args:
        results: results.json as a dictionary (its fields: experiments/results/SCHEMA.md).
        lengths_s: length of every cycle in seconds, float64 [N].
        directory: where the files go.

    Returns:
        The figures' file names.

    Raises:
        InputError: the directory cannot be written.
    """
    census, blank = results["census"], results["blank_rows"]
    paper = [] if results["paper"] is None else [errata(results), against_the_paper(results)]
    overlap = [] if census["official"] is None else [official(results), shared_patients(results)]
    window_s = results["recipe"]["features"]["window_seconds"]
    return Page(
        results,
        facts=f"{census['patients']:,} patients, {census['recordings']:,} recordings, "
        f"{census['cycles']:,} cycles, {census['hours']:.2f} h · nothing was trained · "
        f"respire {results['respire_version']}",
        lead=lead(results),
        verdict=verdict(results),
        sections=[
            *([Section("The paper", paper)] * bool(paper)),
            Section(
                "Devices and classes",
                [devices(results), shares(results)],
                [
                    Picture(
                        "cycles-by-device",
                        "Cycles of each class by device (the paper's Table 4).",
                        cycles_by_device(census),
                    )
                ],
            ),
            Section("Patients", [patients(results)]),
            Section(
                "Lengths and sample rates",
                [lengths(results), recordings(results)],
                [
                    Picture(
                        "cycle-lengths",
                        "Length of the cycles (the paper's Figure 4). Longer ones than the dashed "
                        "line do not fit the window.",
                        cycle_lengths(lengths_s, window_s),
                    )
                ],
            ),
            *([Section("Official split", overlap)] * bool(overlap)),
            Section(
                "Blank rows",
                [blank_rows(results)],
                [
                    Picture(
                        "blank-rows",
                        "Windows whose top row is blank, and in how many each row is.",
                        draw_blank_rows(blank),
                    )
                ],
            ),
        ],
    ).write(directory)


def summary(results: Results) -> str:
    """What the command prints last."""
    tables = [
        devices(results),
        *([] if results["census"]["official"] is None else [official(results)]),
        blank_rows(results),
    ]
    wrong = [] if results["paper"] is None else results["paper"]["errata"]
    listed = [
        f"- {erratum['where']}: {erratum['what']}" + f" – {erratum['why']}" * bool(erratum["why"])
        for erratum in wrong
    ]
    parts = [lead(results), *(["\n".join(listed)] * bool(listed)), verdict(results)]
    return "\n\n".join([*parts, *(table.markdown() for table in tables)])


def lead(results: Results) -> str:
    """How the data stands to the paper, in a sentence."""
    paper = results["paper"]
    if paper is None:
        return f"Nothing is compared with the paper: {results['not_compared']}."
    numbers = paper["numbers"]
    left = {
        status: sum(one["status"] == status for one in numbers)
        for status in ("differs", "depends on the copy", "not checked")
    }
    others = [
        f", {left[status]} {words}"
        for status, words in (
            ("depends on the copy", "hang on how this copy's audio was processed"),
            ("not checked", "could not be checked"),
        )
        if left[status]
    ]
    different = len(paper["errata"])
    return (
        f"{paper['agree']} of the paper's {paper['checked']} numbers about the data set agree with "
        f"it; {left['differs']} differ ({different} {'erratum' if different == 1 else 'errata'})"
        f"{''.join(others)}."
    )


def verdict(results: Results) -> str:
    """What a reader should keep in mind."""
    official_ = results["census"]["official"]
    blank = results["blank_rows"]["all"]
    told = f"{percent(blank['top_row'])}% of the windows are blank at the top."
    if official_ is None:
        return told
    return (
        f"{count(official_['shared_patients'], 'patient')} on both sides of the official split, "
        f"with {count(official_['touched_cycles'], 'test cycle')}. {told}"
    )
