"""What a run is known by: all that can change its numbers, as one key."""

import dataclasses
import hashlib
import json
from typing import Any

NUMERICS_VERSION = 3
"""Part of every run's key; raised whenever a change of the mathematics changes numbers."""
AS_BEFORE = "as_before"
"""In the metadata of a recipe's field that came later: the value that means what was done before
there was the field, as in ``x: float = field(default=1.0, metadata={AS_BEFORE: 0.0})``."""


def recipe_identity(recipe: Any) -> dict[str, Any]:
    """What of a Recipe, or of one of the dataclasses in it, enters a run's key.

    A field that came later is there only where it differs from what was done before: runs that
    were kept without it keep their keys.
    """
    identity = {}
    for field in dataclasses.fields(recipe):
        value = getattr(recipe, field.name)
        if AS_BEFORE not in field.metadata or value != field.metadata[AS_BEFORE]:
            part = dataclasses.is_dataclass(value)
            identity[field.name] = recipe_identity(value) if part else value
    return identity


def before_fields(recipe: Any) -> dict[str, Any]:
    """A Recipe, or a dataclass in it, as a tree whose later fields are as before there were."""
    tree = {}
    for field in dataclasses.fields(recipe):
        value = field.metadata.get(AS_BEFORE, getattr(recipe, field.name))
        tree[field.name] = before_fields(value) if dataclasses.is_dataclass(value) else value
    return tree


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries to one level of dotted names."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def digest(value: Any) -> str:
    """16 hexadecimal digits of a JSON-able value."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
