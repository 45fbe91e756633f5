from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from respire.data.corpora.icbhi_format import DEVICES
from respire.experiments.audit.census import Part
from respire.experiments.audit.check import check, errata, is_published, look_up, shown
from respire.experiments.audit.claims import CLAIMS, Claim

PAPER = Path(__file__).resolve().parents[4] / "shared/paper"
needs_paper = pytest.mark.skipif(not PAPER.exists(), reason=f"no text of the paper at {PAPER}")


def devices(litt3200: int, litt_c2se: int) -> dict[str, Any]:
    return {"devices": {"Litt3200": {"cycles": litt3200}, "LittC2SE": {"cycles": litt_c2se}}}


LITTMANN = (
    Claim("Table 4", "Litt3200", "594", "devices.Litt3200.cycles"),
    Claim("Table 4", "LittC2SE", "502", "devices.LittC2SE.cycles"),
)


@pytest.mark.parametrize(
    ("printed", "value", "tolerance"),
    [("920", 920, 0.5), ("5.5", 5.5, 0.05), ("63%", 0.63, 0.005), ("0.10", 0.1, 0.005)],
)
def test_a_printed_number_allows_half_a_unit_of_its_last_digit(printed, value, tolerance) -> None:
    claim = Claim("Table 3", "share", printed, "share")
    assert claim.value == pytest.approx(value)
    assert claim.tolerance == pytest.approx(tolerance)
    assert claim.agrees(value + 0.99 * tolerance)
    assert claim.agrees(value - 0.99 * tolerance)
    assert not claim.agrees(value + 1.01 * tolerance)
    assert not claim.agrees(value - 1.01 * tolerance)
    assert not claim.agrees(None)


@given(st.floats(0, 100, allow_nan=False), st.integers(1, 4))
def test_what_is_printed_of_a_number_agrees_with_it(number: float, decimals: int) -> None:
    assert Claim("", "", f"{number:.{decimals}f}", "").agrees(number)
    assert Claim("", "", f"{number:.{decimals}f}%", "").agrees(number / 100)


def test_swapped_rows_are_explained_and_make_one_erratum() -> None:
    checked = check(devices(502, 594), LITTMANN)
    assert [one.status for one in checked] == ["differs", "differs"]
    (erratum,) = errata(checked)
    assert erratum.where == "Table 4"
    assert erratum.what == "Litt3200 594 (502); LittC2SE 502 (594)"
    assert "Litt3200 and LittC2SE are swapped" in erratum.why


def test_a_swap_explains_nothing_where_the_other_device_differs_too() -> None:
    checked = check(devices(502, 600), LITTMANN)
    assert [one.why for one in checked] == ["", "the numbers of Litt3200 and LittC2SE are swapped"]
    assert len(errata(checked)) == 2
    assert [one.status for one in check(devices(594, 502), LITTMANN)] == ["agrees", "agrees"]


def test_a_number_is_explained_by_what_the_paper_may_have_meant() -> None:
    claim = Claim("Figure 4", "4 to 6 s", "33%", "four", instead=("three", "the share over 3 s"))
    assert check({"four": 0.1, "three": 0.334}, [claim])[0].why.endswith("the share over 3 s")
    assert check({"four": 0.1, "three": 0.2}, [claim])[0].why == ""


def test_a_number_is_explained_by_the_papers_own_table_and_what_follows_from_it() -> None:
    claims = (
        Claim("Table 4", "cycles", "1456", "cycles"),
        Claim("text", "cycles", "1468", "cycles"),
        Claim("text", "cycles a patient", "22.9", "mean", made_of=("1468", "64")),
    )
    checked = check({"cycles": 1456, "mean": 22.75}, claims)
    assert [one.status for one in checked] == ["agrees", "differs", "differs"]
    assert "Table 4 is right with 1456" in checked[1].why
    assert "1468 cycles of 64 patients" in checked[2].why


def test_digits_that_were_cut_off_are_told_from_a_wrong_number() -> None:
    claim = Claim("Table 5", "share", "0.11", "share")
    assert "cut off" in check({"share": 0.1153}, [claim])[0].why
    assert check({"share": 0.1203}, [claim])[0].why == ""
    assert check({"share": 0.1047}, [claim])[0].why == ""


def test_what_hangs_on_the_audio_is_no_erratum() -> None:
    checked = check({"blank": 0.928}, [Claim("2.1", "blank", "100%", "blank", of_audio=True)])
    assert checked[0].status == "depends on the copy"
    assert "this copy may be at fault" in checked[0].why
    assert errata(checked) == []


def test_what_the_data_has_nothing_of_is_not_checked() -> None:
    told = Claim("", "shared", "0", "official.shared", told="{official[touched]} cycles")
    checked = check({"official": None}, [told])
    assert (checked[0].status, checked[0].ours, checked[0].why) == ("not checked", None, "")
    assert errata(checked) == []
    assert check({"official": {"shared": 2, "touched": 120}}, [told])[0].why == "120 cycles"


def test_numbers_are_looked_up_by_dots() -> None:
    assert look_up({"a": {"under 3 s": 2}}, "a.under 3 s") == 2.0
    assert look_up({"a": {"b": None}}, "a.b") is None
    assert look_up({"a": {}}, "a.b") is None


@pytest.mark.parametrize(
    ("printed", "ours", "text"),
    [
        ("347", 336.0, "336"),
        ("0.11", 0.11534, "0.115"),
        ("9%", 0.0728, "7.3%"),
        ("22.9", 22.75, "22.75"),
        ("4", None, "–"),
    ],
)
def test_ours_is_shown_as_the_paper_prints_with_a_digit_more(printed, ours, text) -> None:
    assert shown(printed, ours) == text


def test_only_the_published_data_set_is_taken_for_it() -> None:
    assert is_published(Part(920, 126, 6898, {}), DEVICES)
    assert not is_published(Part(919, 126, 6898, {}), DEVICES)
    assert not is_published(Part(920, 125, 6898, {}), DEVICES)
    assert not is_published(Part(920, 126, 6898, {}), ("phone", *DEVICES[1:]))


def test_no_number_is_checked_twice_at_the_same_place() -> None:
    assert len({(claim.where, claim.what) for claim in CLAIMS}) == len(CLAIMS)


@needs_paper
def test_every_printed_number_stands_in_the_paper() -> None:
    (text,) = (file.read_text() for file in PAPER.glob("*.txt"))
    elsewhere = {"4000": "4 kHz", "44100": "44.1 kHz", "4": "four different devices"}
    elsewhere |= {"7": "seven different body locations", "0": "patient-wise disjoint"}
    elsewhere |= {"100%": "100% of the Litt3200", "60%": "60-40% split"}
    for claim in CLAIMS:
        assert elsewhere.get(claim.printed, claim.printed) in text, claim


@needs_paper
def test_the_tables_of_the_paper_are_copied_row_by_row() -> None:
    (text,) = (file.read_text() for file in PAPER.glob("*.txt"))
    lines = ["\t".join(line.split()) for line in text.splitlines()]
    for table in ("Table 4", "Table 5"):
        for device in ("AKGC417L", "Meditron", "Litt3200", "LittC2SE"):
            row = [
                claim.printed
                for claim in CLAIMS
                if claim.where == table and claim.what.startswith(device)
            ]
            assert "\t".join([device, *row]) in lines
