import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from finished import finished_grid, results_of
from pages import rows, shown_images

from respire.data.splits.split import Cut
from respire.experiments.attention_maps.report import conclusions, page, summary
from respire.experiments.attention_maps.run import variants
from respire.experiments.attention_maps.summary import WITH, WITHOUT, AttentionSpread, measured
from respire.experiments.attention_maps.tables import by_split, shares
from respire.metrics import percent
from respire.recipe.presets import small
from respire.report.typed import read
from respire.runtime.storage import Storage
from respire.study.spread import summarise

FIGURES = ["attention-shares", "mean-attention", "single-windows"]
BANDS, FRAMES, CUT = 32, 20, 10


def windows_of(patients: int, splits: int = 1, blank: float = 0.5) -> pd.DataFrame:
    """Windows of both variants: half of them blank on top, 20 a patient.

    Without BRC .4 of the attention lies on blank rows and .3 in the lower half, with it .1 and .9.
    """
    random = np.random.default_rng(0)
    frames = []
    for split_seed in range(splits):
        patient = np.repeat(np.arange(101, 101 + patients), 20)
        top = np.where(random.random(len(patient)) < blank, CUT / BANDS, 0.0)
        for name, on_blank, lower in ((WITHOUT, 0.4, 0.3), (WITH, 0.1, 0.9)):
            even = np.minimum(1, 0.5 / (1 - top)) if name == WITH else np.full(len(top), 0.5)
            frames.append(
                pd.DataFrame(
                    {
                        "variant": name,
                        "split_seed": split_seed,
                        "seed": 0,
                        "patient": patient,
                        "recording": [f"{p}_1b1_Al_sc_Meditron" for p in patient],
                        "cycle": np.tile(np.arange(20), patients),
                        "window": 0,
                        "top_rows": top,
                        "blank_attention": on_blank + random.normal(0, 0.02, len(top)),
                        "blank_rows": np.where(name == WITHOUT, top, 0.05),
                        "lower_attention": lower + random.normal(0, 0.02, len(top)),
                        "lower_rows": even,
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


def made_up_maps() -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    drawn: dict[str, np.ndarray] = {
        "top_rows": np.array([CUT / BANDS] * 2),
        "label": np.array([1, 3]),
        "recording": np.array(["101_1b1_Al_sc_Meditron", "102_1b1_Al_sc_Meditron"]),
        "patient": np.array(["101", "102"]),
        "cycle": np.array(["3", "0"]),
    }
    for name in (WITHOUT, WITH):
        maps = random.random((2, BANDS, FRAMES))
        drawn |= {
            f"mean/{name}": 1 + random.random((2, BANDS, FRAMES)),
            f"maps/{name}": maps / maps.sum((1, 2), keepdims=True),
            f"shade/{name}": 255 * random.random((2, BANDS, FRAMES)),
            f"cut/{name}": np.array([CUT if name == WITH else 0] * 2),
            f"predicted/{name}": np.array([0, 2]),
        }
    return drawn


def made_up(folder, windows: pd.DataFrame, **recipe: Any) -> dict[str, Any]:
    compared = {
        name: (variant, 0.2)
        for name, variant in variants(replace(small(), **recipe), Cut()).items()
    }
    splits = windows["split_seed"].nunique()
    grid = finished_grid(folder, compared, splits=splits, seeds=1)
    found = AttentionSpread(**vars(summarise(grid)), attention=measured(windows))
    return json.loads(json.dumps(results_of(grid, found)))


def typed(results: dict[str, Any]) -> AttentionSpread:
    return read(AttentionSpread, results)


def sentences(results: dict[str, Any]) -> list[str]:
    return conclusions(typed(results), results["stamps"])


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return made_up(tmp_path_factory.mktemp("one"), windows_of(25))


def test_the_first_sentence_says_the_attention_on_blank_rows_before(results):
    lead, after, lower, caveat, *_ = sentences(results)
    found = results["attention"]["variants"][WITHOUT]["blank_top"]
    blank = found["blank"]["attention"]
    assert f"In the {found['windows']:,} test windows (of 25 patients)" in lead
    assert f"has {percent(blank['value'])}% ({percent(blank['low'])}–" in lead
    assert f"which are {percent(CUT / BANDS)}% of the image: +" in lead
    assert blank["value"] == pytest.approx(0.4, abs=0.01)
    told = results["attention"]["variants"]
    remaining = told[WITH]["blank_top"]["blank"]["attention"]["value"]
    assert f"has {percent(remaining)}%" in after
    assert f"lie {percent(told[WITHOUT]['blank_top']['lower']['attention']['value'])}%" in lower
    assert "another seed" in caveat


def test_what_clipping_does_by_itself_is_taken_off_the_change(results):
    """Attention moves down by 60 points; even attention by 22.7 of them."""
    change = results["attention"]["change"]["blank_top"]["lower"]
    by_itself = 0.5 / (1 - CUT / BANDS) - 0.5
    assert change["attention"]["value"] == pytest.approx(0.6, abs=0.01)
    assert change["rows"]["value"] == pytest.approx(by_itself)
    assert change["excess"]["value"] == pytest.approx(0.6 - by_itself, abs=0.01)
    assert change["excess"]["low"] < change["excess"]["value"] < change["excess"]["high"]
    assert f"{100 * by_itself:+.1f} points of it are what clipping does" in sentences(results)[2]


def test_the_table_has_a_row_for_each_group_part_variant_and_change(results):
    told = rows(shares(typed(results).attention).markdown())[2:]
    assert [row[:3] for row in told] == [
        [group, part, name]
        for group in ("all windows", "blank on top")
        for part in ("Blank rows", "Lower half of the mel bands")
        for name in (WITHOUT, WITH, "change")
    ]
    before, after, change = (row for row in told if row[:2] == ["blank on top", "Blank rows"])
    assert float(change[3]) == pytest.approx(float(after[3]) - float(before[3]), abs=0.101)
    assert change[3].startswith("-")
    assert before[-3:] == after[-3:] == change[-3:]


def test_windows_without_a_map_are_counted_and_in_no_mean():
    windows = windows_of(25)
    gone = (windows["variant"] == WITH) & (windows["cycle"] == 0)
    windows.loc[gone, ["blank_attention", "lower_attention"]] = np.nan
    windows.loc[gone, ["blank_rows", "lower_rows"]] = 7.0
    found = measured(windows)
    after = found.variants[WITH].all
    assert (after.without_attention, after.windows) == (25, 475)
    assert after.blank.rows is not None
    assert after.blank.rows.value == pytest.approx(0.05)
    assert found.variants[WITHOUT].all.windows == 500
    # A change needs both.
    assert found.change.all.windows == 475


def test_a_change_is_of_the_same_windows_in_whatever_order():
    windows = windows_of(12)
    shuffled = windows.sample(frac=1, random_state=0)
    ours, theirs = (measured(of).change.all.lower.attention for of in (windows, shuffled))
    assert ours is not None
    assert theirs is not None
    assert ours.value == pytest.approx(theirs.value)


def test_the_recipe_stays_but_for_its_blank_region():
    for own, clipped in (("keep", "clip"), ("clip", "clip"), ("clip-one-more", "clip-one-more")):
        features = replace(small().features, blank_region=own)
        made = variants(replace(small(), features=features), Cut())
        assert [v.recipe.features.blank_region for v in made.values()] == ["keep", clipped]
        for variant in made.values():
            assert replace(variant.recipe, features=small().features) == small()


def test_without_windows_that_clipping_changes_nothing_is_concluded(tmp_path):
    found = made_up(tmp_path, windows_of(4, blank=0.0))
    (only,) = sentences(found)
    assert "nothing can be said" in only
    assert "–" in shares(typed(found).attention).markdown()
    assert set(page(found, made_up_maps()).write(Storage.at(tmp_path / "page"))) == {
        f"{name}.{ending}" for name in FIGURES for ending in ("png", "svg")
    }


def test_networks_that_have_learned_little_are_called_so(results):
    told = json.loads(json.dumps(results))
    scored = {
        name: told["variants"][name]["splits"][0]["scores"]["stage1"] for name in (WITHOUT, WITH)
    }
    for scores in scored.values():
        scores |= {"se": 0.5, "sp": 0.9, "score": 0.7}
    assert "bar" not in " ".join(sentences(told))
    scored[WITH]["se"] = 0.2
    assert f"the network trained {WITH} (Se 20.0%" in sentences(told)[-1]
    scored[WITH] |= {"se": 0.5, "score": 0.4}
    assert f"the network trained {WITH} (Se 50.0%, Score 40.0%)" in sentences(told)[-1]


def test_a_stamped_result_is_called_no_evidence(tmp_path):
    found = made_up(tmp_path, windows_of(12), selection="test")
    assert sentences(found)[-1] == "None of this is evidence: selected on test."
    assert summary(found).count("**SELECTED ON TEST**") == 2


def test_several_splits_are_listed_one_by_one(tmp_path):
    found = made_up(tmp_path, windows_of(12, splits=3))
    told = rows(by_split(typed(found).attention).markdown())[2:]
    assert [row[:2] for row in told[::2]] == [
        [name, str(split)] for name in (WITHOUT, WITH) for split in range(3)
    ]
    assert told[0][-1] == "240"
    shares_of_first = [float(cell) for cell in told[0][3:7]]
    first = found["attention"]["variants"][WITHOUT]["splits"]["0"]["all"]
    assert shares_of_first == [
        pytest.approx(100 * first[part][what]["value"], abs=0.051)
        for part in ("blank", "lower")
        for what in ("attention", "rows")
    ]
    assert not any("another seed" in sentence for sentence in sentences(found))


def test_the_page_shows_every_figure(results, tmp_path):
    figures = page(results, made_up_maps()).write(Storage.at(tmp_path))
    assert figures == [f"{name}.{ending}" for name in FIGURES for ending in ("png", "svg")]
    assert json.loads((tmp_path / "results.json").read_text()) == results
    markdown = (tmp_path / "report.md").read_text()
    assert "101_1b1_Al_sc_Meditron, cycle 3 (31.2% of rows blank on top)" in markdown
    assert shown_images(tmp_path / "report.html", tmp_path / "profile") == len(FIGURES)
