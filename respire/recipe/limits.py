"""Which values a recipe's fields may have; the same for every way that a value comes by."""

import math
from dataclasses import fields
from functools import cache
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from respire.errors import InputError


class Limits(NamedTuple):
    """An interval of numbers, its ends in it unless they are open."""

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def allow(self, value: float) -> bool:
        """Whether a value is finite and lies within."""
        above = value > self.low if self.low_open else value >= self.low
        below = value < self.high if self.high_open else value <= self.high
        return above and below and math.isfinite(value)

    def __str__(self) -> str:
        """What a value must do, after "must"."""
        ends = []
        if math.isfinite(self.low):
            ends.append(f"{'above' if self.low_open else 'at least'} {self.low:,}")
        if math.isfinite(self.high):
            ends.append(f"{'below' if self.high_open else 'at most'} {self.high:,}")
        if len(ends) == 2 and not (self.low_open or self.high_open):
            return f"lie between {self.low:,} and {self.high:,}"
        return f"be {' and '.join(ends or ['finite'])}"


ANY = Limits()
COUNT = Limits(1, 10**6)
"""Of every whole number that nothing else is said of."""
POSITIVE = Limits(0, low_open=True)
SHARE = Limits(0, 1)
BELOW_1 = Limits(0, 1, high_open=True)
FACTOR = Limits(0, 100, low_open=True)

LIMITS = {
    "preprocess.sample_rate_hz": Limits(1, 192_000),
    "preprocess.band_order": Limits(1, 20),
    "features.window_seconds": Limits(0, 600, low_open=True),
    "features.n_fft": Limits(16, 2**20),
    "features.mel_low_hz": Limits(0),
    "features.mel_high_hz": POSITIVE,
    "features.top_db": POSITIVE,
    "features.blank_db": Limits(0),
    "features.blank_share": Limits(0, 1, low_open=True),
    "features.upsample": Limits(1, 16),
    "concatenation.multiple_of_normal": Limits(0, 10**6, low_open=True),
    "augmentation.noise_snr_db": Limits(-200, 200),
    "augmentation.speed_factor": FACTOR,
    "augmentation.loudness_factor": FACTOR,
    "augmentation.pitch_semitones": Limits(-48, 48),
    "augmentation.vtlp_factor": FACTOR,
    "augmentation.time_mask_share": SHARE,
    "augmentation.frequency_mask_share": SHARE,
    "model.head_width": Limits(1, 8192),
    "model.dropout": BELOW_1,
    "optimisation.learning_rate": POSITIVE,
    "optimisation.momentum": BELOW_1,
    "optimisation.weight_decay": Limits(0),
    "optimisation.average_decay": BELOW_1,
    "optimisation.normal_loss_weight": POSITIVE,
    "optimisation.prior": SHARE,
    "finetune.learning_rate": POSITIVE,
    "finetune.average_decay": BELOW_1,
    "decision.prior": Limits(0),
} | {
    f"augmentation.{effect}_p": SHARE
    for effect in (
        *("noise", "speed", "loudness", "pitch", "vtlp", "shift", "time_mask", "frequency_mask"),
    )
}
"""By dotted name; whole numbers that are not here are counts, other numbers are finite."""


def check_value(name: str, value: Any) -> None:
    """Refuse a number, or a range with an end, that the field of a dotted name cannot have.

    Raises:
        InputError: it cannot; the field, the value and the limits are told.
    """
    if isinstance(value, tuple):
        for end in value:
            check_value(name, end)
        if value[0] > value[1]:
            raise InputError(f"recipe.{name}: {value[0]:g} to {value[1]:g} must rise")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        limits = LIMITS.get(name, COUNT if isinstance(value, int) else ANY)
        if not limits.allow(value):
            told = f"{value:g}" if isinstance(value, float) else value
            raise InputError(f"recipe.{name}: {told} must {limits}")


def check_kind(name: str, value: Any, kind: Any) -> None:
    """Refuse what is none of a field's words, or no whole number or switch where it is one.

    Raises:
        InputError: it is refused; the field, the value and what it may be are told.
    """
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            words = ", ".join(map(str, get_args(kind)))
            raise InputError(f"recipe.{name}: {value!r} is none of {words}")
    elif (kind is int and (isinstance(value, bool) or not isinstance(value, int))) or (
        kind is bool and not isinstance(value, bool)
    ):
        raise InputError(
            f"recipe.{name}: {value!r} must be {'a whole number' if kind is int else 'on or off'}"
        )


@cache
def _kinds(part: Any) -> dict[str, Any]:
    """What each field of a class may hold."""
    return get_type_hints(part)


class Part:
    """A recipe or a part of one, whose fields are checked as it is made."""

    def __post_init__(self) -> None:
        kinds = _kinds(type(self))  # type: ignore[arg-type]
        for field in fields(self):  # type: ignore[arg-type]
            name, value = f"{self.dotted}{field.name}", getattr(self, field.name)
            check_kind(name, value, kinds[field.name])
            check_value(name, value)

    @property
    def dotted(self) -> str:
        """What the names of its fields begin with."""
        return f"{type(self).__name__.lower()}."


MEL_STEP_HZ, LINEAR_TO_HZ, LOG_STEP = 200 / 3, 1000.0, math.log(6.4) / 27
"""Slaney's mel scale: linear up to 1 kHz, then logarithmic."""


def empty_mel_bands(
    n_mels: int, n_fft: int, low_hz: float, high_hz: float, sample_rate_hz: int
) -> int:
    """How many mel bands lie between two frequencies of the FFT, so that they hear nothing."""

    def mel(hz: float) -> float:
        if hz < LINEAR_TO_HZ:
            return hz / MEL_STEP_HZ
        return LINEAR_TO_HZ / MEL_STEP_HZ + math.log(hz / LINEAR_TO_HZ) / LOG_STEP

    def hz(mels: float) -> float:
        above = mels - LINEAR_TO_HZ / MEL_STEP_HZ
        return MEL_STEP_HZ * mels if above < 0 else LINEAR_TO_HZ * math.exp(LOG_STEP * above)

    step_hz = sample_rate_hz / n_fft
    step = (mel(high_hz) - mel(low_hz)) / (n_mels + 1)
    edges = [hz(mel(low_hz) + step * band) / step_hz for band in range(n_mels + 2)]
    # The first frequency above a band's lower edge must lie below its upper one.
    return sum(math.floor(low) + 1 >= high for low, high in zip(edges, edges[2:], strict=False))
