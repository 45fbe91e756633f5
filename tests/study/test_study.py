"""What belongs to a run by its name, and which splits can be asked for."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import respire.study.study as module
from respire.data.corpora.corpus import Corpus
from respire.data.corpora.icbhi import read_catalogue
from respire.data.cycles import PreparedCycles
from respire.data.splits.split import Cut
from respire.errors import InputError
from respire.recipe.fields import Decision, Features, Model
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute
from respire.runtime.run_folder import claim
from respire.runtime.storage import Storage
from respire.study.grid import Variant
from respire.study.place import Place
from respire.study.study import Study

WHOLE = {"split 0": "cafe", "split 1": "beef", "stages": ["stage1"]}
CPU = Compute("cpu", "fp32")
LAST = Recipe(selection="none")
UNDER_THE_SCORES = Recipe(decision=Decision(prior=1.0))
LESS = {name: WHOLE[name] for name in ("split 0", "stages")}


@pytest.mark.parametrize(("first", "second"), [(WHOLE, LESS), (LESS, WHOLE)])
def test_a_name_belongs_to_the_whole_of_what_was_run_under_it(
    tmp_path: Path, first: dict[str, object], second: dict[str, object]
) -> None:
    folder = Storage.at(tmp_path / "run")
    claim(folder, first)
    kept = (tmp_path / "run" / "identity.json").read_text()
    claim(folder, first)
    with pytest.raises(InputError, match=r"another run has this --name \(split 1 was .*, is "):
        claim(folder, second)
    assert (tmp_path / "run" / "identity.json").read_text() == kept


Cutter = Callable[..., Study]


@pytest.fixture
def cut_study(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cutter:
    """Cuts a study of a recipe, of recordings that need not be prepared."""
    cycles = read_catalogue(str(corpus)).cycles
    recordings = cycles["recording"].unique().tolist()
    monkeypatch.setattr(module, "crowded_store", lambda _: None)
    monkeypatch.setattr(PreparedCycles, "recordings", lambda _: recordings)
    found = Corpus(cycles, (), ("a",), str(corpus), "")
    place, storage = Place(storage=str(tmp_path)), Storage.at(tmp_path)

    def cut(
        recipe: Recipe,
        cut: Cut | None = None,
        seed: int = 0,
        compute: Compute = CPU,
        initial: Mapping[str, Tensor] | None = None,
    ) -> Study:
        prepared = PreparedCycles(storage, "prepared", ())
        told = (recipe, cut or Cut(), seed, place, found)
        return module.cut_study(*told, prepared, dict(initial or {}), compute)

    return cut


def test_a_study_is_warned_by_its_corpus_then_its_recipe_then_its_split(
    cut_study: Cutter, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = replace(Cut().on(read_catalogue(str(corpus)).cycles), warnings=("c",))
    monkeypatch.setattr(Cut, "on", lambda *_: split)
    recipe = Recipe(features=Features(n_fft=256, hop=256))
    assert cut_study(recipe).warnings == ("a", *recipe.warnings, "c")


def test_where_nothing_selects_everybody_off_test_is_trained_on(cut_study: Cutter) -> None:
    chosen, last = cut_study(Recipe()), cut_study(LAST)
    assert last.split.test == chosen.split.test
    assert last.split.train == tuple(sorted(chosen.split.train + chosen.split.validation))
    assert (last.split.validation, last.selector) == ((), ())
    assert chosen.selector == chosen.split.validation


def test_a_cut_that_keeps_validation_keeps_it_whatever_selects(cut_study: Cutter) -> None:
    kept = cut_study(LAST, Cut(validation=True))
    assert kept.split.validation == cut_study(Recipe()).split.validation
    assert kept.selector == ()


def test_where_nothing_selects_the_inner_seed_is_another_name_of_the_same_run(
    cut_study: Cutter,
) -> None:
    one, other = (cut_study(LAST, Cut(inner_seed=seed)) for seed in (0, 1))
    assert one.stage1.key == other.stage1.key
    one, other = (cut_study(Recipe(), Cut(inner_seed=seed)) for seed in (0, 1))
    assert one.stage1.key != other.stage1.key


def test_a_deterministic_run_is_not_taken_from_one_that_was_not(cut_study: Cutter) -> None:
    keys = [
        cut_study(Recipe(), compute=Compute("cpu", "fp32", deterministic=wanted)).stage1.key
        for wanted in (False, True)
    ]
    assert keys[0] == cut_study(Recipe()).stage1.key != keys[1]


def test_weights_are_known_by_what_is_in_their_file_and_not_by_where_it_lies(
    cut_study: Cutter,
) -> None:
    zeros, ones = ({"weight": torch.full((2,), value)} for value in (0.0, 1.0))
    here, there = (
        replace(Recipe(), model=Model(weights=path)) for path in ("a.pt", "/home/b/weights.pt")
    )
    kept = cut_study(here, initial=zeros)
    moved, other = (cut_study(there, initial=weights) for weights in (zeros, ones))
    assert kept.stage1.key == moved.stage1.key != other.stage1.key
    assert kept.whole.key == moved.whole.key


def test_how_it_is_decided_belongs_to_the_experiment_and_not_to_stage_1(cut_study: Cutter) -> None:
    trained, decided = cut_study(Recipe()), cut_study(UNDER_THE_SCORES)
    assert trained.stage1.key == decided.stage1.key
    assert trained.stage2_identity == decided.stage2_identity
    assert trained.whole.key != decided.whole.key


def test_a_prior_that_is_given_once_test_was_read_is_stamped(cut_study: Cutter) -> None:
    before = cut_study(UNDER_THE_SCORES)
    before.declare_decision()
    assert before.stamps == ()
    before.note_test_read()
    again = cut_study(UNDER_THE_SCORES)
    again.declare_decision()
    assert again.stamps == ()  # it was given before
    late = cut_study(replace(Recipe(), decision=Decision(prior=0.5)))
    late.declare_decision()
    assert late.stamps == (module.LATE,)
    assert cut_study(replace(Recipe(), decision=Decision(prior=0.5))).stamps == (module.LATE,)
    assert cut_study(Recipe()).stamps == ()
    assert cut_study(replace(Recipe(), decision=Decision(prior=0.0))).stamps == ()  # training's
    assert cut_study(UNDER_THE_SCORES, seed=1).stamps == ()  # another model


def test_who_is_refitted_on_is_everybody_off_test_however_that_is_asked(cut_study: Cutter) -> None:
    inner = cut_study(LAST, Cut(validation=True))
    whole = cut_study(LAST, Cut(validation=False))
    refit = replace(inner, split=inner.split.without_validation())
    assert whole.stage1.key == refit.stage1.key != inner.stage1.key


def test_who_is_scored_must_have_normal_and_abnormal_cycles(
    cut_study: Cutter, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides: list[str] = []
    monkeypatch.setattr(module, "check_scorable", lambda _, side: sides.append(side))
    for recipe, cut in ((LAST, Cut(validation=True)), (LAST, Cut()), (Recipe(), Cut())):
        cut_study(recipe, cut)
    assert sides == ["train", "validation", "test", "train", "test", "train", "validation", "test"]


def test_what_lies_beyond_the_windows_is_warned_of_where_it_is_much(cut_study: Cutter) -> None:
    def beyond(seconds: float, **features: Any) -> list[str]:
        recipe = replace(LAST, features=Features(window_seconds=seconds, **features))
        return [said for said in cut_study(recipe).warnings if "is not heard" in said]

    assert beyond(60.0) == []
    (said,) = beyond(0.5)
    assert "of what is annotated lies beyond windows of 0.5 s and is not heard" in said
    assert beyond(0.5, long_cycles="windows") == []


def test_splits_of_an_official_list_are_one_where_nothing_selects() -> None:
    for cut, recipe, one in (
        (Cut("60-40"), LAST, True),
        (Cut("60-40-disjoint"), LAST, True),
        (Cut("60-40", validation=True), LAST, False),
        (Cut("60-40"), Recipe(), False),
        (Cut("80-20"), LAST, False),
    ):
        assert Variant(recipe, cut).has_one_split == one
