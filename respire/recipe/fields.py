"""Fields of a recipe, each with its source.

The defaults are recipe ``paper``: RespireNet as published (Gairola et al. 2020); where the paper is
silent the value of its released code is used, and the field says so.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

from respire.errors import InputError
from respire.recipe.identity import AS_BEFORE
from respire.recipe.limits import Part

SHORTEST_WINDOW, LONGEST_WINDOW = 160, 2**21
"""Samples that the filters of speed and loudness need (features/augment.py)."""
Padding = Literal["smart", "reflect", "repeat", "repeat-either-side", "zero"]
Sampling = Literal["class-uniform", "cycle-uniform"]
Selection = Literal["none", "validation", "test"]
Partners = Literal["any", "device", "recording"]
Range = tuple[float, float]
"""Lowest and highest value; a sample's own is drawn uniformly between them."""


@dataclass(frozen=True)
class Preprocess(Part):
    """Recording to cycles (paper section 2, "Pre-processing")."""

    sample_rate_hz: int = 4000
    """Rate every recording is resampled to (paper: 4 kHz)."""
    band_pass: bool = True
    """Whether the band-pass is applied (paper: yes; the released code never calls it)."""
    band_low_hz: float = 50.0
    """Lower band-pass edge (the paper gives none; 50 Hz is the released code's lowest mel)."""
    band_high_hz: float = 1950.0
    """Upper band-pass edge (the paper gives none; at 4 kHz it must lie below 2,000 Hz)."""
    band_order: int = 5
    """Order of the Butterworth band-pass (paper: 5)."""
    normalise: bool = True
    """Whether a recording is scaled to a peak of .999 (paper: to (-1, 1); released code: no)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.band_low_hz < self.band_high_hz < self.sample_rate_hz / 2:
            raise InputError(
                f"recipe.preprocess: band-pass {self.band_low_hz:g}-{self.band_high_hz:g} Hz must "
                f"rise and lie between 0 and {self.sample_rate_hz / 2:g} Hz (half the sample rate)"
            )


@dataclass(frozen=True)
class Features(Part):
    """Cycles to images (paper sections 2 and 2.1; mel and image values of the released code)."""

    window_seconds: float = 7.0
    """Seconds of audio the network sees (paper Table 2: 7 s; released code: 8 s)."""
    long_cycles: Literal["clip", "windows"] = "clip"
    """A cycle longer than the window is clipped (paper), or cut into half-overlapping windows
    that each train by themselves and vote on the cycle's class (released code)."""
    padding: Padding = "smart"
    """How a training cycle fills its window (paper 2.1: smart; released code: the cycle itself
    repeated, before or after it at random)."""
    evaluation_padding: Padding = "repeat"
    """How an evaluation cycle fills its window. "smart" reads labels of evaluation cycles:
    it measures what that leak is worth, and every result is stamped."""
    n_mels: int = 64
    """Mel bands (released code: 64)."""
    n_fft: int = 256
    """FFT length in samples (released code: 256)."""
    hop: int = 128
    """Samples between frames (released code: 128), at most n_fft / 2 if a short sound between two
    frames is to be heard."""
    mel_low_hz: float = 50.0
    """Lower edge of the mel filters (released code: 50 Hz)."""
    mel_high_hz: float = 2000.0
    """Upper edge of the mel filters (released code: 2,000 Hz)."""
    top_db: float = 80.0
    """Decibels kept below each window's loudest point (released code: 80)."""
    blank_region: Literal["keep", "clip", "clip-one-more"] = "clip"
    """What happens to blank rows on top of a spectrogram (paper 2.1, "Blank Region Clipping"):
    they stay, or are clipped, or are clipped with one row more from every window (released
    code). The rest is stretched to the full height."""
    blank_db: float = 4.7
    """Level above the floor of a window that spans ``top_db`` below which a pixel is black, to the
    nearest of 255 shades, in either colour map (released code: grey level 10 of 255, which magma
    reaches at 4.7 of 80 dB)."""
    blank_share: float = 0.8
    """Share of black pixels from which a row is blank (released code: .8)."""
    level_rows: bool = False
    """Whether each row of the image is taken relative to its own mean over the window, which hides
    how stethoscope and chest colour all sound (ours; cepstral mean subtraction, Atal 1974)."""
    colour_map: Literal["magma", "grey"] = "magma"
    """How decibels become three channels (released code: magma)."""
    upsample: int = 3
    """Bilinear enlargement of the image (released code: 3, so 192x657 at 7 s)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mel_low_hz >= self.mel_high_hz:
            raise InputError(
                f"recipe.features.mel_low_hz: {self.mel_low_hz:g} must be below mel_high_hz, "
                f"{self.mel_high_hz:g}"
            )

    def samples(self, sample_rate_hz: int) -> int:
        """Window length in samples."""
        return round(self.window_seconds * sample_rate_hz)


@dataclass(frozen=True)
class Concatenation(Part):
    """Concatenation-based augmentation of training cycles, CBA (paper 2.1 and Fig. 2)."""

    scheme: Literal["off", "same-class", "mixed"] = "same-class"
    """Two random cycles of one class (paper), or by the released code's probabilities
    (features/concatenate.py), which also join a crackle or a wheeze with a normal cycle. A pair is
    cut at the window's end like anything else: in a short window the second cycle may not be heard
    and "mixed" then gives the sample a class that is not in it."""
    multiple_of_normal: float = 1.0
    """How many samples a class has after CBA, as a multiple of the normal cycles: a class that
    has fewer gets so many new ones (released code: its aug_scale; the paper gives no number)."""
    partners: Partners = "any"
    """Where both cycles of a pair are drawn from: all of their class (paper), or those of the same
    device or the same recording as the cycle that was drawn for the sample (ours: no seam between
    two stethoscopes or patients). Like any two of a class they may be the same one, and are where
    it is the only one there: joined with itself a cycle sounds as if padded by repetition."""
    join_normal: bool = False
    """Whether normal samples are joined as often as the abnormal ones together are in training, so
    that a seam says nothing about normal or abnormal (ours; in the paper and the released
    code none of them is at one multiple of normal)."""


@dataclass(frozen=True)
class Augmentation(Part):
    """Standard augmentation of training windows (paper 2.1).

    "Noise addition, speed variation, random shifting, pitch shift, etc."; probabilities and ranges
    are the released code's. Each ``_p`` is the share of training windows an effect is applied to.
    """

    one_at_most: bool = True
    """Whether a window gets at most one of noise, speed, loudness, pitch and VTLP (released
    code), or each of them by its own coin."""
    noise_p: float = 0.1
    """White noise (released code: half of all windows get one effect of five)."""
    noise_snr_db: Range = (10.0, 30.0)
    """Signal-to-noise ratio (ours: neither paper nor code names one)."""
    speed_p: float = 0.1
    """Faster or slower playback."""
    speed_factor: Range = (0.5, 1.9)
    """Above 1 is faster (released code: .5-1.9)."""
    speed_keeps_pitch: bool = False
    """Whether only times change with the speed, pitch staying (released code: yes, librosa's
    time stretch by a phase vocoder), or pitch follows as in any playback (features/time_stretch.py,
    features/augment.py)."""
    loudness_p: float = 0.1
    """A stretch of the window louder or softer (the whole of it would be no change at all: the
    spectrogram is relative to its loudest point)."""
    loudness_factor: Range = (0.5, 2.0)
    """Factor of the amplitude (released code: .5-2)."""
    pitch_p: float = 0.1
    """All frequencies multiplied, times kept."""
    pitch_semitones: Range = (-1.0, 3.0)
    """Shift in semitones (the bounds of the released code's ``randint(-1, 3)``, which draws -1 to
    2)."""
    whole_semitones: bool = False
    """Whether it is a whole number of semitones, all in the range equally likely (released code:
    yes)."""
    vtlp_p: float = 0.1
    """Vocal tract length perturbation: frequencies warped, the highest kept in place."""
    vtlp_factor: Range = (0.9, 1.1)
    """Warp below the knee (released code: .9-1.1, an identity there because its knee of 4,800 Hz
    lies above half the sample rate; ours lies at 60% of it)."""
    shift_p: float = 0.5
    """The window rolled in time by any amount (released code: .5)."""
    time_mask_p: float = 0.0
    """SpecAugment: a stretch of frames set to the window's mean (not in the paper)."""
    time_mask_share: Range = (0.0, 0.1)
    """Its share of the window."""
    frequency_mask_p: float = 0.0
    """SpecAugment: a band of mel rows set to the window's mean (not in the paper)."""
    frequency_mask_share: Range = (0.0, 0.1)
    """Its share of the rows."""

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.pitch_semitones
        if self.whole_semitones and math.ceil(low) > math.floor(high):
            raise InputError(
                f"recipe.augmentation.pitch_semitones: no whole number lies in {low:g} to "
                f"{high:g}; widen it, or use --recipe.augmentation.no-whole-semitones"
            )
        together = self.noise_p + self.speed_p + self.loudness_p + self.pitch_p + self.vtlp_p
        if self.one_at_most and together > 1 + 1e-9:
            raise InputError(
                f"recipe.augmentation: with one_at_most the probabilities of noise, speed, "
                f"loudness, pitch and VTLP add up to {together:g}, more than 1; lower them, or "
                f"use --recipe.augmentation.no-one-at-most"
            )


