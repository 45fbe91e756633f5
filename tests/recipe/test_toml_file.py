from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from respire.command.options import DataOptions
from respire.command.parse import parse
from respire.errors import InputError
from respire.recipe.fields import Decision
from respire.recipe.presets import PRESETS, load_recipe, small
from respire.recipe.recipe import Recipe
from respire.recipe.toml_file import read_recipe, recipe_toml


def told(tmp_path: Path, text: str) -> Recipe:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    return read_recipe(file)


@pytest.mark.parametrize("preset", PRESETS)
def test_what_is_written_is_read_back(preset: str, tmp_path: Path) -> None:
    recipe = PRESETS[preset]()
    text = recipe_toml(recipe, preset, "found by nobody\non no data")
    assert text.startswith("# found by nobody\n# on no data\n")
    assert told(tmp_path, text) == replace(recipe, preset="mine")


@given(
    window=st.floats(1, 9),
    rate=st.floats(1e-6, 1),
    low=st.floats(0.1, 1),
    high=st.floats(1, 5),
    level=st.booleans(),
    mels=st.integers(1, 256),
)
def test_any_values_survive(
    window: float,
    rate: float,
    low: float,
    high: float,
    level: bool,
    mels: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    recipe = small()
    recipe = replace(
        recipe,
        features=replace(recipe.features, window_seconds=window, level_rows=level, n_mels=mels),
        augmentation=replace(recipe.augmentation, speed_factor=(low, high)),
        optimisation=replace(recipe.optimisation, learning_rate=rate),
    )
    folder = tmp_path_factory.mktemp("recipe")
    assert told(folder, recipe_toml(recipe, "small", "")) == replace(recipe, preset="mine")


def test_a_prior_to_decide_under_is_written_where_it_is_given(tmp_path: Path) -> None:
    given = replace(small(), decision=Decision(prior=0.5))
    for recipe, written in ((small(), False), (given, True)):
        text = recipe_toml(recipe, "small", "")
        assert ("prior = 0.5" in text) == written
        assert told(tmp_path, text) == replace(recipe, preset="mine")


def test_a_file_names_only_what_differs_from_its_preset(tmp_path: Path) -> None:
    recipe = told(
        tmp_path,
        'preset = "small"\n[features]\nwindow_seconds = 5\n[augmentation]\nspeed_factor = [0.8, 1]',
    )
    expected = small()
    assert recipe == replace(
        expected,
        preset="mine",
        features=replace(expected.features, window_seconds=5.0),
        augmentation=replace(expected.augmentation, speed_factor=(0.8, 1.0)),
    )
    assert told(tmp_path, "") == Recipe(preset="mine")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[features\n", "cannot be read as a recipe"),
        ('preset = "tiny"', "preset 'tiny' is none of paper, released-code"),
        ('preset = ["small"]', "preset ['small'] is none of paper"),
        ("[features]\nwindow_second = 5", "did you mean features.window_seconds?"),
        ("[nonsense]\na = 1", "nonsense: recipes have no such field; there are preset, task"),
        ('[features]\nwindow_seconds = "5"', "features.window_seconds: Input should be"),
        ("[features]\nn_mels = 32.5", "features.n_mels: Input should be"),
        ('[features]\npadding = "clever"', "features.padding: Input should be 'smart'"),
        ("[augmentation]\nspeed_factor = [1]", "augmentation.speed_factor"),
        ("features = 3", "features: must be a table, [features]"),
        ("[augmentation]\nnoise_p = 1.5", "noise_p: 1.5 must lie between 0 and 1"),
        ("[features]\nwindow_seconds = 2026-11-25", "features.window_seconds: Input should be"),
    ],
)
def test_what_is_no_recipe_is_refused_by_file_and_field(
    text: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as refused:
        told(tmp_path, text)
    assert str(tmp_path / "mine.toml") in str(refused.value)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml: cannot be read as a recipe"):
        load_recipe(str(tmp_path / "none.toml"))


def test_every_command_takes_a_file_and_overrides_of_it(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('preset = "small"\n[features]\nwindow_seconds = 5\n')
    options = parse(DataOptions, ["--recipe", str(file), "--recipe.features.hop", "64"], "")
    assert options.recipe.preset == "mine"
    assert (options.recipe.features.window_seconds, options.recipe.features.hop) == (5, 64)
    assert options.recipe.model == small().model


def test_a_name_that_is_neither_preset_nor_file_is_refused() -> None:
    with pytest.raises(InputError, match=r"recipe 'tiny' is neither one of paper, .* nor a file"):
        parse(DataOptions, ["--recipe", "tiny"], "")
