"""Values that no recipe can have, by every way that they come in."""

import dataclasses
import re
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from respire.command.parse import parse, recipe_of
from respire.command.questions import FullOptions
from respire.data.mel import mel_filters
from respire.errors import InputError
from respire.experiments.search.space import read_space
from respire.features.augment import NOISE_SAMPLES
from respire.recipe.fields import LONGEST_WINDOW, Features, Optimisation, Preprocess
from respire.recipe.limits import LIMITS, check_value, empty_mel_bands
from respire.recipe.presets import PRESETS, load_recipe, small
from respire.recipe.recipe import Recipe

FLAT = small().flat()
NUMBERS = [name for name, value in FLAT.items() if type(value) in (int, float, tuple)]
IMPOSSIBLE = [
    ("optimisation.learning_rate", "0", "be above 0"),
    ("optimisation.learning_rate", "-0.001", "be above 0"),
    ("finetune.learning_rate", "-1", "be above 0"),
    ("model.dropout", "1", "be at least 0 and below 1"),
    ("model.dropout", "-0.5", "be at least 0 and below 1"),
    ("features.top_db", "0", "be above 0"),
    ("features.n_fft", "8", "lie between 16 and 1,048,576"),
    ("features.window_seconds", "-7", "be above 0 and at most 600"),
    ("concatenation.multiple_of_normal", "1e9", "be above 0 and at most 1,000,000"),
    ("optimisation.weight_decay", "-1", "be at least 0"),
    ("optimisation.batch_size", "0", "lie between 1 and 1,000,000"),
]


def written(folder: Path, name: str, value: str) -> Path:
    part, _, field = name.rpartition(".")
    file = folder / "mine.toml"
    file.write_text(f'preset = "small"\n[{part}]\n{field} = {value}\n')
    return file


def typed(name: str, value: str) -> list[str]:
    return [f"--recipe.{name.replace('_', '-')}", *value.split()]