@dataclass(frozen=True)
class Model(Part):
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

    @property
    def weights_kind(self) -> str:
        """What they are: "imagenet", "none", or "file", wherever that lies."""
        return self.weights if self.weights in ("imagenet", "none") else "file"


@dataclass(frozen=True)
class Optimisation(Part):
    """Stage 1 (paper section 3, "Implementation Details")."""

    optimiser: Literal["sgd", "adamw"] = "sgd"
    """SGD with momentum (paper), or AdamW."""
    learning_rate: float = 1e-3
    """Learning rate, the peak one under "one-cycle" (paper: 1e-3)."""
    schedule: Literal["constant", "one-cycle"] = "constant"
    """Learning rate over the run (paper: fixed). "one-cycle" raises it to its peak over the first
    30% of the steps and lets it fall to almost nothing (Smith and Topin 2018); AdamW's first beta
    goes from .95 to .85 and back meanwhile."""
    momentum: float = 0.9
    """Momentum of SGD, fixed (paper: .9)."""
    weight_decay: float = 0.0
    """Weight decay (the paper names none; released code: 5e-4)."""
    average_decay: float = 0.0
    """Which weights are scored and kept: the last step's (0, paper), or the exponential moving
    average over all steps that decays by this factor at each, and faster while there were few:
    by (1 + t) / (10 + t) at most, of t steps (ours; Polyak averaging)."""
    normal_loss_weight: float = 1.0
    """Weight of a normal cycle in the cross-entropy, an abnormal one having 1 (paper: 1; released
    code: 1/3, on top of the class-uniform batches)."""
    sampling: Sampling = "class-uniform"
    """What is equally likely to come next: every class (paper 2.1), or every cycle that the epoch
    has not seen yet."""
    prior: float = 0.0
    """How common the classes are to the network, which calls a cycle what is likeliest: from 0, all
    equally (paper: as in its batches), to 1, as each counts in the Score, which makes the likeliest
    class the one that adds most to it (models/decision.py)."""
    epochs: int = 200
    """Epochs (paper: 200)."""
    batch_size: int = 64
    """Global batch, whatever the number of workers (paper: 64)."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the network; "auto" takes bf16 where the processor computes in it. On a GPU
    "fp32" has convolutions in TF32, as PyTorch does by itself."""
    bank: Literal["sharded", "replicated"] = "sharded"
    """With several workers: each holds its share of the recordings, or each holds all and sees
    exactly the samples that one worker would."""
    exchange: Literal["fp32", "bf16"] = field(default="fp32", metadata={AS_BEFORE: "fp32"})
    """Numbers in which workers exchange gradients: bf16 is half the bytes between nodes, each
    gradient rounded to 8 bits of mantissa."""


@dataclass(frozen=True)
class FineTune(Part):
    """Stage 2, device-specific fine-tuning (paper 2.1 and section 3)."""

    learning_rate: float = 1e-4
    """Learning rate (paper: 1e-4)."""
    epochs: int = 50
    """Epochs for each device (paper: 50)."""
    average_decay: float = 0.0
    """As ``optimisation.average_decay``: a device has few steps, and an average that moves slowly
    would hardly leave stage 1."""
    unselected_epochs: int = 10
    """Epochs for a device whose epoch nothing chooses, or too few validation patients."""
    min_validation_patients: int = 3
    """Validation patients a device needs for its epoch to be chosen on them."""
    trials_per_device: int = 1
    """Learning rates tried for each device, the recipe's and steps of a third around it; the
    best on the device's validation patients is kept."""


@dataclass(frozen=True)
class Decision(Part):
    """From log-probabilities to a class, after training and without training again."""

    prior: float | None = None
    """The prior to decide under (models/decision.py); that of training if none is given. Chosen
    once test was read, it is stamped."""
