import pytest
from matplotlib.text import Text

from respire.report.page import Page, Picture, Section
from respire.report.style import drawing
from respire.report.table import Table
from respire.report.wording import worded

RESULTS = {"experiment": "full", "name": "patient", "skipped": [], "warnings": ["no patient"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "t over the 25 test patients, for new patients.",
            "t over the 25 test dates, for new dates.",
        ),
        ("Patients: a patient's cycles", "Dates: a date's cycles"),
        ("patient-disjoint", "date-disjoint"),
        ("clinic:patient/a --patients patients_off_test se_patients patient:7", None),
    ],
)
def test_the_word_alone_is_replaced_and_no_part_of_a_name(text: str, said: str | None) -> None:
    assert worded(text, "date") == (said or text)
    assert worded(text, "patient") == text


def test_every_text_of_a_page_and_of_its_figures_is_worded_and_results_stay() -> None:
    with drawing("Score over patients", (4, 3), ["patients shared"]) as figure:
        axis = figure.subplots()
        axis.plot([0, 1], [0, 1], label="interval over patients")
        axis.set_xticks([0, 1], ["all\n9 patients", "Eko"])
        axis.set_xlabel("Test patients")
        axis.legend()
    table = Table("By patient", ("", "Patients"), (("unseen patients", "9"),), note="Of patients.")
    picture = Picture("score-by-patient", "Interval over patients.", figure)
    sections = [Section("Patients", [table], [picture])]
    page = worded(Page(RESULTS, "9 patients", "unseen patients", "One patient.", sections), "date")
    assert page.results == RESULTS
    text = page.markdown().replace("no patient", "").replace(page.title, "")
    assert "interval over dates" in text.lower()
    assert "patient" not in text.replace("score-by-patient.png", "").lower()
    figure.draw_without_rendering()
    drawn = " ".join(text.get_text() for text in figure.findobj(Text))
    assert "patient" not in drawn.lower()
    assert "9 dates" in drawn
