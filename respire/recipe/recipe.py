"""Recipe: every choice that changes a number, in one frozen tree.

The defaults are recipe ``paper`` (recipe/fields.py); the others are in recipe/presets.py.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from respire.errors import InputError
from respire.labels import CLASSES, Task
from respire.recipe.fields import (
    LONGEST_WINDOW,
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
from respire.recipe.limits import Part, empty_mel_bands


@dataclass(frozen=True)
class Recipe(Part):
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

    @property
    def dotted(self) -> str:
        """Its own fields are called as they are."""
        return ""

    def __post_init__(self) -> None:
        super().__post_init__()
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
        if window > LONGEST_WINDOW:
            raise InputError(
                f"recipe.features.window_seconds: {self.features.window_seconds:g} s is {window:,} "
                f"samples; use at most {LONGEST_WINDOW / self.preprocess.sample_rate_hz:g} s"
            )
        level, top_db = self.features.blank_db, self.features.top_db
        if level > top_db:
            raise InputError(
                f"recipe.features.blank_db: {level:g} must lie between 0 and top_db, {top_db:g}"
            )
        if self.features.mel_high_hz > self.preprocess.sample_rate_hz / 2:
            raise InputError(
                f"recipe.features.mel_high_hz: {self.features.mel_high_hz:g} Hz lies above half "
                f"the sample rate of {self.preprocess.sample_rate_hz} Hz"
            )
        self._check_mel_bands()

    def _check_mel_bands(self) -> None:
        features, rate_hz = self.features, self.preprocess.sample_rate_hz
        band = (features.n_fft, features.mel_low_hz, features.mel_high_hz, rate_hz)
        if empty := empty_mel_bands(features.n_mels, *band):
            raise InputError(
                f"recipe.features.n_mels: {features.n_mels} mel bands of {features.mel_low_hz:g} "
                f"to {features.mel_high_hz:g} Hz are more than an FFT of {features.n_fft} fills "
                f"({empty} would hear nothing); use fewer, or a longer --recipe.features.n-fft"
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
