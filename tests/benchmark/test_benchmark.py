"""experiments/benchmark.py: its arithmetic, the loader it compares with, and one whole run."""

import dataclasses
import json
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import torch
from cycle_rows import cycles_table
from pages import shown_images
from torch import nn

import respire.features.pipeline as path
import respire.training.loop as loop
from respire.benchmark import machine as floors
from respire.benchmark import per_sample as reference
from respire.benchmark.growth import slope
from respire.benchmark.input_path import (
    STAGES,
    clocked,
    effect_names,
    plan_batches,
    without_techniques,
)
from respire.benchmark.loader import ONE_OF, PerSample
from respire.benchmark.noise_bank import noise_bank
from respire.benchmark.per_sample import Sample
from respire.benchmark.report import report
from respire.benchmark.step import INPUT, LOOP, STEP, measure_step
from respire.benchmark.timing import Timing, in_turns
from respire.benchmark.traffic import COPIES, WAITS
from respire.features.bank import CycleBank
from respire.features.blank_region import BlankRegion
from respire.features.concatenate import Lead, new_share
from respire.features.frequency_warp import KNEE, frequency_maps
from respire.features.keyed import sample_keys
from respire.features.pipeline import Pipeline, image_size
from respire.features.splice import gather, pad
from respire.models.network import respirenet
from respire.recipe.fields import Concatenation, Features, Model, Optimisation
from respire.recipe.presets import PRESETS, quick, scratch
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
BENCHMARK = EXPERIMENTS / "benchmark.py"
CPU = Compute("cpu", "fp32")
SMALL = Recipe(
    features=Features(window_seconds=0.5, n_mels=32, hop=128, colour_map="grey", upsample=1),
    model=Model(backbone="resnet18", weights="none"),
    optimisation=Optimisation(batch_size=4),
)
BANK = CycleBank.from_table(
    cycles_table([[900, 2400, 1500], [5000, 700]], [[0, 1, 0], [2, 0]], seed=4), "4-class"
)
EVERY = torch.arange(len(BANK))


def recipe_with(**features: object) -> Recipe:
    return dataclasses.replace(SMALL, features=dataclasses.replace(SMALL.features, **features))


def without_cba(recipe: Recipe) -> Recipe:
    return dataclasses.replace(recipe, concatenation=Concatenation("off"))


# Timing


def test_repeats_take_turns_and_the_first_does_not_count():
    log: list[str] = []

    def task(name: str) -> float:
        log.append(name)
        return float(len(log))

    timings = in_turns({"a": lambda: task("a"), "b": lambda: task("b")}, units=10, repeats=2)
    assert log == ["a", "b"] * 3
    assert timings["a"] == Timing(10, (3.0, 5.0))
    assert timings["b"] == Timing(10, (4.0, 6.0))


def test_rates_are_of_the_median_and_of_the_fastest_repeat():
    timing = Timing(60, (4.0, 2.0, 3.0))
    assert (timing.per_s, timing.best_per_s) == (20, 30)
    stored = timing.to_json()
    assert (stored["seconds_minimum"], stored["seconds_median"], stored["repeats"]) == (2, 3, 3)


def test_a_ratio_compares_turn_by_turn_so_that_a_slow_turn_hits_both_sides():
    ours, theirs = Timing(10, (1.0, 100.0, 1.0)), Timing(20, (4.0, 400.0, 5.0))
    assert ours.times_as_fast_as(theirs) == 2.0
    assert theirs.times_as_fast_as(ours) == 0.5


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_the_slope_is_the_exponent_of_a_power_law(exponent):
    rows = [{"cycles": n, "epoch_s": 0.3 * n**exponent} for n in (400, 1600, 6400)]
    assert slope(rows, "epoch_s") == pytest.approx(exponent)


# Floors


