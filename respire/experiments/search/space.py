"""The search space: which fields of a recipe a search varies, within what, and on what condition.

A dimension is written ``FIELD=LOW:HIGH``, ``FIELD=LOW:HIGH:log``, ``FIELD=LOW:HIGH:STEP`` or
``FIELD=A|B|C``, and may end in `` if OTHER`` or `` if OTHER=VALUE``: then it is there only where
the other field is on, or has that value. A field that is a range of strengths, such as
``augmentation.speed_factor``, is varied by one number (``STRENGTHS``).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from respire.errors import InputError
from respire.recipe.fields import Range
from respire.recipe.limits import check_value
from respire.recipe.recipe import Recipe

SPACE = (
    # What is heard at once (paper Table 2), and how much of the spectrum is seen.
    "features.window_seconds=1:9:0.5",
    "features.n_mels=32|48|64",
    # Frames of either hop overlap by half at least: no crackle is lost between two.
    "features.n_fft=512",
    "features.hop=128|256",
    # How cycles fill a window, and new ones made of two (paper 2.1). Evaluation repeats cycles: a
    # network trained on silence, or on cycles reversed, would lose by what it has not seen.
    "features.padding=smart|repeat",
    "concatenation.scheme=off|same-class",
    "concatenation.multiple_of_normal=0.25:2 if concatenation.scheme=same-class",
    # Standard augmentation: how often and, where at all, how strong.
    "augmentation.one_at_most=false",
    "augmentation.noise_p=0:0.5:0.1",
    "augmentation.noise_snr_db=0:30 if augmentation.noise_p",
    "augmentation.speed_p=0:0.5:0.1",
    "augmentation.speed_factor=1.1:2 if augmentation.speed_p",
    "augmentation.loudness_p=0:0.5:0.1",
    "augmentation.loudness_factor=1.1:4 if augmentation.loudness_p",
    "augmentation.pitch_p=0:0.5:0.1",
    "augmentation.pitch_semitones=0.5:4 if augmentation.pitch_p",
    "augmentation.vtlp_p=0:0.5:0.1",
    "augmentation.vtlp_factor=1.05:1.4 if augmentation.vtlp_p",
    "augmentation.shift_p=0:1:0.25",
    "augmentation.time_mask_p=0:0.5:0.1",
    "augmentation.time_mask_share=0.05:0.3 if augmentation.time_mask_p",
    "augmentation.frequency_mask_p=0:0.5:0.1",
    "augmentation.frequency_mask_share=0.05:0.3 if augmentation.frequency_mask_p",
    # How it learns.
    "model.dropout=0:0.6:0.1",
    "optimisation.learning_rate=0.0003:0.01:log",
    "optimisation.weight_decay=0.0001:0.3:log",
)
"""What is varied unless a user says otherwise."""

STAGE2_SPACE = ("finetune.learning_rate=0.00001:0.001:log",)
"""What is varied beside it where stage 2 is searched too."""

STRENGTHS: dict[str, Callable[[float], Range]] = {
    "augmentation.noise_snr_db": lambda least: (least, least + 20),
    "augmentation.speed_factor": lambda most: (1 / most, most),
    "augmentation.loudness_factor": lambda most: (1 / most, most),
    "augmentation.pitch_semitones": lambda most: (-most, most),
    "augmentation.vtlp_factor": lambda most: (1 / most, most),
    "augmentation.time_mask_share": lambda most: (0.0, most),
    "augmentation.frequency_mask_share": lambda most: (0.0, most),
}
"""The range that a number makes of each field that is one."""

FIXED = {
    "preset": "is a name",
    "task": "changes what is asked",
    "selection": "is chosen, not searched: test data selects nothing",
    "watch_test": "reads test",
    "decision.prior": "needs no training: predictions are decided anew under any",
    "model.backbone": "changes the initial weights",
    "model.weights": "changes the initial weights",
    "model.head_width": "changes the initial weights",
    "model.sync_batchnorm": "plays no part: a trial has one worker",
    "optimisation.bank": "plays no part: a trial has one worker",
    "optimisation.exchange": "plays no part: a trial has one worker",
    "optimisation.precision": "is settled once for a search, --recipe.optimisation.precision",
    "features.evaluation_padding": "changes what is tested, and may read its labels",
}
"""Fields that no search may vary, and why; nor any of ``preprocess``."""


@dataclass(frozen=True)
class Dimension:
    """One field that is varied.

    Attributes:
        field: its dotted name.
        values: Optuna's distribution of them.
        when: field on which it depends, "" for none.
        equals: the value that field must have; None for any that is on (not 0, false or off).
    """

    field: str
    values: BaseDistribution
    when: str = ""
    equals: Any = None

    @property
    def choices(self) -> tuple[Any, ...]:
        """Its values; empty for numbers."""
        return getattr(self.values, "choices", ())

    def there(self, values: Mapping[str, Any]) -> bool:
        """Whether it is varied, the other fields having these values."""
        if not self.when:
            return True
        value = values[self.when]
        return value not in (0, False, "off") if self.equals is None else value == self.equals

    def suggest(self, trial: optuna.Trial) -> Any:
        """A value for a trial."""
        kind = type(self.values).__name__.removesuffix("Distribution").lower()
        suggest: Callable[..., Any] = getattr(trial, f"suggest_{kind}")
        return suggest(self.field, **vars(self.values))

    def to_json(self) -> str:
        """The form kept in results.json: as it is declared."""
        return str(self)

    def __str__(self) -> str:
        values = "|".join(map(_text, self.choices))
        if isinstance(within := self.values, IntDistribution | FloatDistribution):
            plain = 1 if isinstance(within, IntDistribution) else None
            end = ":log" if within.log else "" if within.step == plain else f":{within.step:g}"
            values = f"{within.low:g}:{within.high:g}{end}"
        condition = f" if {self.when}" if self.when else ""
        condition += "" if self.equals is None else f"={_text(self.equals)}"
        return f"{self.field}={values}{condition}"


Space = tuple[Dimension, ...]


def read_space(
    recipe: Recipe,
    texts: Iterable[str],
    changes: Iterable[str] = (),
    only: Sequence[str] | None = None,
) -> Space:
    """The space that some texts declare.

    Args:
        recipe: the default recipe, whose fields have the types and whose values hold elsewhere.
        texts: dimensions, as the module says.
        changes: dimensions that take the place of those of the same field, or come on top.
        only: the fields that are kept; None keeps all.

    Raises:
        InputError: a text is none, a field may not be varied, or depends on one that comes later.
    """
    dimensions = {
        dimension.field: dimension
        for dimension in (_dimension(recipe, text) for text in (*texts, *changes))
    }
    unknown = set(only or ()) - set(dimensions)
    if unknown:
        raise InputError(
            f"--only {' '.join(sorted(unknown))}: not in the space ({', '.join(dimensions)})"
        )
    space = tuple(d for d in dimensions.values() if only is None or d.field in only)
    if all(len(d.choices) == 1 for d in space):
        raise InputError("the search space is empty: nothing varies")
    for number, dimension in enumerate(space):
        if dimension.when in [d.field for d in space[number:]]:
            raise InputError(
                f"{dimension}: depends on {dimension.when}, which must be declared before it"
            )
    return space


def suggest(trial: optuna.Trial, space: Space, recipe: Recipe) -> dict[str, Any]:
    """A trial's values, by field: of each dimension that is there, in the order of the space."""
    values: dict[str, Any] = {}
    known = recipe.flat()
    for dimension in space:
        if dimension.there(known):
            known[dimension.field] = values[dimension.field] = dimension.suggest(trial)
    return values


