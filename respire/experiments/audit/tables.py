"""The tables of a data set's audit."""

from respire.experiments.audit.census import NAMES, Census, Lengths, Official, Part
from respire.experiments.audit.check import shown
from respire.experiments.audit.summary import BlankRows, Paper
from respire.metrics import percent
from respire.recipe.recipe import Recipe
from respire.report.numbers import NONE, count
from respire.report.table import Table

ALL = "all devices"


def against_the_paper(paper: Paper) -> Table:
    """Every checked number of the paper beside ours."""
    return Table.of(
        "The paper's numbers about the data set",
        {
            "Where": lambda one: one.where,
            "What": lambda one: one.what,
            "Status": lambda one: one.status,
            "Why": lambda one: one.why or NONE,
            "Paper": lambda one: one.printed,
            "Here": lambda one: shown(one.printed, one.ours),
        },
        zip(paper.numbers),
        text_columns=4,
        note="A number agrees if ours rounds to the printed one. Ours has one digit more.",
    )


def errata(paper: Paper) -> Table:
    """What the paper has wrong, in words."""
    rows = tuple((wrong.where, wrong.what, wrong.why or NONE) for wrong in paper.errata)
    columns = ("Where", "Paper (data)", "Explanation")
    return Table("Errata of the paper", columns, rows, text_columns=3)


def devices(census: Census) -> Table:
    """Cycles by device and class, as the paper's Table 4."""
    return Table(
        "Cycles by device and class",
        ("Device", "Recordings", "Patients", *NAMES, "Cycles", "Share (%)", "Cycles a patient"),
        tuple(
            (
                *(device, *_counts(part), percent(part.cycles / census.cycles)),
                f"{part.cycles / part.patients:.1f}" if part.patients else NONE,
            )
            for device, part in {**census.devices, ALL: census}.items()
        ),
        note=f"Patients of the devices add up to {census.patients_by_device:,}: "
        f"{count(len(census.several_devices), 'patient')} on more than one.",
    )


def shares(census: Census) -> Table:
    """Where the cycles of each class come from, as the paper's Table 5."""
    return Table(
        "Share of each class by device (%)",
        ("Device", *NAMES),
        tuple(
            (device, *(percent(part.share_of_class[name]) for name in NAMES))
            for device, part in census.devices.items()
        ),
        note="Columns add up to 100.",
    )


def patients(census: Census) -> Table:
    """Who was recorded on several devices, and at how many locations."""
    places = census.locations
    several, numbers = census.several_devices, places.patients_by_number
    used = ", ".join(f"{place} {n:,}" for place, n in places.recordings.items())
    return Table(
        "Patients",
        ("Of the patients", "Which", "n"),
        (
            *(
                ("on more than one device", f"{p}: {' and '.join(several[p])}", "1")
                for p in several
            ),
            *(("by locations recorded at", number, f"{n:,}") for number, n in numbers.items()),
        ),
        text_columns=2,
        note=f"n: patients, of {census.patients:,}. Recordings at each location: {used}.",
    )


def lengths(census: Census) -> Table:
    """Shares of cycles by length, as the paper's Fig. 4."""
    cycle_s = census.cycle_s
    quantiles = ", ".join(f"{100 * float(q):g}% {s:.2f}" for q, s in cycle_s.quantiles.items())
    return Table(
        "Length of the cycles",
        ("Length", "Cycles", "Share (%)"),
        tuple(
            (name, f"{n:,}", percent(cycle_s.shares[name])) for name, n in cycle_s.counts.items()
        ),
        note=f"Of {census.cycles:,} cycles, in s: {_ends(cycle_s)}; quantiles {quantiles}. Ranges "
        "overlap.",
    )


def recordings(census: Census) -> Table:
    """Sample rates of the files."""
    rates = census.sample_rates.recordings
    return Table(
        "Recordings by sample rate",
        ("Sample rate (Hz)", "Recordings"),
        tuple((f"{int(rate):,}", f"{n:,}") for rate, n in rates.items()),
        note=f"As the files are. Length of the recordings in s: {_ends(census.recording_s)}.",
    )


def official(split: Official) -> Table:
    """The two sides of the official split."""
    return Table(
        "Official split",
        ("Side", "Device", "Recordings", "Patients", *NAMES, "Cycles"),
        tuple(
            (name, device, *_counts(part))
            for name, side in split.sides.items()
            for device, part in {ALL: side, **side.devices}.items()
        ),
        text_columns=2,
        note=f"Recordings that are not listed: {split.unlisted_recordings:,}; listed ones that are "
        f"not here: {split.listed_without_recording:,}.",
    )


def shared_patients(split: Official) -> Table:
    """Who is on both sides of the official split."""
    test = split.sides["test"]
    return Table.of(
        "Patients on both sides of the official split",
        {
            "Patient": lambda one: str(one.patient),
            "Recordings in train": lambda one: f"{one.train_recordings:,}",
            "Recordings in test": lambda one: f"{one.test_recordings:,}",
            "Test cycles": lambda one: f"{one.test_cycles:,}",
            "of them both": lambda one: f"{one.test_both:,}",
        },
        zip(split.shared),
        note=f"Together {split.touched_cycles:,} of {test.cycles:,} test cycles, among them "
        f"{split.touched_both:,} of {test.classes['both']:,} of class both.",
    )


def blank_rows(blank: BlankRows, recipe: Recipe) -> Table:
    """How much of the images is blank, by device."""
    keeps = recipe.features.blank_region == "keep"
    kept = "The recipe keeps all rows; the second column is what clip would cut. " * keeps
    return Table(
        "Blank rows of the images",
        ("Device", "Top row blank (% of windows)", "Rows clipped (mean %)", "Windows"),
        tuple(
            (device, percent(part.top_row), percent(part.cut), f"{part.windows:,}")
            for device, part in {**blank.devices, ALL: blank.all}.items()
        ),
        note=f"Recipe {recipe.preset}; the top row's middle is at {blank.row_hz[0]:,.0f} Hz. "
        f"{kept}Whether a row is blank hangs on how a copy's audio was processed: filtering and "
        "resampling empty rows, rounding and gain fill them. These numbers are of this copy.",
    )


def _counts(part: Part) -> list[str]:
    """Recordings, patients, cycles of each class, and all cycles."""
    classes = (part.classes[name] for name in NAMES)
    return [f"{n:,}" for n in (part.recordings, part.patients, *classes, part.cycles)]


def _ends(lengths: Lengths) -> str:
    ends = f"{lengths.shortest:.2f} to {lengths.longest:.2f}"
    return f"{ends}, mean {lengths.mean:.2f}, median {lengths.median:.2f}"
