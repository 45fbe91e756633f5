from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from pages import rows, shown_images

from respire.data.corpora.icbhi_format import DEVICES, LOCATIONS
from respire.experiments.audit.check import check, errata
from respire.experiments.audit.claims import CLAIMS
from respire.experiments.audit.figures import blank_rows, cycle_lengths, cycles_by_device
from respire.experiments.audit.report import lead, page, summary, verdict
from respire.experiments.audit.summary import AuditSummary
from respire.labels import CLASSES
from respire.report.typed import read
from respire.runtime.storage import Storage

NAMES = CLASSES["4-class"]
COUNTS = {
    "AKGC417L": (32, 1922, 1543, 500, 381),
    "Meditron": (64, 1037, 215, 148, 56),
    "LittC2SE": (23, 347, 77, 126, 44),
    "Litt3200": (11, 336, 29, 112, 25),
}
TOP = {"AKGC417L": 0.05, "Meditron": 0.12, "LittC2SE": 0.22, "Litt3200": 0.93}


def made_of(patients: int, *classes: int) -> dict[str, Any]:
    return {
        "recordings": 2 * patients,
        "patients": patients,
        "cycles": sum(classes),
        "classes": dict(zip(NAMES, classes, strict=True)),
    }


def counted() -> dict[str, Any]:
    """A census as of the published data set, its lengths and places made up."""
    totals = np.array([classes for _, *classes in COUNTS.values()]).sum(0).tolist()
    devices = {
        device: {
            **made_of(*row),
            "share": sum(row[1:]) / sum(totals),
            "cycles_a_patient": sum(row[1:]) / row[0],
            "share_of_class": {
                name: n / total for name, n, total in zip(NAMES, row[1:], totals, strict=True)
            },
        }
        for device, row in COUNTS.items()
    }
    sides = {
        side: {**made_of(49, *classes), "share": share, "devices": devices}
        for side, share, classes in (
            ("train", 0.6, (2063, 1215, 501, 363)),
            ("test", 0.4, (1579, 649, 385, 143)),
        )
    }
    ends = {"shortest": 0.2, "mean": 2.7, "median": 2.5, "longest": 16.2}
    shared = {"patient": 156, "train_recordings": 9, "test_recordings": 8}
    return {
        **made_of(126, *totals),
        "recordings": 920,
        "hours": 5.49,
        "class_shares": {n: t / sum(totals) for n, t in zip(NAMES, totals, strict=True)},
        "devices": devices,
        "devices_used": 4,
        "patients_by_device": 130,
        "several_devices": {"112": ["Meditron", "Litt3200"]},
        "locations": {
            "used": 7,
            "recordings": dict.fromkeys(LOCATIONS, 131),
            "patients_by_number": {str(number): 18 for number in range(1, 8)},
            "patients_at_all": 18,
            "share_at_all": 18 / 126,
        },
        "cycle_s": {
            **ends,
            "quantiles": {"0.5": 2.54},
            "counts": {"under 3 s": 4468, "over 3 to 6 s": 2306, "4 to 6 s": 673},
            "shares": {"under 3 s": 0.648, "over 3 to 6 s": 0.334, "4 to 6 s": 0.098},
        },
        "recording_s": ends,
        "sample_rates": {"lowest_hz": 4000, "highest_hz": 4000, "recordings": {"4000": 920}},
        "official": {
            "sides": sides,
            "unlisted_recordings": 0,
            "listed_without_recording": 1,
            "shared_patients": 1,
            "shared": [{**shared, "test_cycles": 61, "test_both": 30}],
            "touched_cycles": 61,
            "touched_both": 30,
        },
    }


def results(compared: bool = True, official: bool = True) -> dict[str, Any]:
    census = counted()
    if not official:
        census["official"] = None
    blank = {
        device: {
            "windows": part["cycles"],
            "top_row": TOP[device],
            "cut": TOP[device] / 4,
            "rows": np.linspace(TOP[device], 0, 16).tolist(),
        }
        for device, part in census["devices"].items()
    }
    every = {"windows": 6898, "top_row": 0.147, "cut": 0.02, "rows": [0.147] * 16}
    blank_rows_ = {
        "row_hz": np.linspace(1949, 60, 16).tolist(),
        "all": every,
        "devices": blank,
    }
    checked = check({**census, "blank_rows": blank_rows_}, CLAIMS)
    paper = {
        "checked": len(checked),
        "agree": sum(one.status == "agrees" for one in checked),
        "numbers": [asdict(one) for one in checked],
        "errata": [asdict(erratum) for erratum in errata(checked)],
    }
    return {
        "experiment": "audit",
        "name": "named",
        "respire_version": "1.2.3",
        "recipe": {
            "preset": "paper",
            "features": {"window_seconds": 7.0, "blank_region": "clip"},
        },
        "census": census,
        "blank_rows": blank_rows_,
        "paper": paper if compared else None,
        "not_compared": None if compared else "3 recordings of 2 patients are others",
        "warnings": ["a warning"],
        "skipped": ["a recording: torn"],
        "seconds": {},
    }


@pytest.fixture(scope="module")
def lengths() -> np.ndarray:
    return np.random.default_rng(0).gamma(6, 0.45, 6898)


@pytest.fixture(scope="module")
def written(tmp_path_factory, lengths: np.ndarray) -> Path:
    folder = tmp_path_factory.mktemp("report")
    page(results(), lengths).write(Storage.at(folder))
    return folder


def test_every_number_of_the_paper_has_a_row(written: Path) -> None:
    found = rows((written / "report.md").read_text())
    for claim in CLAIMS:
        (row,) = [row for row in found if row[:2] == [claim.where, claim.what]]
        assert row[4] == claim.printed
    assert [row for row in found if row[:2] == ["Table 4", "Litt3200, normal"]] == [
        [
            "Table 4",
            "Litt3200, normal",
            "differs",
            "the numbers of Litt3200 and LittC2SE are swapped",
            "347",
            "336",
        ]
    ]