def apply(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with some fields replaced.

    Raises:
        InputError: such a recipe is impossible.
    """
    parts: dict[str, dict[str, Any]] = {}
    for field, value in values.items():
        part, _, name = field.rpartition(".")
        new = STRENGTHS[field](value) if field in STRENGTHS else value
        parts.setdefault(part, {})[name] = new
    return replace(
        recipe,
        **parts.pop("", {}),
        **{part: replace(getattr(recipe, part), **fields) for part, fields in parts.items()},
    )


def _dimension(recipe: Recipe, text: str) -> Dimension:
    match = re.fullmatch(r"\s*([\w.]+)=(\S+?)(?:\s+if\s+([\w.]+)(?:=(\S+))?)?\s*", text)
    if match is None:
        raise InputError(
            f"{text!r}: a dimension is FIELD=LOW:HIGH, FIELD=LOW:HIGH:log, FIELD=LOW:HIGH:STEP or "
            f"FIELD=A|B, and may end in ' if FIELD' or ' if FIELD=VALUE'"
        )
    field, values, when, equals = match.groups()
    fields = recipe.flat()
    for name in (field, *([when] if when else [])):
        if name not in fields:
            raise InputError(f"{text!r}: recipes have no field {name}")
    if field in FIXED or field.startswith("preprocess."):
        raise InputError(
            f"{text!r}: {field} {FIXED.get(field, 'changes the cycles')}, and is not searched"
        )
    kind = type(fields[field])
    try:
        within = (
            _numbers(values, whole=kind is int)
            if ":" in values and kind is not str
            else CategoricalDistribution([_value(kind, choice) for choice in values.split("|")])
        )
        condition = None if equals is None else _value(type(fields[when]), equals)
        for end in _ends(within):
            check_value(field, STRENGTHS[field](end) if field in STRENGTHS else end)
    except (ValueError, ArithmeticError, InputError) as error:
        raise InputError(f"{text!r}: {error}") from error
    return Dimension(field, within, when or "", condition)


def _ends(values: BaseDistribution) -> tuple[Any, ...]:
    """Its lowest and highest number, or all of its choices."""
    if isinstance(values, IntDistribution | FloatDistribution):
        return (values.low, values.high)
    return getattr(values, "choices", ())


def _numbers(values: str, whole: bool) -> BaseDistribution:
    ends, log = values.removesuffix(":log"), values.endswith(":log")
    low, high, *step = map(float, ends.split(":"))
    if len(step) + log > 1 or not low < high:
        raise ValueError(f"{values} must rise, and have one step or log")
    if not whole:
        return FloatDistribution(low, high, log, *step)
    if any(number % 1 for number in (low, high, *step)):
        raise ValueError(f"{values}: the field takes whole numbers")
    return IntDistribution(int(low), int(high), log, *map(int, step))


def _value(kind: type, text: str) -> Any:
    """A text as a value of a field's type; a number where the field is a range."""
    if kind is bool:
        if text not in ("true", "false"):
            raise ValueError(f"{text!r} is neither true nor false")
        return text == "true"
    return kind(text) if kind in (int, float, str) else float(text)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
