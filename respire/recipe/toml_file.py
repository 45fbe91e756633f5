"""Recipes as TOML files: what a search writes, what ``--recipe FILE`` reads."""

import difflib
import json
import tomllib
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pydantic
import tomli_w

from respire.errors import InputError
from respire.recipe.identity import before_fields
from respire.recipe.presets import PRESETS
from respire.recipe.recipe import Recipe

_RECIPE = pydantic.TypeAdapter(Recipe)


def read_recipe(file: Path) -> Recipe:
    """The recipe in a TOML file.

    ``preset`` names the recipe it starts from (left out: paper); tables such as ``[features]`` hold
    the fields that differ. The recipe's own name is the file's.

    Raises:
        InputError: no such file, not TOML, or a field or value that recipes do not have; it names
            the file, the field and the remedy.
    """
    try:
        told = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{file}: cannot be read as a recipe ({error})") from error
    start = told.pop("preset", "paper")
    if str(start) not in PRESETS:
        raise InputError(f"{file}: preset {start!r} is none of {', '.join(PRESETS)}")
    try:
        tree = _updated(asdict(PRESETS[start]()), told)
        # As JSON: strict there means that 7 is a float and a list a tuple, but "7" is neither.
        recipe = _RECIPE.validate_json(json.dumps(tree, default=str), strict=True)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{file}: {where}: {first['msg']}, not {first['input']!r}") from error
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    return replace(recipe, preset=file.stem)


def recipe_toml(recipe: Recipe, preset: str, comment: str) -> str:
    """The text of a file that ``read_recipe`` reads back: every field, whatever presets become.

    ``preset`` is what it started from; the ``comment`` is said above, a line each.
    """
    lines = "".join(f"# {line}\n" for line in comment.splitlines())
    return f"{lines}{tomli_w.dumps(_given(asdict(recipe)) | {'preset': preset})}"


def stored_recipe(tree: dict[str, Any]) -> Recipe:
    """The recipe whose ``asdict`` was stored, maybe before some of its fields were there.

    Raises:
        ValueError: a field or value that recipes do not have.
    """
    try:
        return _RECIPE.validate_json(json.dumps(_updated(before_fields(Recipe()), tree)))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"recipe.{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except InputError as error:
        raise ValueError(str(error)) from error


def _given(tree: dict[str, Any]) -> dict[str, Any]:
    """A tree of fields without those that are None, of which TOML knows nothing."""
    return {
        name: _given(value) if isinstance(value, dict) else value
        for name, value in tree.items()
        if value is not None
    }


def _updated(tree: dict[str, Any], told: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A tree of fields with some of them replaced."""
    for name, value in told.items():
        if name not in tree:
            close = difflib.get_close_matches(name, tree, 1)
            hint = f"did you mean {prefix}{close[0]}?" if close else f"there are {', '.join(tree)}"
            raise InputError(f"{prefix}{name}: recipes have no such field; {hint}")
        if isinstance(tree[name], dict):
            if not isinstance(value, dict):
                raise InputError(f"{prefix}{name}: must be a table, [{prefix}{name}]")
            value = _updated(tree[name], value, f"{prefix}{name}.")
        tree[name] = value
    return tree
