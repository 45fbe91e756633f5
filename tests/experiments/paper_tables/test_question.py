import shutil
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest

from respire.data.corpora import icbhi
from respire.data.corpora.icbhi_format import DEVICES
from respire.data.splits.split import Cut
from respire.errors import InputError
from respire.experiments.paper_tables import (
    ablation,
    device_finetuning,
    image_size,
    leakage,
    run,
    single_device,
    window_length,
)
from respire.experiments.paper_tables.printed import CBA_BRC, CNN, FINE_TUNED
from respire.experiments.paper_tables.question import UNLISTED, Question
from respire.recipe.fields import Concatenation
from respire.recipe.presets import PRESETS, small
from respire.study.grid import Extent
from respire.study.place import Place

EVERY = {
    "ablation": lambda recipe: ablation.question(recipe, Cut()),
    "device_finetuning": lambda recipe: device_finetuning.question(recipe, Cut()),
    "leakage": lambda recipe: leakage.question(recipe, Cut()),
    "single_device": lambda recipe: single_device.question(recipe, Cut(), DEVICES),
    "single_device, two": lambda recipe: single_device.question(recipe, Cut(), ("phone", "Eko")),
    "image_size": lambda recipe: image_size.question(recipe, Cut(), (1, 2, 3)),
    "window_length": lambda recipe: window_length.question(recipe, Cut(), (1, 4, 9)),
}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("preset", PRESETS)
def test_every_row_has_its_variant_and_what_it_is_compared_with(name: str, preset: str) -> None:
    question: Question = EVERY[name](PRESETS[preset]())
    names = [row.name for row in question.rows]
    assert len(set(names)) == len(names)
    assert {row.variant for row in question.rows} == question.variants.keys()
    assert all(row.against in names for row in question.rows if row.against)
    assert all(question.variants[row.variant].stage2 for row in question.rows if row.stage2)


@pytest.mark.parametrize("name", EVERY)
def test_no_two_variants_of_a_question_are_the_same_training(name: str) -> None:
    variants = [asdict(v) for v in EVERY[name](PRESETS["paper"]()).variants.values()]
    assert all(a != b for at, a in enumerate(variants) for b in variants[:at])


def gains(question: Question) -> dict[str, float]:
    found = {row.name: question.gain(row) for row in question.rows}
    return {name: round(gain, 1) for name, gain in found.items() if gain is not None}


def test_the_gains_are_those_that_the_paper_speaks_of() -> None:
    assert gains(ablation.question(small(), Cut())) == {
        "CNN, no augmentation": -4.0,
        "CNN + CBA": 0.6,
        "CNN + BRC": 0.5,
        "CNN, zero padding": -5.0,
        "CNN, reflect padding": -2.0,
        CBA_BRC: 0.9,
        FINE_TUNED: 1.4,
        f"{CBA_BRC}, 60-40 4-class": 0.5,
        f"{FINE_TUNED}, 60-40 4-class": 0.5,
        f"{CBA_BRC}, 80-20 2-class": 1.8,
        f"{FINE_TUNED}, 80-20 2-class": 3.3,
    }


def test_rows_that_other_experiments_have_too_are_the_recipe_itself() -> None:
    recipe = replace(small(), concatenation=Concatenation())  # as the paper's
    whole = (
        (ablation.question(recipe, Cut()), CBA_BRC),
        (window_length.question(recipe, Cut(), ()), "7 s"),
        (single_device.question(recipe, Cut(), DEVICES), "all devices"),
        (device_finetuning.question(recipe, Cut()), "stage 1, all devices"),
        (leakage.question(recipe, Cut()), "no shortcut"),
    )
    assert all(question.variants[name].recipe == recipe for question, name in whole)


def test_without_augmentation_no_effect_has_a_chance() -> None:
    never = ablation.question(small(), Cut()).variants["CNN, no augmentation"].recipe.augmentation
    chances = [field.name for field in fields(never) if field.name.endswith("_p")]
    assert len(chances) == 8
    assert all(getattr(never, name) == 0 for name in chances)


def test_each_step_changes_one_thing_about_the_base_model() -> None:
    variants = ablation.question(small(), Cut()).variants
    base = variants[CNN].recipe.flat()
    changed = {
        name: {field for field, value in variant.recipe.flat().items() if value != base[field]}
        for name, variant in variants.items()
        if variant.cut.kind == "80-20" and variant.recipe.task == "4-class"
    }
    assert changed.pop("CNN, no augmentation") <= {f for f in base if f.startswith("augmentation.")}
    assert changed == {
        CNN: set(),
        "CNN + CBA": {"concatenation.scheme"},
        "CNN + CBA within a recording": {"concatenation.scheme", "concatenation.partners"},
        "CNN + CBA, normal joined too": {"concatenation.scheme", "concatenation.join_normal"},
        "CNN + BRC": {"features.blank_region"},
        "CNN, zero padding": {"features.padding", "features.evaluation_padding"},
        "CNN, reflect padding": {"features.padding", "features.evaluation_padding"},
        "CNN, repeat padding": {"features.padding"},
        CBA_BRC: {"concatenation.scheme", "features.blank_region"},
    }
    for padding in ("zero", "reflect", "repeat"):  # in evaluation as in training
        features = variants[f"CNN, {padding} padding"].recipe.features
        assert (features.padding, features.evaluation_padding) == (padding, padding)


