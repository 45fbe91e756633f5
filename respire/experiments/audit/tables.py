"""The tables of a data set's audit: results.json in, rows of text out."""

from collections.abc import Mapping
from typing import Any

from respire.experiments.audit.check import shown
from respire.experiments.full.tables import ALL
from respire.labels import CLASSES
from respire.metrics import percent
from respire.report.style import count
from respire.report.table import Table

NAMES = CLASSES["4-class"]
Results = Mapping[str, Any]
"""results.json as a dictionary (its fields: experiments/results/SCHEMA.md)."""


def against_the_paper(results: Results) -> Table:
    """Every checked number of the paper beside ours."""
    return Table(
        "The paper's numbers about the data set",
        ("Where", "What", "Status", "Why", "Paper", "Here"),
        tuple(
            (
                one["where"],
                one["what"],
                one["status"],
                one["why"] or "–",
                one["printed"],
                shown(one["printed"], one["ours"]),
            )
            for one in results["paper"]["numbers"]
        ),
        text_columns=4,
        note="A number agrees if ours rounds to the printed one. Ours has one digit more.",
    )


def errata(results: Results) -> Table:
    """What the paper has wrong, in words."""
    return Table(
        "Errata of the paper",
        ("Where", "Paper (data)", "Explanation"),
        tuple(
            (erratum["where"], erratum["what"], erratum["why"] or "–")
            for erratum in results["paper"]["errata"]
        ),
        text_columns=3,
    )


def devices(results: Results) -> Table:
    """Cycles by device and class, as the paper's Table 4."""
    census = results["census"]
    return Table(
        "Cycles by device and class",
        ("Device", "Recordings", "Patients", *NAMES, "Cycles", "Share (%)", "Cycles a patient"),
        tuple(
            (
                device,
                f"{part['recordings']:,}",
                f"{part['patients']:,}",
                *(f"{part['classes'][name]:,}" for name in NAMES),
                f"{part['cycles']:,}",
                percent(part["cycles"] / census["cycles"]),
                f"{part['cycles'] / part['patients']:.1f}" if part["patients"] else "–",
            )
            for device, part in {**census["devices"], ALL: census}.items()
        ),
        note=f"Patients of the devices add up to {census['patients_by_device']:,}: "
        f"{count(len(census['several_devices']), 'patient')} on more than one.",
    )


def shares(results: Results) -> Table:
    """Where the cycles of each class come from, as the paper's Table 5."""
    return Table(
        "Share of each class by device (%)",
        ("Device", *NAMES),
        tuple(
            (device, *(percent(part["share_of_class"][name]) for name in NAMES))
            for device, part in results["census"]["devices"].items()
        ),
        note="Columns add up to 100.",
    )


def patients(results: Results) -> Table:
    """Who was recorded on several devices, and at how many locations."""
    census = results["census"]
    places = census["locations"]
    used = ", ".join(f"{place} {n:,}" for place, n in places["recordings"].items())
    return Table(
        "Patients",
        ("Of the patients", "Which", "n"),
        (
            *(
                ("on more than one device", f"{patient}: {' and '.join(names)}", "1")
                for patient, names in census["several_devices"].items()
            ),
            *(
                ("by locations recorded at", number, f"{n:,}")
                for number, n in places["patients_by_number"].items()
            ),
        ),
        text_columns=2,
        note=f"n: patients, of {census['patients']:,}. Recordings at each location: {used}.",
    )


def lengths(results: Results) -> Table:
    """Shares of cycles by length, as the paper's Fig. 4."""
    census = results["census"]
    of = census["cycle_s"]
    quantiles = ", ".join(
        f"{100 * float(q):g}% {value:.2f}" for q, value in of["quantiles"].items()
    )
    return Table(
        "Length of the cycles",
        ("Length", "Cycles", "Share (%)"),
        tuple((name, f"{n:,}", percent(of["shares"][name])) for name, n in of["counts"].items()),
        note=f"Of {census['cycles']:,} cycles, in s: {_ends(of)}; quantiles {quantiles}. Ranges "
        "overlap.",
    )


def recordings(results: Results) -> Table:
    """Sample rates of the files."""
    census = results["census"]
    return Table(
        "Recordings by sample rate",
        ("Sample rate (Hz)", "Recordings"),
        tuple(
            (f"{int(rate):,}", f"{n:,}") for rate, n in census["sample_rates"]["recordings"].items()
        ),
        note=f"As the files are. Length of the recordings in s: {_ends(census['recording_s'])}.",
    )


def official(results: Results) -> Table:
    """The two sides of the official split."""
    of = results["census"]["official"]
    return Table(
        "Official split",
        ("Side", "Device", "Recordings", "Patients", *NAMES, "Cycles"),
        tuple(
            (
                side,
                device,
                f"{part['recordings']:,}",
                f"{part['patients']:,}",
                *(f"{part['classes'][name]:,}" for name in NAMES),
                f"{part['cycles']:,}",
            )
            for side, whole in of["sides"].items()
            for device, part in {ALL: whole, **whole["devices"]}.items()
        ),
        text_columns=2,
        note=f"Recordings that are not listed: {of['unlisted_recordings']:,}; listed ones that are "
        f"not here: {of['listed_without_recording']:,}.",
    )


def shared_patients(results: Results) -> Table:
    """Who is on both sides of the official split."""
    of = results["census"]["official"]
    both = of["sides"]["test"]["classes"]["both"]
    return Table(
        "Patients on both sides of the official split",
        ("Patient", "Recordings in train", "Recordings in test", "Test cycles", "of them both"),
        tuple(
            (
                str(one["patient"]),
                f"{one['train_recordings']:,}",
                f"{one['test_recordings']:,}",
                f"{one['test_cycles']:,}",
                f"{one['test_both']:,}",
            )
            for one in of["shared"]
        ),
        note=f"Together {of['touched_cycles']:,} of {of['sides']['test']['cycles']:,} test cycles, "
        f"among them {of['touched_both']:,} of {both:,} of class both.",
    )


def blank_rows(results: Results) -> Table:
    """How much of the images is blank, by device."""
    blank = results["blank_rows"]
    keeps = results["recipe"]["features"]["blank_region"] == "keep"
    kept = "The recipe keeps all rows; the second column is what clip would cut. " * keeps
    return Table(
        "Blank rows of the images",
        ("Device", "Top row blank (% of windows)", "Rows clipped (mean %)", "Windows"),
        tuple(
            (device, percent(part["top_row"]), percent(part["cut"]), f"{part['windows']:,}")
            for device, part in {**blank["devices"], ALL: blank["all"]}.items()
        ),
        note=f"Recipe {results['recipe']['preset']}; the top row's middle is at "
        f"{blank['row_hz'][0]:,.0f} Hz. {kept}Whether a row is blank hangs on how a copy's audio "
        "was processed: filtering and resampling empty rows, rounding and gain fill them. These "
        "numbers are of this copy.",
    )


def _ends(of: Mapping[str, float]) -> str:
    ends = f"{of['shortest']:.2f} to {of['longest']:.2f}"
    return f"{ends}, mean {of['mean']:.2f}, median {of['median']:.2f}"
