"""Keys that runs were kept under stay theirs: what is finished is not trained again."""

import json
from pathlib import Path

import pytest
import torch

from respire.data.corpora import icbhi
from respire.data.cycles import PreparedCycles
from respire.data.splits.split import Cut
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


@pytest.mark.parametrize("preset", PRESETS)
def test_a_presets_runs_are_found_under_the_keys_they_were_kept_under(
    preset: str, corpus: Path, tmp_path: Path
) -> None:
    study = study_of(PRESETS[preset](), corpus, tmp_path)
    stage2 = RunFolder(study.storage, study.stage2_identity)
    keys = {"stage1": study.stage1.key, "stage2": stage2.key, "whole": study.whole.key}
    assert keys == PINNED[preset]
