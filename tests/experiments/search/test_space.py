import math
from dataclasses import replace
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution, IntDistribution

from respire.errors import InputError
from respire.experiments.search.space import (
    FIXED,
    SPACE,
    STAGE2_SPACE,
    STRENGTHS,
    apply,
    read_space,
    suggest,
)
from respire.recipe.presets import PRESETS, small
from respire.recipe.recipe import Recipe

EVERYTHING = read_space(small(), (*SPACE, *STAGE2_SPACE))


def drawn(seed: int, space: Any = EVERYTHING, recipe: Recipe | None = None) -> dict[str, Any]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    return suggest(study.ask(), space, recipe or small())


@settings(max_examples=60)
@given(seed=st.integers(0, 2**31), preset=st.sampled_from([*PRESETS]))
def test_every_draw_of_the_declared_space_is_a_possible_recipe(seed: int, preset: str) -> None:
    base = PRESETS[preset]()
    space = read_space(base, (*SPACE, *STAGE2_SPACE))
    values = drawn(seed, space, base)
    recipe = apply(base, values)
    fields = recipe.flat()
    for field, value in values.items():
        if field in STRENGTHS:
            low, high = fields[field]
            assert low <= value <= high or math.isclose(value, low)
            assert low < high
        else:
            assert fields[field] == value
    assert recipe.warnings == ()
    untouched = {name for name in fields if name not in values}
    assert all(fields[name] == base.flat()[name] for name in untouched)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=60)
def test_a_strength_is_drawn_exactly_where_its_effect_is_on(seed: int) -> None:
    values = drawn(seed)
    effects = {d.field: d.when for d in EVERYTHING if d.field in STRENGTHS}
    assert effects.keys() == STRENGTHS.keys()
    for strength, probability in effects.items():
        assert (strength in values) == (values[probability] > 0)
    joined = values["concatenation.scheme"] == "same-class"
    assert ("concatenation.multiple_of_normal" in values) == joined


def test_a_dimension_is_written_as_it_is_read() -> None:
    for text in (*SPACE, *STAGE2_SPACE):
        (dimension,) = read_space(
            small(), [text.replace("=false", "=false|true").replace("=512", "=512|1024")]
        )
        assert read_space(small(), [str(dimension)]) == (dimension,)


def test_the_kinds_of_dimensions() -> None:
    space = read_space(
        small(),
        (
            "features.window_seconds=1:9:0.5",
            "optimisation.learning_rate=1e-4:1e-2:log",
            "optimisation.epochs=10:20",
            "features.level_rows=true|false",
            "features.padding=smart|zero if features.level_rows",
        ),
    )
    window, rate, epochs, level, padding = space
    assert window.values == FloatDistribution(1, 9, step=0.5)
    assert rate.values == FloatDistribution(1e-4, 1e-2, log=True)
    assert (epochs.values, level.choices) == (IntDistribution(10, 20), (True, False))
    assert padding.there({"features.level_rows": True})
    assert not padding.there({"features.level_rows": False})
    assert [d.when for d in space] == ["", "", "", "", "features.level_rows"]
    values = drawn(3, space)
    assert isinstance(values["optimisation.epochs"], int)
    assert values["features.window_seconds"] % 0.5 == 0


def test_a_condition_on_a_field_outside_the_space_follows_the_recipe() -> None:
    text = "concatenation.multiple_of_normal=0.5:2 if concatenation.scheme=same-class"
    space = read_space(small(), [text])
    joined = replace(small(), concatenation=replace(small().concatenation, scheme="same-class"))
    assert "concatenation.multiple_of_normal" in drawn(0, space, joined)
    assert drawn(0, space) == {}


def test_the_user_replaces_extends_and_restricts() -> None:
    space = read_space(
        small(),
        ("features.window_seconds=1:9", "features.padding=smart|zero"),
        changes=("features.window_seconds=3:7", "features.blank_region=keep|clip"),
    )
    assert [str(d) for d in space] == [
        "features.window_seconds=3:7",
        "features.padding=smart|zero",
        "features.blank_region=keep|clip",
    ]
    (only,) = read_space(small(), SPACE, only=["features.window_seconds"])
    assert str(only) == "features.window_seconds=1:9:0.5"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("features.window_seconds", "a dimension is FIELD=LOW:HIGH"),
        ("features.window=1:9", "recipes have no field features.window"),
        ("features.window_seconds=9:1", "9:1 must rise"),
        ("features.window_seconds=1:9:2:3", "one step or log"),
        ("features.window_seconds=1:9:2:log", "one step or log"),
        ("features.window_seconds=0:9:log", "must hold for `log=True`"),
        ("features.window_seconds=1:9:0", "`step > 0` must hold"),
        ("features.n_mels=32:64:0.5", "takes whole numbers"),
        ("features.n_mels=32.5:64", "takes whole numbers"),
        ("features.window_seconds=a|b", "could not convert"),
        ("features.level_rows=yes|no", "'yes' is neither true nor false"),
        ("features.padding=smart|zero if features.nothing", "no field features.nothing"),
        ("features.padding=smart|zero if features.padding", "must be declared before it"),
        ("preprocess.band_pass=true|false", "changes the cycles, and is not searched"),
        *((f"{field}=a|b", "is not searched") for field in FIXED),
    ],
)
def test_what_is_no_dimension_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        read_space(small(), [text])
    assert said in str(refused.value)
    assert text in str(refused.value)


def test_a_condition_on_what_is_declared_later_is_refused() -> None:
    texts = ("features.padding=smart|zero if features.level_rows", "features.level_rows=true|false")
    with pytest.raises(InputError, match="must be declared before it"):
        read_space(small(), texts)


def test_an_empty_space_and_an_unknown_restriction_are_refused() -> None:
    with pytest.raises(InputError, match="nothing varies"):
        read_space(small(), ["features.padding=smart"])
    with pytest.raises(InputError, match=r"--only features.hop: not in the space"):
        read_space(small(), ["features.padding=smart|zero"], only=["features.hop"])


def test_an_impossible_recipe_is_refused_as_it_is_anywhere() -> None:
    with pytest.raises(InputError, match="window_seconds"):
        apply(small(), {"features.window_seconds": 0.01})


def test_the_space_leaves_the_recipe_it_starts_from_alone() -> None:
    before = small()
    apply(before, {"features.window_seconds": 3.0})
    assert before == small()
