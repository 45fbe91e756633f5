"""What a run is known by: all that can change its numbers, as one key."""

import hashlib
import json
from typing import Any

NUMERICS_VERSION = 2
"""Part of every run's key; raised whenever a change of the mathematics changes numbers."""


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
