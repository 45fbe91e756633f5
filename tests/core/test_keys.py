"""Keys that runs were kept under stay theirs: what is finished is not trained again."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch

from respire.data.corpora import icbhi
from respire.data.cycles import PreparedCycles
from respire.data.prepare import key_of
from respire.data.splits.split import Cut
from respire.recipe.fields import Features, FineTune, Preprocess
from respire.recipe.identity import AS_BEFORE
from respire.recipe.presets import PRESETS
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute
from respire.runtime.run_folder import RunFolder
from respire.runtime.storage import Storage
from respire.study.study import Study

PINNED = json.loads(Path(__file__).with_name("keys.json").read_text())


def study_of(recipe: Recipe, corpus: Path, storage: Path) -> Study:
    """A study whose weights and cycles are by name what they are on no machine in particular."""
    cycles = icbhi.read_catalogue(str(corpus)).cycles
    home = Storage.at(storage)
    return Study(
        recipe=recipe,
        cycles=cycles,
        prepared=PreparedCycles(home, "prepared", ()),
        skipped=(),
        warnings=(),
        split=Cut().on(cycles),
        seed=0,
        initial={"weight": torch.arange(4.0)},
        compute=Compute("cpu", "fp32"),
        workers=1,
        storage=home,
    )


def keys_of(study: Study) -> dict[str, str]:
    stage2 = RunFolder(study.storage, study.stage2_identity)
    return {"stage1": study.stage1.key, "stage2": stage2.key, "whole": study.whole.key}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_presets_runs_are_found_under_the_keys_they_were_kept_under(
    preset: str, corpus: Path, tmp_path: Path
) -> None:
    assert keys_of(study_of(PRESETS[preset](), corpus, tmp_path)) == PINNED[preset]


@dataclass(frozen=True)
class LaterFeatures(Features):
    """With a field that came later, whose default is not what was done before."""

    mirrored: float = field(default=0.5, metadata={AS_BEFORE: 0.0})


@dataclass(frozen=True)
class LaterFineTune(FineTune):
    frozen_blocks: int = field(default=2, metadata={AS_BEFORE: 1})


def with_fields(mirrored: float, frozen_blocks: int) -> Recipe:
    recipe = PRESETS["small"]()
    return replace(
        recipe,
        features=LaterFeatures(**vars(recipe.features), mirrored=mirrored),
        finetune=LaterFineTune(**vars(recipe.finetune), frozen_blocks=frozen_blocks),
    )


def test_a_field_that_came_later_changes_the_keys_of_the_runs_it_changes_and_no_others(
    corpus: Path, tmp_path: Path
) -> None:
    before, mirrored, frozen = (
        keys_of(study_of(with_fields(*values), corpus, tmp_path))
        for values in ((0.0, 1), (0.5, 1), (0.0, 2))
    )
    assert before == PINNED["small"]
    assert all(mirrored[stage] != before[stage] for stage in before)
    assert frozen["stage1"] == before["stage1"]
    assert frozen["stage2"] != before["stage2"]
    assert frozen["whole"] != before["whole"]


def test_cycles_are_prepared_anew_only_where_a_later_field_of_preprocessing_differs(
    corpus: Path,
) -> None:
    @dataclass(frozen=True)
    class LaterPreprocess(Preprocess):
        notch_hz: float = field(default=0.0, metadata={AS_BEFORE: 0.0})

    cycles = icbhi.read_catalogue(str(corpus)).cycles
    kept, same, other = (
        key_of(cycles, recipe, "fingerprint")
        for recipe in (Preprocess(), LaterPreprocess(), LaterPreprocess(notch_hz=50.0))
    )
    assert kept == same != other
