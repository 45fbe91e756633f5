"""results.json as dataclasses: what a question's run finds, and its report reads."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Annotated, Any, TypeVar

Summary = TypeVar("Summary")


class _NullIsNan:
    """Has pydantic, which takes long to import, read null as NaN; it knows us by the method."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        from pydantic_core.core_schema import no_info_before_validator_function

        def read(value: Any) -> Any:
            return math.nan if value is None else value

        return no_info_before_validator_function(read, handler(source))


Number = Annotated[float, _NullIsNan()]
"""One that may be undefined: NaN, and null in JSON."""


@dataclass(frozen=True)
class Header:
    """What every results.json begins with (experiments/results/SCHEMA.md).

    Attributes:
        experiment: the question's name.
        name: the run's own.
        respire_version: that ran it.
        numerics_version: raised when the mathematics changes.
        key: of all that can change its numbers.
        selection: the side that chose epochs; empty where nothing is trained.
        stamps: what every table and figure must carry, loudly.
        warnings: what a reader must know.
        skipped: recordings left out, one line each.
        seconds: by part, and in total.
        peak_memory_mib: the most that was needed.
        environment: versions, and where something is trained device, precision, workers, memory.
        groups: what is called a patient (data/corpora/corpus.py).
        weights: SHA-256 of each file that networks started from, by what the recipe calls it.
    """

    experiment: str
    name: str
    respire_version: str
    numerics_version: int
    key: str
    selection: str
    stamps: tuple[str, ...]
    warnings: tuple[str, ...]
    skipped: tuple[str, ...]
    seconds: Mapping[str, float]
    peak_memory_mib: float
    environment: Mapping[str, Any]
    groups: str = "patient"
    weights: Mapping[str, str] = field(default_factory=dict)


def read(kind: type[Summary], results: Mapping[str, Any]) -> Summary:
    """The part of results.json that a dataclass describes.

    Args:
        kind: the dataclass; keys that it has no field for are left to others.
        results: content of results.json.

    Raises:
        pydantic.ValidationError: a field is missing, or of another type.
    """
    from pydantic import TypeAdapter

    return TypeAdapter(kind).validate_python(dict(results))


def stored(found: Any) -> Any:
    """What results.json has of a summary: dataclasses as mappings, or as their own ``to_json``."""
    if is_dataclass(found):
        if hasattr(found, "to_json"):
            return found.to_json()
        return {part.name: stored(getattr(found, part.name)) for part in fields(found)}
    if isinstance(found, Mapping):
        return {name: stored(part) for name, part in found.items()}
    if isinstance(found, list | tuple):
        return [stored(part) for part in found]
    return found