@pytest.mark.parametrize(("name", "value", "must"), IMPOSSIBLE)
def test_a_value_out_of_reach_is_refused_alike_wherever_it_is_said(
    name: str, value: str, must: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as typed_:
        parse(FullOptions, ["--recipe", "small", *typed(name, value)], "")
    assert str(typed_.value) == f"recipe.{name}: {float(value):g} must {must}"
    with pytest.raises(InputError) as read:
        load_recipe(str(written(tmp_path, name, value)))
    assert str(read.value) == f"{tmp_path / 'mine.toml'}: {typed_.value}"
    with pytest.raises(InputError) as compared:
        recipe_of(f"small,{name}={value}", small())
    assert str(compared.value) == str(typed_.value)
    for text in (f"{name}={value}|{FLAT[name]}", f"{name}={value}:{float(value) + 2}:1"):
        with pytest.raises(InputError) as varied:
            read_space(small(), [text])
        assert str(varied.value) == f"{text!r}: {typed_.value}"


@pytest.mark.parametrize(
    ("name", "value"),
    zip(
        [name for name in NUMBERS if type(FLAT[name]) is not int],
        cycle(["nan", "inf", "-inf"]),
        strict=False,
    ),
)
def test_no_number_of_a_recipe_may_be_infinite_or_none(
    name: str, value: str, tmp_path: Path
) -> None:
    many = isinstance(FLAT[name], tuple)
    with pytest.raises(InputError, match=rf"^recipe\.{re.escape(name)}: -?(nan|inf) must"):
        parse(FullOptions, typed(name, f"{value} {value}" if many else value), "")
    with pytest.raises(InputError, match=rf"recipe\.{re.escape(name)}: -?(nan|inf) must") as read:
        load_recipe(str(written(tmp_path, name, f"[{value}, {value}]" if many else value)))
    assert len(str(read.value)) < 200 + len(str(tmp_path))


def test_what_is_limited_are_fields_of_recipes_and_every_preset_keeps_within() -> None:
    assert LIMITS.keys() <= FLAT.keys()
    for preset in PRESETS.values():
        for name, value in preset().flat().items():
            check_value(name, value)


@given(st.sampled_from([*LIMITS]), st.floats(allow_nan=False, allow_infinity=False))
def test_a_field_takes_exactly_what_its_limits_say(name: str, value: float) -> None:
    limits = LIMITS[name]
    outside = not limits.low <= value <= limits.high
    open_end = (limits.low_open and value == limits.low) or (
        limits.high_open and value == limits.high
    )
    try:
        check_value(name, value)
        refused = False
    except InputError:
        refused = True
    assert refused == (outside or open_end)


@pytest.mark.parametrize(
    ("low", "high"), [(50.0, 50.0), (500.0, 50.0), (1e308, 2000.0), (2000.0, 1e-300)]
)
def test_mel_filters_that_do_not_rise_are_refused(low: float, high: float) -> None:
    with pytest.raises(InputError, match=r"^recipe\.features\.mel_low_hz: .* must be below mel_h"):
        Features(mel_low_hz=low, mel_high_hz=high)


@given(
    n_mels=st.integers(1, 300),
    n_fft=st.integers(8, 512).map(lambda half: 2 * half),
    low=st.floats(0, 1990),
    width=st.floats(1, 2000),
)
def test_bands_are_called_empty_exactly_where_no_frequency_has_weight(
    n_mels: int, n_fft: int, low: float, width: float
) -> None:
    high = min(2000.0, low + width)
    weights = mel_filters(n_mels, n_fft, 4000, low, high)
    empty = int((~weights.any(1)).sum())
    told = empty_mel_bands(n_mels, n_fft, low, high, 4000)
    # A frequency that lies on an edge but for rounding has a weight of next to nothing.
    faint = int((weights.max(1) < 1e-6 * weights.max(initial=1e-30)).sum())
    assert empty <= told <= faint or told == empty


def test_more_bands_than_the_fft_fills_are_refused_in_one_line() -> None:
    features = dataclasses.replace(small().features, n_mels=500)
    with pytest.raises(InputError) as refused:
        dataclasses.replace(small(), features=features)
    assert str(refused.value).startswith("recipe.features.n_mels: 500 mel bands of 50 to 2000 Hz")
    assert "\n" not in str(refused.value)


def test_numbers_that_no_float_holds_are_refused_like_others() -> None:
    with pytest.raises(InputError, match=r"features\.n_mels: 1000000000000"):
        Features(n_mels=10**400)


@pytest.mark.parametrize(
    ("part", "field", "value", "says"),
    [
        (Features, "padding", "reflct", "'reflct' is none of smart, reflect, repeat"),
        (Optimisation, "optimiser", "adam", "'adam' is none of sgd, adamw"),
        (Optimisation, "epochs", 20.5, "20.5 must be a whole number"),
        (Optimisation, "epochs", True, "True must be a whole number"),
        (Features, "level_rows", 1, "1 must be on or off"),
        (Recipe, "task", "3-class", "'3-class' is none of 4-class, 2-class"),
    ],
)
def test_a_word_that_a_field_does_not_know_is_refused_from_python_too(
    part: Any, field: str, value: object, says: str
) -> None:
    """An if and its else would take it for one of those that they know."""
    name = f"recipe.{field}" if part is Recipe else f"recipe.{part.__name__.lower()}.{field}"
    with pytest.raises(InputError, match=re.escape(f"{name}: {says}")):
        part(**{field: value})


def test_a_window_longer_than_the_table_of_noise_is_refused() -> None:
    assert LONGEST_WINDOW == NOISE_SAMPLES
    rate = {"preprocess": Preprocess(sample_rate_hz=44100)}
    with pytest.raises(InputError, match=r"window_seconds: 48 s is 2,116,800 samples; use at most"):
        dataclasses.replace(small(), features=replace_window(48.0), **rate)
    dataclasses.replace(small(), features=replace_window(47.0), **rate)


def replace_window(seconds: float) -> Features:
    return dataclasses.replace(small().features, window_seconds=seconds)
