"""Recipe: every choice that changes a number, in one frozen tree.

The defaults are recipe ``paper`` (recipe/fields.py); the others are in recipe/presets.py.
"""

from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any, Literal, get_type_hints

from respire.errors import InputError
from respire.labels import CLASSES, Task
from respire.recipe.fields import (
    SHORTEST_WINDOW,
    Augmentation,
    Concatenation,
    Decision,
    Features,
    FineTune,
    Model,
    Optimisation,
    Preprocess,
    Selection,
)
from respire.recipe.identity import flatten


@dataclass(frozen=True)
class Recipe:
    """A complete, reproducible way from recordings to predictions."""

    preset: str = "paper"
    """Name of the preset this recipe started from."""
    task: Task = "4-class"
    """normal/crackle/wheeze/both, or normal/abnormal (paper section 3)."""
    preprocess: Preprocess = field(default_factory=Preprocess)
    """Recording to cycles."""
    features: Features = field(default_factory=Features)
    """Cycles to images."""
    concatenation: Concatenation = field(default_factory=Concatenation)
    """Two training cycles in one."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """Variations of training windows."""
    model: Model = field(default_factory=Model)
    """Images to logits."""
    optimisation: Optimisation = field(default_factory=Optimisation)
    """Stage 1."""
    finetune: FineTune = field(default_factory=FineTune)
    """Stage 2."""
    decision: Decision = field(default_factory=Decision)
    """Logits to a class."""
    selection: Selection = "validation"
    """What chooses the epoch that is kept (the paper does not say): "validation" patients, or
    "none": it is the last, and who would be in validation is in train. "test" reproduces the
    released code's mistake; everything it produces is stamped."""
    selected_by: Literal["score", "accuracy"] = "score"
    """The best epoch's yardstick (paper: the best checkpoint; released code: accuracy)."""
    watch_test: bool = False
    """Whether every epoch is scored on test too, to tell what choosing the epoch there would be
    worth. What it tells is labelled, and nothing is chosen by it."""

    def __post_init__(self) -> None:
        for part, fields in vars(self).items():
            if is_dataclass(fields):
                types = get_type_hints(type(fields))
                for name, value in vars(fields).items():
                    if types[name] is int and value < 1:
                        raise InputError(f"recipe.{part}.{name}: {value} must be at least 1")
        hop, n_fft = self.features.hop, self.features.n_fft
        if hop > n_fft:
            raise InputError(
                f"recipe.features.hop: {hop} samples are more than the {n_fft} of a frame, and "
                f"what lies between two frames is never seen; use at most {n_fft // 2}, or "
                f"--recipe.features.n-fft {2 * hop}"
            )
        window = self.features.samples(self.preprocess.sample_rate_hz)
        shortest = max(n_fft, SHORTEST_WINDOW)
        if window < shortest:
            raise InputError(
                f"recipe.features.window_seconds: {self.features.window_seconds:g} s is {window} "
                f"samples, too short for an FFT of {n_fft} and for augmentation; "
                f"use at least {shortest / self.preprocess.sample_rate_hz:g} s"
            )
        share, level = self.features.blank_share, self.features.blank_db
        top_db, stage1 = self.features.top_db, self.optimisation
        weight, decay, prior = stage1.normal_loss_weight, stage1.average_decay, stage1.prior
        tuned = self.finetune.average_decay
        for name, value, possible, bounds in (
            ("features.blank_share", share, 0 < share <= 1, "be above 0 and at most 1"),
            ("features.blank_db", level, 0 <= level <= top_db, "lie between 0 and top_db"),
            ("optimisation.normal_loss_weight", weight, weight > 0, "be above 0"),
            ("optimisation.average_decay", decay, 0 <= decay < 1, "be at least 0 and below 1"),
            ("optimisation.prior", prior, 0 <= prior <= 1, "lie between 0 and 1"),
            ("finetune.average_decay", tuned, 0 <= tuned < 1, "be at least 0 and below 1"),
            ("decision.prior", self.prior, self.prior >= 0, "be at least 0"),
        ):
            if not possible:
                raise InputError(f"recipe.{name}: {value:g} must {bounds}")
        if self.features.mel_high_hz > self.preprocess.sample_rate_hz / 2:
            raise InputError(
                f"recipe.features.mel_high_hz: {self.features.mel_high_hz:g} Hz lies above half "
                f"the sample rate of {self.preprocess.sample_rate_hz} Hz"
            )

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names of the task, in the order of labels and confusion matrices."""
        return CLASSES[self.task]

    @property
    def prior(self) -> float:
        """Under which classes are decided (models/decision.py)."""
        given = self.decision.prior
        return self.optimisation.prior if given is None else given

    @property
    def stamps(self) -> tuple[str, ...]:
        """What every result of this recipe must carry, loudly: test selects, or is read."""
        stamps = []
        if self.selection == "test":
            stamps.append("selected on test")
        if self.features.evaluation_padding == "smart":
            stamps.append("test labels shaped the padding of test cycles")
        return tuple(stamps)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of any result of this recipe must know."""
        hop, n_fft = self.features.hop, self.features.n_fft
        if hop <= n_fft / 2:
            return ()
        return (
            f"frames hardly overlap (features.hop is {hop}, more than half of features.n_fft, "
            f"{n_fft}): a crackle between two of them is heard weakly or not at all; at hop = "
            f"n_fft 37% of crackle positions lose more than 10 dB",
        )

    def flat(self) -> dict[str, Any]:
        """Every field by its dotted name, e.g. ``features.window_seconds``."""
        return flatten(asdict(self))
