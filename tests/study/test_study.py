"""What belongs to a run by its name, and which splits can be asked for."""

from dataclasses import replace
from pathlib import Path

import pytest

import respire.study.study as module
from respire.data.corpora.corpus import Corpus
from respire.data.corpora.icbhi import read_catalogue
from respire.data.cycles import PreparedCycles
from respire.data.splits.split import Cut
from respire.errors import InputError
from respire.recipe.fields import Features
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute
from respire.runtime.run_folder import claim
from respire.runtime.storage import Storage
from respire.study.place import Place

WHOLE = {"split 0": "cafe", "split 1": "beef", "stages": ["stage1"]}
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


def test_a_study_is_warned_by_its_corpus_then_its_recipe_then_its_split(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cycles = read_catalogue(str(corpus)).cycles
    recordings = cycles["recording"].unique().tolist()
    monkeypatch.setattr(module, "crowded_store", lambda _: None)
    monkeypatch.setattr(PreparedCycles, "recordings", lambda _: recordings)
    split = replace(Cut().on(cycles), warnings=("c",))
    monkeypatch.setattr(Cut, "on", lambda *_: split)
    recipe = Recipe(features=Features(n_fft=256, hop=256))
    storage = Storage.at(tmp_path)
    study = module.cut_study(
        recipe,
        *(Cut(), 0, Place(storage=str(tmp_path)), Corpus(cycles, (), ("a",), str(corpus), "")),
        *(PreparedCycles(storage, "prepared", ()), {}, Compute("cpu", "fp32")),
    )
    assert study.warnings == ("a", *recipe.warnings, "c")
