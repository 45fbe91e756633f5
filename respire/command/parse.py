"""The command line read: presets, files and overrides to a recipe."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, TypeVar

import tyro
from tyro.constructors import ConstructorRegistry, StructConstructorSpec, StructTypeInfo

from respire.command.options import DataOptions, StoredOptions
from respire.errors import InputError
from respire.labels import Task
from respire.recipe.fields import FineTune
from respire.recipe.presets import PRESETS, load_recipe
from respire.recipe.recipe import Recipe

O = TypeVar("O")  # noqa: E741

ANNOTATED: dict[tuple[type, str], Any] = {
    (Recipe, "preset"): tyro.conf.Suppress[str],
    (Recipe, "task"): Annotated[Task, tyro.conf.arg(aliases=["--task"])],
    (FineTune, "trials_per_device"): Annotated[
        int, tyro.conf.arg(aliases=["--finetune.trials-per-device"])
    ],
}
"""What only the command line knows of a recipe's fields."""
RULES = ConstructorRegistry()
_BY_DEFAULT = object()
"""Marks a dataclass that is read as tyro reads any other."""


@RULES.struct_rule
def annotated(info: StructTypeInfo) -> StructConstructorSpec | None:
    """The recipe's dataclasses as tyro reads them, some of their fields annotated."""
    if info.type not in (Recipe, FineTune) or _BY_DEFAULT in info.markers:
        return None
    plain = replace(info, markers=(*info.markers, _BY_DEFAULT))
    spec = ConstructorRegistry.get_struct_spec(plain)
    assert isinstance(spec, StructConstructorSpec)
    fields = (replace(f, type=ANNOTATED.get((info.type, f.name), f.type)) for f in spec.fields)
    return replace(spec, fields=tuple(fields))


def parse(options: type[O], arguments: Sequence[str], description: str) -> O:
    """Read the command line: the preset first, since it gives the other options' defaults.

    Raises:
        InputError: the options contradict each other, or a recipe is impossible.
        SystemExit: --help, or an unknown option.
    """
    if not issubclass(options, StoredOptions):
        return tyro.cli(options, args=arguments, description=description, registry=RULES)
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument("--recipe")
    if issubclass(options, DataOptions):
        first.add_argument("--quick", action="store_true")
    try:
        early, _ = first.parse_known_args(arguments)
        quick = getattr(early, "quick", False)
    except argparse.ArgumentError as error:
        raise InputError(f"--recipe: {error.message}") from error
    preset = early.recipe or ("quick" if quick else options.preset)
    default = options(preset=preset, recipe=load_recipe(preset))
    if quick and isinstance(default, DataOptions):
        default = default.shortened()
    return tyro.cli(
        options, args=arguments, default=default, description=description, registry=RULES
    )


def recipe_of(text: str, base: Recipe) -> Recipe:
    """A recipe as ``--compare`` names it.

    That is a preset or file, one with overrides, or overrides of ``base``, separated by commas,
    such as ``small,features.padding=zero``. The name of ``base`` is that as it was told.

    Raises:
        InputError: neither a preset nor a field and its value.
        SystemExit: no such field, or not one of its values; the message says which there are.
    """
    arguments = []
    for position, word in enumerate(text.split(",")):
        field_, equals, value = word.strip().partition("=")
        if equals:
            arguments += [f"--recipe.{field_}", *value.split()]
        elif position == 0 and (field_ in PRESETS or field_.endswith(".toml")):
            base = base if field_ == base.preset else load_recipe(field_)
        else:
            raise InputError(
                f"--compare {text}: {field_!r} is neither a recipe ({', '.join(PRESETS)}, or a "
                f"file that ends in .toml) nor an override such as features.padding=zero"
            )
    # As the recipe of options, for by itself its --task would clash with the alias.
    default, words = StoredOptions(recipe=base), (tyro.conf.FlagConversionOff,)
    parsed = tyro.cli(
        StoredOptions,
        args=arguments,
        default=default,
        prog="--compare",
        config=words,
        registry=RULES,
    )
    return parsed.recipe
