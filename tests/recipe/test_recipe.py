import dataclasses
from dataclasses import replace

import pytest

from respire.errors import InputError
from respire.recipe.fields import (
    Augmentation,
    Concatenation,
    Decision,
    Features,
    FineTune,
    Optimisation,
)
from respire.recipe.presets import PRESETS, fixed, paper, quick, released_code, scratch, small
from respire.recipe.recipe import Recipe


def differences(one: Recipe, other: Recipe) -> set[str]:
    ours, theirs = one.flat(), other.flat()
    return {name for name in ours if ours[name] != theirs[name]} - {"preset"}


def test_the_defaults_of_every_field_are_the_paper() -> None:
    assert Recipe() == paper()
    assert paper().stamps == ()


def test_fixed_repairs_three_faults_of_the_released_code_and_nothing_else() -> None:
    assert differences(fixed(), released_code()) == {
        "features.blank_region",
        "features.evaluation_padding",
        "optimisation.normal_loss_weight",
    }


def test_the_released_codes_speed_keeps_pitch_and_its_pitch_steps_are_minus_one_to_two() -> None:
    for recipe in (released_code(), fixed()):
        augmentation = recipe.augmentation
        assert augmentation.speed_keeps_pitch
        assert (augmentation.whole_semitones, augmentation.pitch_semitones) == (True, (-1.0, 2.0))
    assert not paper().augmentation.speed_keeps_pitch
    assert not paper().augmentation.whole_semitones


def test_what_the_released_code_chooses_on_test_is_stamped() -> None:
    assert released_code().stamps == ("selected on test",)
    assert fixed().stamps == ("selected on test",)


def test_only_the_released_code_and_its_repair_touch_test_data() -> None:
    for name, preset in PRESETS.items():
        assert bool(preset().stamps) == (name in ("released-code", "fixed"))


def test_quick_is_small_and_small_is_scratch_on_a_smaller_image() -> None:
    assert differences(quick(), small()) == {
        *("optimisation.learning_rate", "optimisation.sampling", "optimisation.epochs"),
        *("finetune.epochs", "finetune.unselected_epochs"),
    }
    assert differences(small(), scratch()) == {
        *("features.n_mels", "features.n_fft", "features.hop", "optimisation.epochs")
    }


@pytest.mark.parametrize("recipe", [scratch(), small(), quick()])
def test_own_recipes_decide_as_the_score_counts_and_choose_nothing(recipe: Recipe) -> None:
    assert (recipe.optimisation.prior, recipe.selection) == (1.0, "none")
    assert recipe.optimisation.average_decay > recipe.finetune.average_decay > 0
    assert recipe.prior == 1.0
    assert replace(recipe, decision=Decision(prior=0.5)).prior == 0.5


@pytest.mark.parametrize("preset", PRESETS)
def test_frames_of_every_preset_overlap_by_half(preset: str) -> None:
    recipe = PRESETS[preset]()
    assert recipe.features.hop == recipe.features.n_fft / 2
    assert recipe.warnings == ()


def test_frames_that_overlap_by_less_are_warned_of_and_those_with_gaps_refused() -> None:
    (warning,) = Recipe(features=Features(n_fft=256, hop=129)).warnings
    assert "features.hop is 129, more than half of features.n_fft, 256" in warning
    assert len(Recipe(features=Features(n_fft=256, hop=256)).warnings) == 1
    with pytest.raises(InputError, match=r"recipe.features.hop: 257 .* at most 128, or --recipe"):
        Recipe(features=Features(n_fft=256, hop=257))


@pytest.mark.parametrize("recipe", [scratch(), small(), quick()])
def test_recipes_without_pretraining_use_the_papers_techniques(recipe: Recipe) -> None:
    assert recipe.model.weights == "none"
    assert recipe.features.padding == "smart"
    assert recipe.features.blank_region == "clip"
    assert recipe.concatenation.scheme == "off"  # a seam would mean abnormal


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (lambda: Decision(prior=-0.1), "decision.prior: -0.1 must be at least 0"),
        (lambda: FineTune(average_decay=1.0), "finetune.average_decay: 1 must"),
        (lambda: Augmentation(noise_p=1.2), "noise_p: 1.2 must lie between 0 and 1"),
        (lambda: Augmentation(noise_p=0.9), "add up to 1.3"),
        (lambda: Augmentation(speed_factor=(1.5, 0.5)), "1.5 to 0.5 must rise"),
        (lambda: Augmentation(speed_factor=(0.0, 1.0)), "speed_factor: 0 must be above 0"),
        (
            lambda: Augmentation(time_mask_share=(0.0, 2.0)),
            "time_mask_share: 2 must lie between 0 and 1",
        ),
        (
            lambda: Augmentation(pitch_semitones=(0.2, 0.9), whole_semitones=True),
            "pitch_semitones: no whole number lies in 0.2 to 0.9; widen it",
        ),
        (lambda: Concatenation(multiple_of_normal=0.0), "must be above 0"),
        (lambda: Recipe(features=Features(n_mels=0)), "n_mels: 0 must lie between 1 and 1,000,000"),
        (lambda: Recipe(features=Features(window_seconds=0.01)), "too short for an FFT"),
        (lambda: Features(blank_share=1.5), "blank_share"),
        (
            lambda: Recipe(features=Features(blank_db=80.5)),
            "features.blank_db: 80.5 must lie between 0 and top_db",
        ),
        (lambda: Features(blank_db=-1), "features.blank_db: -1 must be at least 0"),
        (lambda: Recipe(optimisation=Optimisation(normal_loss_weight=0.0)), "normal_loss_weight"),
        (
            lambda: Recipe(optimisation=Optimisation(average_decay=1.0)),
            "average_decay: 1 must be at least 0 and below 1",
        ),
        (lambda: Recipe(optimisation=Optimisation(prior=1.5)), "prior: 1.5 must lie between"),
    ],
)
def test_an_impossible_recipe_is_refused_by_the_fields_name(part, message: str) -> None:
    with pytest.raises(InputError, match=message):
        part()


def test_effects_by_their_own_coins_may_be_as_likely_as_they_like() -> None:
    likely = Augmentation(one_at_most=False, noise_p=0.9, speed_p=0.9)
    assert dataclasses.replace(likely, pitch_p=1.0).pitch_p == 1.0