def test_errata_are_told_in_words_in_report_and_summary(written: Path) -> None:
    markdown, printed = (written / "report.md").read_text(), summary(results())
    for erratum in results()["paper"]["errata"]:
        assert [erratum["where"], erratum["what"], erratum["why"]] in rows(markdown)
        assert f"- {erratum['where']}: {erratum['what']}" in printed
    assert "swapped" in printed


def test_the_lead_counts_what_agrees_differs_and_hangs_on_the_copy() -> None:
    numbers = [one["status"] for one in results()["paper"]["numbers"]]
    text = lead(read(AuditSummary, results()))
    assert text.startswith(f"{numbers.count('agrees')} of the paper's {len(numbers)} numbers")
    assert f"{numbers.count('differs')} differ ({len(results()['paper']['errata'])} errata)" in text
    assert "2 hang on how this copy's audio was processed" in text
    without = results()
    without["paper"]["numbers"][0]["status"] = "not checked"
    assert "1 could not be checked" in lead(read(AuditSummary, without))


def test_without_a_comparison_nothing_of_the_paper_is_shown(tmp_path, lengths) -> None:
    bare = results(compared=False, official=False)
    page(bare, lengths).write(Storage.at(tmp_path))
    markdown = (tmp_path / "report.md").read_text()
    assert "3 recordings of 2 patients are others" in markdown
    assert "Errata" not in markdown
    assert "Official split" not in markdown
    assert "Official split" not in summary(bare)
    assert verdict(read(AuditSummary, bare)) == "14.7% of the windows are blank at the top."
    assert "1 patient on both sides of the official split" in verdict(read(AuditSummary, results()))


def test_tables_hold_the_census(written: Path) -> None:
    found = rows((written / "report.md").read_text())
    assert ["Litt3200", "22", "11", "336", "29", "112", "25", "502", "7.3", "45.6"] in found
    assert ["AKGC417L", "52.8", "82.8", "56.4", "75.3"] in found
    assert ["156", "9", "8", "61", "30"] in found
    assert ["Litt3200", "93.0", "23.2", "502"] in found
    assert ["4 to 6 s", "673", "9.8"] in found
    assert ["4,000", "920"] in found
    assert ["on more than one device", "112: Meditron and Litt3200", "1"] in found


def test_a_copy_at_fault_is_named_beside_the_blank_rows(written: Path) -> None:
    assert "These numbers are of this copy." in (written / "report.md").read_text()


def test_the_page_shows_its_three_figures(written: Path, tmp_path: Path) -> None:
    for name in ("cycles-by-device", "cycle-lengths", "blank-rows"):
        assert (written / f"{name}.png").stat().st_size > 10_000
        assert (written / f"{name}.svg").stat().st_size > 5_000
    assert shown_images(written / "report.html", tmp_path) == 3


def test_bars_are_as_high_as_there_are_cycles_and_told_apart_without_colour() -> None:
    (axis,) = cycles_by_device(read(AuditSummary, results()).census).axes
    heights = np.array([[bar.get_height() for bar in bars] for bars in axis.containers])
    assert heights.T.tolist() == [list(classes) for _, *classes in COUNTS.values()]
    looks = {(bars[0].get_hatch() or "") for bars in axis.containers}
    assert len(looks) == len({to_hex(bars[0].get_facecolor()) for bars in axis.containers}) == 4


def test_every_cycle_is_in_the_histogram_and_the_window_is_drawn(lengths: np.ndarray) -> None:
    left, right = cycle_lengths(lengths, 7.0).axes
    assert sum(bar.get_height() for bar in left.patches) == len(lengths)
    for axis in (left, right):
        assert 7.0 in [line.get_xdata()[0] for line in axis.get_lines()]
    marks = [line for line in right.get_lines() if len(line.get_xdata()) == 1]
    shares = {float(mark.get_xdata()[0]): float(mark.get_ydata()[0]) for mark in marks}
    expected = {mark: 100 * np.mean(lengths < mark) for mark in (3.0, 4.0, 6.0)}
    assert shares == pytest.approx(expected)


def test_every_device_is_in_the_blank_rows_figure_however_many_there_are() -> None:
    many = results()
    parts = many["blank_rows"]["devices"]
    parts |= {f"phone {number}": parts["Meditron"] for number in range(9)}
    left, right = blank_rows(read(AuditSummary, many).blank_rows).axes
    assert len(left.patches) == len(right.get_lines()) == len(parts) == 13


@pytest.mark.parametrize("length_s", [1.0, 3.5, 8.0])
def test_lengths_that_are_all_alike_leave_texts_apart(length_s: float) -> None:
    _, right = cycle_lengths(np.full(9, length_s), 7.0).axes
    heights = [text.xyann[1] for text in right.texts]
    assert min(np.diff(heights)) >= 6
    assert min(heights) > 0
    assert max(heights) < 100


def test_devices_without_windows_are_left_out_of_the_blank_rows_figure() -> None:
    without = results()
    without["blank_rows"]["devices"]["Meditron"] = {
        "windows": 0,
        "top_row": None,
        "cut": None,
        "rows": None,
    }
    left, right = blank_rows(read(AuditSummary, without).blank_rows).axes
    there = [device for device in DEVICES if device != "Meditron"]
    heights = [bar.get_height() for bar in left.patches]
    assert heights == pytest.approx([100 * TOP[device] for device in there])
    assert [line.get_label() for line in right.get_lines()] == there
    assert [line.get_ydata()[0] for line in right.get_lines()] == pytest.approx(heights)
