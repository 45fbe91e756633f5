"""Recipe: every choice that changes a number, in one frozen tree.

Each field says where it comes from. ``paper`` is RespireNet as published (Gairola et al. 2020);
where the paper is silent the value of its released code is used, and the field says so.
"""

from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal, get_args

import tyro

from respire.errors import InputError

Task = Literal["4-class", "2-class"]
CLASSES: dict[Task, tuple[str, ...]] = {
    "4-class": ("normal", "crackle", "wheeze", "both"),
    "2-class": ("normal", "abnormal"),
}
NORMAL = 0
"""Index of the normal class, in either task."""

NUMERICS_VERSION = 1
"""Part of every run's key; raised whenever a change of the mathematics changes numbers."""

Padding = Literal["smart", "reflect", "repeat", "zero"]


@dataclass(frozen=True)
class Preprocess:
    """Recording to cycles (paper section 2, "Pre-processing")."""

    sample_rate_hz: int = 4000
    """Rate every recording is resampled to (paper: 4 kHz)."""
    band_low_hz: float = 50.0
    """Lower band-pass edge (the paper gives none; 50 Hz is the released code's lowest mel)."""
    band_high_hz: float = 1950.0
    """Upper band-pass edge (the paper gives none; at 4 kHz it must lie below 2,000 Hz)."""
    band_order: int = 5
    """Order of the Butterworth band-pass (paper: 5)."""

    def __post_init__(self) -> None:
        if not 0 < self.band_low_hz < self.band_high_hz < self.sample_rate_hz / 2:
            raise InputError(
                f"recipe.preprocess: band-pass {self.band_low_hz:g}-{self.band_high_hz:g} Hz must "
                f"rise and lie between 0 and {self.sample_rate_hz / 2:g} Hz (half the sample rate)"
            )


@dataclass(frozen=True)
class Features:
    """Cycles to images (paper sections 2 and 2.1; mel and image values of the released code)."""

    window_seconds: float = 7.0
    """Seconds of audio the network sees; longer cycles are clipped (paper Table 2: 7 s)."""
    padding: Padding = "smart"
    """How a training cycle fills its window (paper 2.1: smart)."""
    evaluation_padding: Padding = "repeat"
    """How an evaluation cycle fills its window. "smart" reads labels of evaluation cycles:
    it measures what that leak is worth, and every result is stamped."""
    n_mels: int = 64
    """Mel bands (released code: 64)."""
    n_fft: int = 256
    """FFT length in samples (released code: 256)."""
    hop: int = 128
    """Samples between frames (released code: 128)."""
    mel_low_hz: float = 50.0
    """Lower edge of the mel filters (released code: 50 Hz)."""
    mel_high_hz: float = 2000.0
    """Upper edge of the mel filters (released code: 2,000 Hz)."""
    top_db: float = 80.0
    """Decibels kept below each window's loudest point (released code: 80)."""
    colour_map: Literal["magma", "grey"] = "magma"
    """How decibels become three channels (released code: magma)."""
    upsample: int = 3
    """Bilinear enlargement of the image (released code: 3, so 192x657 at 7 s)."""

    def samples(self, sample_rate_hz: int) -> int:
        """Window length in samples."""
        return round(self.window_seconds * sample_rate_hz)


@dataclass(frozen=True)
class Model:
    """The network (paper section 2, "Network architecture")."""

    backbone: str = "resnet34"
    """Any torchvision classification model by name (paper: ResNet-34)."""
    weights: str = "imagenet"
    """"imagenet", "none", or the path of a state dict of the backbone (paper: ImageNet)."""
    head_width: int = 128
    """Width of the two fully connected layers (paper: 128)."""
    dropout: float = 0.5
    """Dropout before each fully connected layer (released code: .5)."""
    sync_batchnorm: bool = False
    """Share batch statistics among workers, so that N workers compute what one would."""


