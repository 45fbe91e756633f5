"""Presets: the named recipes, each complete and documented by what it differs in and why."""

from dataclasses import replace
from pathlib import Path

from respire.errors import InputError
from respire.recipe.fields import (
    Augmentation,
    Concatenation,
    Features,
    FineTune,
    Model,
    Optimisation,
    Preprocess,
)
from respire.recipe.recipe import Recipe


def paper() -> Recipe:
    """RespireNet as published (recipe/fields.py): ResNet-34, 192x657 images, 200 epochs of SGD."""
    return Recipe()


def released_code() -> Recipe:
    """What github.com/microsoft/RespireNet does, which is not what the paper says.

    No band-pass and no normalisation; windows of 8 s, long cycles cut into several that vote; the
    cycle itself repeated before or after it, on test too; a blank row too many clipped; speed that
    keeps pitch, pitch in whole semitones, VTLP that does nothing; loss weights .1/.3/.3/.3 on top
    of class-uniform batches; weight decay; the epoch with the best accuracy **on test**, so that
    every result is stamped. CBA is off unless asked for (``--recipe.concatenation.scheme mixed``),
    as in the code. recipe/README.md has the rest.
    """
    return Recipe(
        preset="released-code",
        preprocess=Preprocess(band_pass=False, normalise=False),
        features=Features(
            window_seconds=8.0,
            long_cycles="windows",
            padding="repeat-either-side",
            evaluation_padding="repeat-either-side",
            blank_region="clip-one-more",
        ),
        concatenation=Concatenation(scheme="off"),
        augmentation=Augmentation(
            speed_keeps_pitch=True,
            pitch_semitones=(-1.0, 2.0),
            whole_semitones=True,
            vtlp_factor=(1.0, 1.0),
        ),
        optimisation=Optimisation(weight_decay=5e-4, normal_loss_weight=1 / 3),
        selection="test",
        selected_by="accuracy",
    )


def fixed() -> Recipe:
    """The released code with its three plain faults repaired, and nothing else.

    Exactly the blank rows are clipped; test cycles are padded without chance; the loss does not
    weigh classes that the batches already balance.
    """
    released = released_code()
    return replace(
        released,
        preset="fixed",
        features=replace(released.features, evaluation_padding="repeat", blank_region="clip"),
        optimisation=replace(released.optimisation, normal_loss_weight=1.0),
    )


def transfer() -> Recipe:
    """ImageNet's ResNet-18 on a small image: what the paper's idea is worth on two cores.

    Recipe ``scratch`` but for what pretrained weights change: the image is magma's, as they know
    colours, its rows are as they are, and eight epochs are enough (recipe/README.md has what each
    change was worth).
    """
    large = scratch()
    return replace(
        large,
        preset="transfer",
        features=replace(large.features, level_rows=False, colour_map="magma"),
        model=replace(large.model, weights="imagenet"),
        optimisation=replace(large.optimisation, epochs=8),
    )


def light() -> Recipe:
    """Recipe ``transfer`` on 64x110 images: for grids on two cores.

    Frames are twice as long and half as many, and overlap by half as well; a third less work.
    """
    large = transfer()
    features = replace(large.features, n_fft=512, hop=256)
    return replace(large, preset="light", features=features)


def scratch() -> Recipe:
    """What trains best without ImageNet weights, on a small image (recipe/README.md).

    ResNet-18 on 64x219. Without pretraining a network takes to what tells patients and stethoscopes
    apart: level rows hide their colour. Every effect has a coin of its own, gentler than the
    released code's, and SpecAugment joins in. AdamW in small batches on a one-cycle schedule, its
    weights averaged, takes the place of the paper's gentle SGD, which would need many more epochs.
    Every cycle is seen equally often: the same few cycles of rare classes, again and again, would
    be learned by heart; classes count as in the Score. The last epoch is kept, and nobody is set
    apart to choose another: 16 patients' Score is 4.4 points uncertain. No cycles are joined: most
    seams would be abnormal, and test cycles have none.
    """
    return Recipe(
        preset="scratch",
        features=Features(level_rows=True, colour_map="grey", upsample=1),
        concatenation=Concatenation(scheme="off"),
        augmentation=Augmentation(
            one_at_most=False,
            noise_p=0.1,
            speed_p=0.2,
            speed_factor=(0.8, 1.25),
            loudness_p=0.1,
            pitch_p=0.1,
            pitch_semitones=(-2.0, 2.0),
            vtlp_p=0.2,
            time_mask_p=0.3,
            time_mask_share=(0.0, 0.15),
            frequency_mask_p=0.3,
            frequency_mask_share=(0.0, 0.15),
        ),
        model=Model(backbone="resnet18", weights="none", dropout=0.3),
        optimisation=Optimisation(
            optimiser="adamw",
            learning_rate=1e-3,
            schedule="one-cycle",
            weight_decay=0.05,
            average_decay=0.99,
            sampling="cycle-uniform",
            prior=1.0,
            epochs=14,
            batch_size=32,
        ),
        finetune=FineTune(learning_rate=1e-4, epochs=3, unselected_epochs=3, average_decay=0.9),
        selection="none",
    )


def small() -> Recipe:
    """Recipe ``scratch`` on 32x110 images: for grids on two cores.

    Half the frames and mel bands, each frame twice as long: they overlap by half as well, so that
    no crackle is lost between two.
    """
    large = scratch()
    return replace(
        large,
        preset="small",
        features=replace(large.features, n_mels=32, n_fft=512, hop=256),
        optimisation=replace(large.optimisation, epochs=12),
    )


def quick() -> Recipe:
    """Recipe ``small`` in minutes, no download: for seeing the whole of respire work.

    Its learning rate is for the few steps that the embedded corpus has, and every class is seen
    equally often in them: cycle by cycle, the rarest would not be learned at all. Its Scores are no
    statement about RespireNet.
    """
    shape = small()
    return replace(
        shape,
        preset="quick",
        optimisation=replace(
            shape.optimisation, learning_rate=2e-3, sampling="class-uniform", epochs=8
        ),
        finetune=replace(shape.finetune, epochs=1, unselected_epochs=1),
    )


PRESETS = {
    "paper": paper,
    "released-code": released_code,
    "fixed": fixed,
    "transfer": transfer,
    "light": light,
    "scratch": scratch,
    "small": small,
    "quick": quick,
}


def load_recipe(name: str) -> Recipe:
    """A preset by its name, or the recipe in a TOML file (recipe/toml_file.py) by its path.

    Raises:
        InputError: neither, or a file that is no recipe.
    """
    if name.endswith(".toml"):
        from respire.recipe.toml_file import read_recipe  # pydantic takes long to import

        return read_recipe(Path(name))
    if name not in PRESETS:
        raise InputError(
            f"recipe {name!r} is neither one of {', '.join(PRESETS)} nor a file that ends in .toml"
        )
    return PRESETS[name]()