def counted_flops(network: nn.Module, image: tuple[int, int]) -> int:
    """Two operations a multiplication, forward and backward, layer by layer.

    The backward pass costs as much again for the weights, and again for the inputs but those of the
    first layer, which are images.
    """
    total = 0

    def count(layer: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            forward = 2 * output.numel() * layer.weight[0].numel()
        else:
            forward = 2 * output.numel() * layer.in_features
        total += forward * (2 if inputs[0].shape[1] == 3 else 3)

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    network.eval()(torch.zeros(1, 3, *image))
    return total


@pytest.mark.parametrize("image", [(32, 110), (64, 219)])
def test_the_flops_of_a_train_step_are_those_of_its_layers(image):
    recipe = scratch()
    network = respirenet(recipe.model, 4)
    assert floors.train_flops(recipe, image) == counted_flops(network, image)


def test_the_input_path_must_read_its_samples_and_write_its_image():
    assert floors.input_bytes(scratch(), (64, 219)) == 28_000 * 2 + 3 * 64 * 219 * 4


@pytest.mark.parametrize("preset", PRESETS)
def test_the_image_size_is_that_of_the_pipelines_images(preset):
    recipe = PRESETS[preset]()
    assert Pipeline(recipe, "cpu").evaluation_images(BANK, EVERY[:1]).shape[2:] == image_size(
        recipe
    )


def test_the_noise_bank_is_as_long_and_as_skewed_as_icbhi():
    bank = noise_bank(4142, quick())
    seconds = bank.length.double() / 4000
    assert float(seconds.mean()) == pytest.approx(2.70, abs=0.05)
    assert float(seconds.median()) == pytest.approx(2.54, abs=0.05)
    assert (float(seconds.min()), float(seconds.max())) == (0.2, 16.16)
    shares = np.bincount(bank.label.numpy()) / len(bank)
    np.testing.assert_allclose(shares, np.array([3642, 1864, 886, 506]) / 6898, atol=0.025)


# The input path under the clock


def test_the_clock_sees_every_stage_and_changes_no_image():
    recipe = recipe_with(blank_region="clip", level_rows=True)
    pipeline = Pipeline(recipe, "cpu")
    keys = sample_keys(0, 1, EVERY)
    images = pipeline.training_images(BANK, EVERY, keys)
    before = {name: getattr(path, name) for name in vars(path)}
    began = time.perf_counter()
    with clocked(pipeline) as seconds:
        clocked_images = pipeline.training_images(BANK, EVERY, keys)
    took = time.perf_counter() - began
    assert torch.equal(clocked_images, images)
    assert set(seconds) == set(STAGES)
    assert all(part > 0 for part in seconds.values())
    assert sum(seconds.values()) < took
    assert {name: getattr(path, name) for name in vars(path)} == before
    assert torch.equal(pipeline.training_images(BANK, EVERY, keys), images)


def test_the_clock_goes_even_if_the_path_fails():
    before = path.read
    with pytest.raises(ZeroDivisionError), clocked(Pipeline(SMALL, "cpu")):
        _ = 1 / 0
    assert path.read is before


def test_without_techniques_a_training_image_is_the_evaluation_image():
    recipe = without_techniques(
        dataclasses.replace(
            SMALL, features=dataclasses.replace(SMALL.features, evaluation_padding="repeat")
        )
    )
    pipeline = Pipeline(recipe, "cpu")
    training = pipeline.training_images(BANK, EVERY, sample_keys(0, 1, EVERY))
    assert torch.equal(training, pipeline.evaluation_images(BANK, EVERY))


def test_the_effects_are_those_of_the_recipe():
    assert set(effect_names()) == {
        *("noise", "speed", "loudness", "pitch", "vtlp", "shift", "time_mask", "frequency_mask")
    }


def test_batches_hold_as_many_cycles_as_the_recipe_says():
    plan = plan_batches(BANK, SMALL, 3)
    assert [len(chosen) for chosen, _ in plan] == [4, 4, 4]
    assert len(torch.cat([keys for _, keys in plan]).unique()) == 12


def test_the_train_step_is_the_training_loop_itself_and_leaves_it_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setitem(floors.MATRIX, "cpu", 64)
    before = loop.Pipeline
    step = measure_step(SMALL, CPU, steps=2, repeats=1)
    assert loop.Pipeline is before
    assert set(step["rates"]) == {STEP, LOOP, INPUT}
    assert all(rate["per_s"] > 0 and rate["units"] == 8 for rate in step["rates"].values())
    assert step["loop_of_step"] > 0
    assert step["input_share_of_step"] > 0
    floor = step["floor"]
    best = step["rates"][STEP]["best_per_s"]
    assert floor["reached"] == pytest.approx(best / floor["per_s"])
    assert step["gpu_peak_mib"] is None
    assert step["traffic"] == {COPIES: 0.0, WAITS: 0.0}


# The loader that works sample by sample


@pytest.mark.parametrize("upsample", [1, 3])
@pytest.mark.parametrize("colour_map", ["magma", "grey"])
def test_per_sample_images_are_those_of_the_pipeline(colour_map, upsample):
    recipe = recipe_with(
        window_seconds=0.9,
        n_mels=64,
        colour_map=colour_map,
        upsample=upsample,
        evaluation_padding="repeat",
    )
    plain = without_techniques(recipe)
    images = Pipeline(plain, "cpu").evaluation_images(BANK, EVERY).numpy()
    dataset = PerSample(BANK, plain)
    theirs = np.stack([dataset[index][0] for index in EVERY.tolist()])
    assert theirs.dtype == np.float32
    one_shade = np.abs(np.diff(reference.standardised(colour_map), axis=0)).max()
    # A level that falls on the border of two of the 256 shades may round to either.
    assert np.abs(images - theirs).max() <= one_shade + 1e-4
    assert (np.abs(images - theirs) > 1e-4).mean() < 0.01
    assert [dataset[index][1] for index in EVERY.tolist()] == BANK.label.tolist()


@pytest.mark.parametrize("blank_region", ["clip", "clip-one-more"])
@pytest.mark.parametrize("blank_rows", [0, 1, 7, 31, 32])
def test_per_sample_clipping_is_that_of_the_pipeline(blank_region, blank_rows):
    recipe = recipe_with(blank_region=blank_region)
    shade = np.random.default_rng(0).uniform(60, 255, (32, 50)).astype(np.float32)
    shade[:blank_rows] = 3
    expected = BlankRegion(recipe.features)(torch.from_numpy(shade)[None])[0]
    clipped = reference.clip_blank_region(shade, recipe.features)
    np.testing.assert_allclose(clipped, expected, atol=1e-3)


@pytest.mark.parametrize("padding", ["zero", "repeat", "reflect"])
@pytest.mark.parametrize("lead", [[0], [4], [1, 4], [4, 0]])
def test_per_sample_windows_are_those_of_the_pipeline(padding, lead):
    recipe = recipe_with(padding=padding, window_seconds=1.7)
    second = lead[1] if len(lead) > 1 else -1
    splice = pad(
        BANK,
        torch.tensor(lead[:1]),
        6800,
        padding,
        lead=Lead(torch.tensor(lead[:1]), torch.tensor([second])),
    )
    expected = gather(BANK, splice, 6800)[0].numpy()
    entries = PerSample(BANK, recipe).entries
    window = reference.fill_window(entries, Sample(0, tuple(lead)), 6800, padding)
    np.testing.assert_allclose(window, expected, atol=1e-6)


def drawn_windows(dataset: PerSample, chosen: int, count: int) -> list[np.ndarray]:
    """Windows of a cycle as chance pads it."""
    padding = dataset.recipe.features.padding
    return [
        reference.fill_window(dataset.entries, dataset.draw(chosen), dataset.window, padding)
        for _ in range(count)
    ]


def test_per_sample_repetition_on_either_side_ends_or_begins_with_the_cycle():
    dataset = PerSample(
        BANK, without_cba(recipe_with(padding="repeat-either-side", window_seconds=1.7))
    )
    cycle = dataset.entries[0].audio
    windows = drawn_windows(dataset, 0, 20)
    begins = [np.array_equal(window[:900], cycle) for window in windows]
    ends = [np.array_equal(window[-900:], cycle) for window in windows]
    assert all(np.logical_xor(begins, ends))
    assert 0 < sum(begins) < 20


def test_per_sample_smart_padding_takes_neighbours_that_fit_or_the_cycle_itself():
    dataset = PerSample(BANK, without_cba(recipe_with(padding="smart", window_seconds=3.0)))
    dataset.entries = [
        dataclasses.replace(entry, audio=np.full(700, index, np.float32))
        for index, entry in enumerate(dataset.entries)
    ]
    dataset.coins = 2 + dataset.window // 700
    used = {
        chosen: {int(v) for window in drawn_windows(dataset, chosen, 30) for v in window}
        for chosen in range(5)
    }
    # The middle cycle's label is 1: it is no neighbour for the normal cycles beside it.
    assert used == {0: {0}, 1: {0, 1, 2}, 2: {2}, 3: {3, 4}, 4: {4}}


def test_per_sample_concatenation_joins_two_cycles_of_the_class():
    dataset = PerSample(BANK, SMALL)
    normal = sum(entry.label == 0 for entry in dataset.entries)
    joined = [dataset.draw_pair(1) for _ in range(300)]
    share = sum(map(bool, joined)) / 300
    assert share == pytest.approx(1 - 1 / normal, abs=0.1)
    assert {pair for pair in joined if pair} == {(1, 1)}
    assert not any(dataset.draw_pair(0) for _ in range(50))


@pytest.mark.parametrize("partners", ["device", "recording"])
def test_per_sample_concatenation_joins_cycles_that_belong_together(partners):
    table = cycles_table(
        [[400] * 3, [400] * 2, [400] * 3],
        [[0, 1, 1], [0, 1], [0, 0, 1]],
        ["Meditron", "AKGC417L", "Meditron"],
    )
    bank = CycleBank.from_table(table, "4-class")
    recipe = dataclasses.replace(
        SMALL, concatenation=Concatenation("mixed", 1e6, partners=partners)
    )
    dataset = PerSample(bank, recipe)
    name = bank.cycles[partners].tolist()
    for chosen, label in enumerate(bank.label.tolist()):
        joined = {dataset.draw_pair(chosen) for _ in range(300)} - {()}
        own = [i for i in range(8) if name[i] == name[chosen]]
        there = [[i for i in own if bank.label[i] == c] for c in (0, 1)]
        made_of = [(0, 0)] if label == 0 else [(1, 1), (0, 1), (1, 0)]
        assert joined == {(i, j) for a, b in made_of for i in there[a] for j in there[b]}


@pytest.mark.parametrize(
    ("sampling", "share"), [("class-uniform", 0.6875), ("cycle-uniform", 0.575)]
)
def test_per_sample_normal_cycles_are_joined_as_often_as_abnormal_ones_if_asked_for(
    sampling, share
):
    bank = CycleBank.from_table(cycles_table([[400] * 13], [[0] * 8 + [1] * 4 + [2]]), "4-class")
    recipe = dataclasses.replace(
        SMALL,
        concatenation=Concatenation(join_normal=True),
        optimisation=dataclasses.replace(SMALL.optimisation, sampling=sampling),
    )
    dataset = PerSample(bank, recipe)
    assert dataset.share_joined(0) == pytest.approx(share)
    assert dataset.share_joined(0) == pytest.approx(
        float(new_share(torch.tensor([8, 4, 1, 0]), recipe.concatenation, sampling)[0])
    )


def test_per_sample_effects_come_as_often_as_the_recipe_says_and_one_at_most():
    dataset = PerSample(BANK, SMALL)
    drawn = [dataset.draw_effects() for _ in range(3000)]
    renamed = {"pitch": "pitch_semitones"}
    for name in effect_names():
        share = sum(renamed.get(name, name) in effects for effects in drawn) / len(drawn)
        chance = getattr(SMALL.augmentation, f"{name}_p")
        assert share == pytest.approx(chance, abs=4 * math.sqrt(chance / len(drawn)) + 1e-9)
    one_of = {renamed.get(name, name) for name in ONE_OF}
    assert max(len(one_of & set(effects)) for effects in drawn) == 1
    factors = [effects["speed"] for effects in drawn if "speed" in effects]
    assert min(factors) >= 0.5
    assert max(factors) <= 1.9


def test_per_sample_pitch_comes_in_whole_semitones_where_the_recipe_says_so():
    whole = dataclasses.replace(
        SMALL.augmentation, pitch_p=0.5, pitch_semitones=(-1.5, 2.0), whole_semitones=True
    )
    dataset = PerSample(BANK, dataclasses.replace(SMALL, augmentation=whole))
    drawn = [dataset.draw_effects().get("pitch_semitones") for _ in range(400)]
    assert {step for step in drawn if step is not None} == {-1, 0, 1, 2}


def test_per_sample_noise_has_the_ratio_that_was_drawn():
    waveform = np.random.default_rng(1).normal(0, 0.1, 2000).astype(np.float32)
    noise = np.random.default_rng(2).normal(size=2000).astype(np.float32)
    sample = Sample(0, (0,), noise=noise, noise_snr_db=12.0)
    noisy = reference.augmented(waveform, sample, SMALL)
    assert noisy.dtype == np.float32
    ratio = np.square(waveform).mean() / np.square(noisy - waveform).mean()
    assert 10 * np.log10(ratio) == pytest.approx(12.0, abs=0.01)


@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_per_sample_speed_multiplies_frequencies(factor):
    tone = np.sin(2 * np.pi * 300 * np.arange(8000) / 4000).astype(np.float32)
    played = reference.augmented(tone, Sample(0, (0,), speed=factor), SMALL)
    assert played.dtype == np.float32
    spectrum = np.abs(np.fft.rfft(played[:4000] * np.hanning(4000)))
    assert abs(int(spectrum.argmax()) - 300 * factor) <= 1


@pytest.mark.parametrize(("semitones", "vtlp"), [(3.0, 1.0), (-1.0, 1.0), (0.0, 0.9), (0.0, 1.1)])
def test_per_sample_warps_move_a_smooth_spectrum_as_the_pipeline_does(semitones, vtlp):
    bins = np.arange(129)
    power = 2 + np.sin(bins[:, None] / np.array([20, 30, 50]))
    maps = frequency_maps(torch.tensor([semitones]), torch.tensor([vtlp]), 256)[0]
    expected = maps.double().numpy() @ power
    warped = reference.warped(power, semitones, vtlp)
    # Interpolations differ at the knee, beside the silence beyond the top, and by a third of a
    # decibel where the spectrum shrinks.
    knee, top = KNEE * 128 * min(vtlp, 1.0), 128 * min(2 ** (semitones / 12), 1.0)
    away = ((abs(bins - knee) > 2) | (vtlp == 1)) & (bins < top - 2) & (bins > 2)
    np.testing.assert_allclose(warped[away], expected[away], rtol=0.09)
    assert abs(warped[away] / power[away] - 1).max() > 0.2


def test_per_sample_spectrograms_have_librosas_power():
    recipe = recipe_with(n_mels=32)
    waveform = np.random.default_rng(3).normal(0, 0.1, 2000).astype(np.float32)
    features = recipe.features
    power = librosa.feature.melspectrogram(
        y=waveform,
        sr=4000,
        n_fft=features.n_fft,
        hop_length=features.hop,
        n_mels=32,
        fmin=features.mel_low_hz,
        fmax=features.mel_high_hz,
        pad_mode="constant",
    )
    decibels = librosa.power_to_db(power, ref=np.max, top_db=80)[::-1]
    level = (decibels - decibels.min()) / (decibels.max() - decibels.min())
    shades = reference.shades(reference.decibels_of(waveform, Sample(0, (0,)), recipe))
    np.testing.assert_allclose(shades, 255 * level, atol=0.01)


# Report and command line


def a_rate(per_s: float) -> dict[str, Any]:
    return Timing(64, (64 / per_s,) * 3).to_json()


def a_size(cycles: int) -> dict[str, Any]:
    return {
        "times": cycles // 400,
        "recordings": cycles // 8,
        "cycles": cycles,
        "audio_s": 2.7 * cycles,
        "catalogue_s": 0.5,
        "prepare_s": 0.002 * cycles,
        "at_rest_mib": 1750.0,
        "prepare_peak_memory_mib": 1800.0,
        "epoch_s": 0.0004 * cycles,
        "epoch_peak_memory_mib": 2100.0,
    }


def a_step(image: list[int], per_s: float) -> dict[str, Any]:
    return {
        "image": image,
        "batch": 64,
        "rates": {"train step": a_rate(per_s), "whole loop": a_rate(0.967 * per_s)},
        "loop_of_step": 0.967,
        "input_share_of_step": 0.03,
        "traffic": {COPIES: 0.0, WAITS: 0.0},
        "floor": {
            "flops_a_sample": 6.19e9,
            "matmul_flops_per_s": 1e12,
            "per_s": 161.6,
            "reached": 0.371,
        },
        "peak_memory_mib": 987.0,
        "gpu_peak_mib": None,
    }


def results() -> dict[str, Any]:
    epochs = {"epoch_s": [6.0], "epoch_s_median": 6.0, "epoch_s_minimum": 6.0, "of_plain": 1.0}
    on_ray = {"start_s": 25.5, "end_s": 5.0, "peak_memory_mib": 4321.0}
    memory = {"peak_memory_mib": 987.0, "gpu_peak_mib": None}
    return {
        "experiment": "benchmark",
        "name": "a test",
        "respire_version": "0",
        "skipped": [],
        "recipe": {"preset": "scratch"},
        "environment": {"device": "a processor", "threads": 2},
        "seconds": {"input": 10.0},
        "input": {
            "image": [64, 219],
            "batch": 64,
            "per_sample_workers": 2,
            "paths": {"all techniques": a_rate(2000), "per sample, all techniques": a_rate(400)},
            "all_techniques_of": {"no technique": 0.61, "log-mel alone": 0.34},
            "times_per_sample": {"all techniques": 5.0},
            "stages": {"gather": a_rate(8000), "log-mel": a_rate(5000)},
            "effects": {"no technique": a_rate(2500) | {"of_no_effect": 1.0}}
            | {"time_mask": a_rate(2400) | {"of_no_effect": 0.96}},
            "floor": {
                "bytes_a_window": 224_192,
                "copied_bytes_per_s": 1e10,
                "per_s": 44_605,
                "reached": 0.045,
            },
            **memory,
        },
        "step": [a_step([64, 219], 60), a_step([128, 438], 15)],
        "ray": {
            "train_cycles": 244,
            "validation_cycles": 121,
            "ray_start_s": 4.9,
            "ways": {
                "plain fit()": epochs,
                "Ray Train, 1 worker": epochs | on_ray,
                "Ray Train, 2 workers": None,
            },
        },
        "scaling": {
            "sizes": [a_size(400), a_size(6400)],
            "slopes": {"prepare_s": 1.0, "epoch_s": 1.0},
        },
        "recordings": a_size(6898),
    }


def test_the_tables_hold_what_was_measured_and_say_what_was_not():
    text = report(results()).markdown()
    for said in (
        "64×219",
        "2,000",
        "5.00",
        "time mask",
        "4.5%",
        "0.967",
        "37.1",
        "128×438",
        "25.5",
        "No room here for: Ray Train, 2 workers",
        "6,898",
        "1,750",
        "1,800",
        "987 MiB",
    ):
        assert said in text, said


def test_a_part_that_was_left_out_has_no_table_and_no_figure():
    measured = results()
    for part in ("ray", "scaling", "recordings", "step"):
        del measured[part]
    sections = report(measured).sections
    assert [section.title for section in sections] == ["Machine", "Input path"]
    assert [len(section.tables) for section in sections] == [1, 3]
    assert [picture.name for section in sections for picture in section.figures] == ["input-path"]


def test_every_figure_is_titled_has_units_on_its_axes_and_says_how_much_it_shows():
    pictures = [picture for part in report(results()).sections for picture in part.figures]
    assert len(pictures) == 2
    for picture in pictures:
        assert picture.files[f"{picture.name}.png"].startswith(b"\x89PNG")
        assert picture.figure.texts
        for axis in picture.figure.axes:
            assert "n = " in axis.get_title(loc="left")
            assert axis.get_xlabel()


def test_help_explains_the_parts_without_importing_anything_slow():
    asked = subprocess.run(
        [sys.executable, "-X", "importtime", BENCHMARK, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert asked.returncode == 0
    imported = set(re.findall(r"^import time:.*\| +(\w+)$", asked.stderr, re.MULTILINE))
    assert not imported & {"torch", "ray", "mlflow", "pandas", "librosa"}
    assert "--parts" in asked.stdout


def test_the_input_path_and_the_step_are_measured_without_ray_or_mlflow():
    code = "import sys; import respire.benchmark.run; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert not {"ray", "mlflow"} & set(loaded.stdout.split())


def numbers(value: Any, name: str = "") -> dict[str, float]:
    """Every number below a value, by its dotted name."""
    if isinstance(value, dict):
        found = [numbers(part, f"{name}.{key}") for key, part in value.items()]
    elif isinstance(value, list):
        found = [numbers(part, f"{name}.{index}") for index, part in enumerate(value)]
    else:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return {name: value} if is_number else {}
    return {key: number for part in found for key, number in part.items()}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_quick_run_measures_everything_it_promises(corpus: Path, tmp_path: Path):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RESPIRE_", "RAY_"))}
    done = subprocess.run(
        [
            *(sys.executable, str(BENCHMARK), "--quick", "--data", str(corpus), "--name", "all"),
            *("--gpu", "none", "--storage", str(tmp_path)),
            *("--recipe.features.n-fft", "1024", "--recipe.features.hop", "512"),
            *("--recipe.features.n-mels", "16"),
            *("--recipe.model.backbone", "shufflenet_v2_x0_5", "--sizes", "1", "2"),
        ],
        cwd=tmp_path,
        env=kept | {"RAY_AUTH_MODE": "disabled"},
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "benchmark" / "all"
    assert {file.name for file in folder.iterdir()} == {
        *("results.json", "report.md", "report.html"),
        *(f"{name}.{kind}" for name in ("input-path", "scaling") for kind in ("png", "svg")),
    }
    measured = json.loads((folder / "results.json").read_text())
    parts = ("input", "step", "ray", "scaling", "recordings")
    slopes = measured["scaling"].pop("slopes")
    traffic = [step.pop("traffic") for step in measured["step"]]
    assert all(set(counts.values()) == {0} for counts in traffic)  # without a GPU there is none
    assert all(math.isfinite(slopes[name]) for name in ("prepare_s", "epoch_s"))
    for part in parts:
        unmeasured = {k: v for k, v in numbers(measured[part]).items() if not v > 0}
        assert not unmeasured
    assert set(measured["input"]["stages"]) == set(STAGES)
    assert set(measured["input"]["effects"]) == {"no technique", *effect_names()}
    assert set(measured["input"]["times_per_sample"]) == {"all techniques", "no technique"}
    assert set(measured["input"]["all_techniques_of"]) == {"no technique", "log-mel alone"}
    assert len(measured["ray"]["ways"]) == 3
    assert [row["times"] for row in measured["scaling"]["sizes"]] == [1, 4]
    assert measured["recordings"]["recordings"] == len(list(corpus.glob("*.wav")))
    assert measured["environment"].keys() >= {"device", "precision", "threads", "torch"}
    first, second = (step["image"] for step in measured["step"])
    assert second == [2 * side for side in first]
    assert len(re.findall(r"(?m)^\*\*", done.stdout)) == 9
    assert shown_images(folder / "report.html", tmp_path / "browser") == 2