@dataclass(frozen=True)
class Optimisation:
    """Stage 1 (paper section 3, "Implementation Details")."""

    optimiser: Literal["sgd", "adamw"] = "sgd"
    """SGD with momentum (paper), or AdamW."""
    learning_rate: float = 1e-3
    """Learning rate, the peak one under "one-cycle" (paper: 1e-3)."""
    schedule: Literal["constant", "one-cycle"] = "constant"
    """Learning rate over the run (paper: fixed)."""
    momentum: float = 0.9
    """Momentum of SGD (paper: .9)."""
    weight_decay: float = 0.0
    """Weight decay (the paper names none)."""
    epochs: int = 200
    """Epochs (paper: 200)."""
    batch_size: int = 64
    """Global batch, whatever the number of workers (paper: 64)."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the network; "auto" takes bf16 where the processor computes in it."""
    bank: Literal["sharded", "replicated"] = "sharded"
    """With several workers: each holds its share of the recordings, or each holds all and sees
    exactly the samples that one worker would."""


@dataclass(frozen=True)
class FineTune:
    """Stage 2, device-specific fine-tuning (paper 2.1 and section 3)."""

    learning_rate: float = 1e-4
    """Learning rate (paper: 1e-4)."""
    epochs: int = 50
    """Epochs for each device (paper: 50)."""
    unselected_epochs: int = 10
    """Epochs for a device whose validation patients are too few to choose an epoch by."""
    min_validation_patients: int = 3
    """Validation patients a device needs for its epoch to be chosen on them."""
    trials_per_device: Annotated[int, tyro.conf.arg(aliases=["--finetune.trials-per-device"])] = 1
    """Learning rates tried for each device, the recipe's and steps of a third around it; the
    best on the device's validation patients is kept."""


@dataclass(frozen=True)
class Recipe:
    """A complete, reproducible way from recordings to predictions."""

    preset: tyro.conf.Suppress[str] = "paper"
    """Name of the preset this recipe started from."""
    task: Annotated[Task, tyro.conf.arg(aliases=["--task"])] = "4-class"
    """normal/crackle/wheeze/both, or normal/abnormal (paper section 3)."""
    preprocess: Preprocess = field(default_factory=Preprocess)
    """Recording to cycles."""
    features: Features = field(default_factory=Features)
    """Cycles to images."""
    model: Model = field(default_factory=Model)
    """Images to logits."""
    optimisation: Optimisation = field(default_factory=Optimisation)
    """Stage 1."""
    finetune: FineTune = field(default_factory=FineTune)
    """Stage 2."""
    selection: Literal["validation", "test"] = "validation"
    """What chooses the best epoch. "test" reproduces the released code's mistake; everything
    it produces is stamped."""

    def __post_init__(self) -> None:
        for name, value in self.flat().items():
            if isinstance(value, int) and not isinstance(value, bool) and value < 1:
                raise InputError(f"recipe.{name}: {value} must be at least 1")
        window, n_fft = self.features.samples(self.preprocess.sample_rate_hz), self.features.n_fft
        if window < n_fft:
            raise InputError(
                f"recipe.features.window_seconds: {self.features.window_seconds:g} s is {window} "
                f"samples, shorter than one FFT of {n_fft}; "
                f"use at least {n_fft / self.preprocess.sample_rate_hz:g} s"
            )
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
    def stamps(self) -> tuple[str, ...]:
        """What every result of this recipe must carry, loudly (DESIGN invariants 2 and 3)."""
        stamps = []
        if self.selection == "test":
            stamps.append("selected on test")
        if self.features.evaluation_padding == "smart":
            stamps.append("test labels shaped the padding of test cycles")
        return tuple(stamps)

    def flat(self) -> dict[str, Any]:
        """Every field by its dotted name, e.g. ``features.window_seconds``."""
        return flatten(asdict(self))


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries to one level of dotted names."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def paper() -> Recipe:
    """RespireNet as published: ImageNet ResNet-34, 192x657 images, 200 epochs of SGD."""
    return Recipe()


def quick() -> Recipe:
    """Minutes on two cores, no download: ResNet-18 from scratch on 32x110 images.

    For seeing the whole of respire work; its Scores are no statement about RespireNet.
    """
    return Recipe(
        preset="quick",
        features=Features(n_mels=32, hop=256, colour_map="grey", upsample=1),
        model=Model(backbone="resnet18", weights="none", dropout=0.2),
        optimisation=Optimisation(
            optimiser="adamw",
            learning_rate=2e-3,
            schedule="one-cycle",
            weight_decay=0.05,
            epochs=12,
        ),
        finetune=FineTune(learning_rate=2e-4, epochs=3, unselected_epochs=1),
    )


PresetName = Literal["paper", "quick"]
PRESETS = {"paper": paper, "quick": quick}
assert set(PRESETS) == set(get_args(PresetName))