def test_each_device_is_left_out_once() -> None:
    asked = single_device.question(small(), Cut(), DEVICES)
    heard = [variant.cut.heard for variant in asked.variants.values()]
    assert heard[:2] == [None, ("AKGC417L",)]
    assert [set(DEVICES) - set(of or ()) for of in heard[2:]] == [{device} for device in DEVICES]


def test_every_shortcut_is_stamped_or_of_the_official_split() -> None:
    for name, variant in leakage.question(small(), Cut()).variants.items():
        loud = bool(variant.recipe.stamps) or not variant.cut.holds_out
        assert loud == (name not in (leakage.PLAIN, leakage.OWN_CYCLE, leakage.DISJOINT)), name


@pytest.mark.parametrize("table", [ablation, leakage])
def test_inside_the_official_training_side_no_row_reads_beyond_it(table: Any) -> None:
    everywhere, inside = (
        table.question(small(), Cut(kind)).variants for kind in ("80-20", "60-40-train")
    )
    assert len(inside) > 2
    assert {variant.cut.kind for variant in inside.values()} == {"60-40-train"}
    assert {variant.cut.kind for variant in everywhere.values()} >= {"80-20", "60-40"}


def test_the_ablation_of_an_official_split_is_refused_as_it_has_one() -> None:
    with pytest.raises(InputError, match=r"--split 60-40: .*; use --split 80-20"):
        ablation.question(small(), Cut("60-40"))


def test_where_nothing_tells_official_sides_their_rows_are_left_out_and_the_note_says_so() -> None:
    asked = leakage.question(small(), Cut())
    unlisted = asked.unlisted()
    assert not any(variant.cut.needs_list for variant in unlisted.variants.values())
    assert {row.name for row in asked.rows} - {row.name for row in unlisted.rows} == {
        *("official split as published", leakage.DISJOINT)
    }
    assert unlisted.note.endswith(UNLISTED)
    windows, official = (
        window_length.question(small(), Cut(kind), (1,)) for kind in ("80-20", "60-40")
    )
    assert windows.unlisted() is windows
    assert official.unlisted() is official  # what is missing is told when it is looked for


def test_the_recordings_decide_whether_a_table_has_official_rows(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class BegunError(Exception):
        """The variants of a table that is about to be trained."""

    def begin(_: str, variants: Any, *__: Any) -> None:
        raise BegunError(variants)

    monkeypatch.setattr(run, "start_grid", begin)
    unlisted = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    (unlisted / icbhi.SPLIT_LIST).unlink()
    question, extent = ablation.question(small(), Cut()), Extent(1, (0,))

    def begun(data: Path, rows: Sequence[str] | None) -> set[str]:
        with pytest.raises(BegunError) as raised:
            run.run_table("ablation", question, rows, extent, Place(str(data)))
        return {variant.cut.kind for variant in raised.value.args[0].values()}

    assert begun(corpus, None) == {"80-20", "60-40"}
    assert begun(unlisted, None) == {"80-20"}
    assert begun(unlisted, [f"{CNN}, 60-40 4-class"]) == {"60-40"}  # asked for: refused later


def test_windows_that_are_not_whole_seconds_have_nothing_in_the_paper() -> None:
    recipe = replace(small(), features=replace(small().features, window_seconds=2.5))
    question = window_length.question(recipe, Cut(), (2.0000001, 2.5, 3))
    assert [row.name for row in question.rows] == ["2.0000001 s", "2.5 s", "3 s"]
    assert [row.printed.score for row in question.rows] == [None, None, 60.3]
    assert [row.against for row in question.rows] == ["2.5 s", "", "2.5 s"]


def test_some_rows_bring_those_that_they_are_compared_with() -> None:
    some = ablation.question(small(), Cut()).only([FINE_TUNED])
    assert [row.name for row in some.rows] == [CNN, CBA_BRC, FINE_TUNED]
    assert some.variants.keys() == {CNN, CBA_BRC}
    assert some.variants[CBA_BRC].stage2
    assert not ablation.question(small(), Cut()).only([CBA_BRC]).variants[CBA_BRC].stage2


def test_a_row_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(InputError, match=r"'no BRC'.*'CNN \+ BRC'"):
        ablation.question(small(), Cut()).only(["no BRC"])


def test_the_devices_are_the_recordings_and_the_papers_numbers_stand_beside_its_own() -> None:
    icbhis, other = (
        single_device.question(small(), Cut(), devices)
        for devices in (DEVICES, ("phone", "Meditron", "Eko"))
    )
    assert [row.name for row in other.rows] == [
        *("all devices", "phone alone", "without phone", "without Meditron", "without Eko")
    ]
    assert other.variants["without Meditron"].cut.heard == ("phone", "Eko")
    assert (icbhis.rows[1].printed.score, set(icbhis.rows[1].devices)) == (53.0, set(DEVICES))
    assert (other.rows[1].printed.score, other.rows[1].devices) == (None, {})
    assert "Litt3200" in icbhis.note
    assert "Litt3200" not in other.note


def test_what_asks_for_several_devices_refuses_one() -> None:
    with pytest.raises(InputError, match="have Eko only: give those of a second"):
        single_device.question(small(), Cut(), ("Eko",))
    tuned = device_finetuning.question(small(), Cut())
    tuned.check(DEVICES[:2])
    with pytest.raises(InputError, match=r"have Meditron only: .* at least two"):
        tuned.check(("Meditron",))
