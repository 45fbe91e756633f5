from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile
import torch
from cycle_rows import cycles_table
from scipy.signal import butter, resample_poly, sosfiltfilt

from respire.benchmark import per_sample as reference
from respire.benchmark.per_sample import Entry, Sample, windows_of
from respire.data.corpora.synthetic_sounds import MICROPHONES, Patient, record
from respire.features.augment import draw_effects
from respire.features.bank import CycleBank
from respire.features.concatenate import Lead, alone, concatenate
from respire.features.keyed import sample_keys, uniform
from respire.features.pipeline import Pipeline
from respire.features.splice import SIDE_STREAM, SMART_STREAM
from respire.recipe.fields import Augmentation, Concatenation, Features, Padding
from respire.recipe.presets import PRESETS
from respire.recipe.recipe import Recipe

REAL = Path(__file__).resolve().parents[3] / "shared/data/icbhi"

EFFECTS = {
    "noise": {"noise_p": 1.0},
    "speed": {"speed_p": 1.0},
    "loudness": {"loudness_p": 1.0},
    "pitch": {"pitch_p": 1.0},
    "vtlp": {"vtlp_p": 1.0, "vtlp_factor": (0.9, 1.1)},
    "shift": {"shift_p": 1.0},
    "time mask": {"time_mask_p": 1.0},
    "frequency mask": {"frequency_mask_p": 1.0},
}
VARIANTS = {
    "speed at its pitch": {"speed_p": 1.0, "speed_keeps_pitch": True},
    "whole semitones": {"pitch_p": 1.0, "whole_semitones": True},
}
"""The same effects otherwise."""
NONE: dict[str, Any] = {name: 0.0 for name in vars(Augmentation()) if name.endswith("_p")}
EVERY: dict[str, Any] = {key: value for effect in EFFECTS.values() for key, value in effect.items()}


@cache
def lung_sounds(seed: int, below_hz: int = 1999) -> pa.Table:
    """Three synthetic recordings of short cycles; two from a device that is silent above 1.5 kHz.

    One of the two holds sighs longer than a window of 2 s.
    """
    rng = np.random.default_rng(seed)
    low_pass = butter(8, below_hz, fs=4000, output="sos")
    devices = ["Litt3200", "Meditron", "Litt3200"]
    lengths, labels, audio = [], [], []
    for device, cycle_s, cycles in zip(devices, [0.6, 0.8, 2.8], [4, 4, 2], strict=True):
        patient = Patient(101, device, cycle_s, 0.4, 6.0, 0.5, 400.0, np.full(4, 0.25))
        sound, starts_s, ends_s, label = record(patient, cycles, rng)
        bounds = (np.append(starts_s, ends_s[-1]) * 4000).round().astype(int)
        sound = resample_poly(sound, 4000, MICROPHONES[device].rate_hz)
        sound = sosfiltfilt(low_pass, sound)[bounds[0] : bounds[-1]].clip(-1, 1)
        lengths.append(np.diff(bounds).tolist())
        labels.append(label.tolist())
        audio.append((sound * 32767).round().astype(np.int16))
    return with_audio(cycles_table(lengths, labels, devices), audio)


@cache
def real_sounds() -> pa.Table:
    """The first cycles of a real recording of each device."""
    lengths, labels, audio, devices = [], [], [], []
    for device in MICROPHONES:
        path = sorted(REAL.rglob(f"*_{device}.flac"))[0]
        start_s, end_s, crackle, wheeze = np.loadtxt(path.with_suffix(".txt"))[:5].T
        sound, rate_hz = soundfile.read(path, dtype="int16")
        first, last = ((bounds * rate_hz).astype(int) for bounds in (start_s, end_s))
        lengths.append((last - first).tolist())
        labels.append((crackle + 2 * wheeze).astype(int).tolist())
        audio.append(np.concatenate([sound[a:b] for a, b in zip(first, last, strict=True)]))
        devices.append(device)
    return with_audio(cycles_table(lengths, labels, devices), audio)


def with_audio(table: pa.Table, audio: list[np.ndarray]) -> pa.Table:
    index = table.schema.get_field_index("audio")
    field = table.schema.field(index)
    return table.set_column(index, field, pa.array(audio, field.type))


def entries_of(recordings: Sequence[Sequence[tuple[np.ndarray, int]]]) -> list[Entry]:
    """Cycles of recordings, each (audio, class), in their order."""
    entries: list[Entry] = []
    for recording in recordings:
        first, last = len(entries), len(entries) + len(recording) - 1
        for index, (audio, label) in enumerate(recording, first):
            before, after = (
                index - 1 if index > first else None,
                index + 1 if index < last else None,
            )
            entries.append(Entry(audio, label, before, after))
    return entries


def entries_from(table: pa.Table, recipe: Recipe) -> list[Entry]:
    """What the reference takes of the same recordings."""
    recordings = []
    for row in table.to_pylist():
        sounds = np.split(np.array(row["audio"]) / 32767, np.cumsum(row["samples"])[:-1])
        labels = [min(c, 1) if recipe.task == "2-class" else c for c in row["label"]]
        recordings.append(list(zip(sounds, labels, strict=True)))
    entries = entries_of(recordings)
    if recipe.features.long_cycles == "windows":
        return windows_of(entries, recipe.features.samples(recipe.preprocess.sample_rate_hz))
    return entries


def samples_of(bank: CycleBank, chosen: torch.Tensor, keys: torch.Tensor, lead: Lead) -> list[dict]:
    """What the cycles drawn and the padding's coins are."""
    takes_before = (uniform(keys, SMART_STREAM, 500) < 0.5).tolist()
    ends_with_cycle = (uniform(keys, SIDE_STREAM, 1)[:, 0] < 0.5).tolist()
    pairs = zip(lead.first.tolist(), lead.second.tolist(), strict=True)
    return [
        {
            "label": int(bank.label[chosen[row]]),
            "made_of": tuple(index for index in pair if index >= 0),
            "takes_before": takes_before[row],
            "ends_with_cycle": ends_with_cycle[row],
        }
        for row, pair in enumerate(pairs)
    ]


def training_samples(
    pipeline: Pipeline, bank: CycleBank, chosen: torch.Tensor, keys: torch.Tensor
) -> list[Sample]:
    """What chance decides about training samples."""
    recipe, window = pipeline.recipe, pipeline.window
    features = recipe.features
    lead = concatenate(bank, chosen, keys, recipe)
    drawn = samples_of(bank, chosen, keys, lead)
    stretches = len(pipeline.noise) - window + 1

    def stretch_of_noise(place: np.float32) -> np.ndarray:
        first = int(place * np.float32(stretches))
        return pipeline.noise[first : first + window].double().numpy()

    def mask(share: np.float32, place: np.float32, size: int) -> tuple[int, int]:
        length = round(float(share * np.float32(size)))
        return int(place * np.float32(size - length + 1)), length

    frames = 1 + window // features.hop
    reads: dict[str, Callable[[np.float32, np.float32], dict[str, Any]]] = {
        "noise": lambda v, p: {"noise_snr_db": float(v), "noise": stretch_of_noise(p)},
        "speed": lambda v, _: {"speed": float(v)},
        "loudness": lambda v, _: {"loudness": float(v)},
        "pitch": lambda v, _: {"pitch_semitones": float(v)},
        "vtlp": lambda v, _: {"vtlp": float(v)},
        "shift": lambda v, _: {"shift": int(v * np.float32(window))},
        "time_mask": lambda v, p: {"time_mask": mask(v, p, frames)},
        "frequency_mask": lambda v, p: {"frequency_mask": mask(v, p, features.n_mels)},
    }
    effects = draw_effects(keys, recipe.augmentation)
    for name, read in reads.items():
        effect = getattr(effects, name)
        values = zip(effect.rows, effect.value.numpy(), effect.place.numpy(), strict=True)
        for row, value, place in values:
            drawn[row] |= read(value, place)
    return [Sample(**sample) for sample in drawn]


def steps_between(ours: np.ndarray, theirs: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Differences of images, as multiples of the largest one between two neighbouring shades."""
    one = np.abs(np.diff(reference.standardised(recipe.features.colour_map), axis=0)).max()
    return np.abs(ours - theirs) / one


def assert_equal_images(ours: np.ndarray, theirs: np.ndarray, recipe: Recipe) -> None:
    """Equal, but that a level on the border of two shades may round to either."""
    assert ours.shape == theirs.shape
    assert ours.dtype == np.float32
    steps = steps_between(ours, theirs, recipe)
    assert steps.max() <= 1.01
    assert (steps > 0.01).mean() < 1e-3


def assert_similar_images(ours: np.ndarray, theirs: np.ndarray, recipe: Recipe) -> None:
    """Equal to a tenth of a shade on average, in nine images of ten.

    For speed: the reference's low-pass is ideal, the pipeline's is not. What it leaves above the
    band, 50 dB down, can keep a row from being blank: hence the tenth image.
    """
    assert ours.shape == theirs.shape
    steps = steps_between(ours, theirs, recipe).mean((1, 2, 3))
    assert np.quantile(steps, 0.9) < 0.1


def both_ways(
    recipe: Recipe, table: pa.Table, repeats: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, list[Sample]]:
    """Training images of every entry, by the pipeline and by the reference."""
    pipeline = Pipeline(recipe, "cpu")
    bank = pipeline.windows(CycleBank.from_table(table, recipe.task))
    chosen = torch.arange(len(bank)).repeat(repeats)
    keys = sample_keys(seed, 1, torch.arange(len(chosen)))
    samples = training_samples(pipeline, bank, chosen, keys)
    entries = entries_from(table, recipe)
    ours = pipeline.training_images(bank, chosen, keys).numpy()
    theirs = [reference.training_image(entries, sample, recipe) for sample in samples]
    return ours, np.stack(theirs), samples


def recipe_of(preset: str, window_seconds: float = 2.0, **augmentation: Any) -> Recipe:
    """A preset with these effects alone, on short windows, not enlarged."""
    recipe = PRESETS[preset]()
    return replace(
        recipe,
        features=replace(recipe.features, window_seconds=window_seconds, upsample=1),
        augmentation=replace(recipe.augmentation, **(NONE | augmentation)),
    )


def recipe_with(features: Features, **changes: Any) -> Recipe:
    return Recipe(
        features=replace(features, **changes),
        concatenation=Concatenation("off"),
        augmentation=Augmentation(**NONE),
    )


@pytest.mark.parametrize("preset", ["paper", "released-code", "fixed", "scratch", "small"])
def test_training_images_are_those_of_the_reference(preset: str):
    whole = PRESETS[preset]()
    recipe = replace(
        whole,
        concatenation=Concatenation("mixed", 2.0),
        augmentation=replace(whole.augmentation, **NONE),
    )
    ours, theirs, samples = both_ways(recipe, lung_sounds(1), 1)
    assert {len(sample.made_of) for sample in samples} == {1, 2}
    assert_equal_images(ours, theirs, recipe)


@pytest.mark.parametrize("partners", ["device", "recording"])
def test_training_images_of_pairs_that_belong_together_are_those_of_the_reference(partners: str):
    cba = Concatenation("mixed", 2.0, partners=partners, join_normal=True)
    recipe = replace(recipe_of("small"), concatenation=cba)
    ours, theirs, samples = both_ways(recipe, lung_sounds(1), 2)
    assert {len(sample.made_of) for sample in samples if sample.label == 0} == {1, 2}
    assert_equal_images(ours, theirs, recipe)


def test_training_images_of_the_two_class_task_are_those_of_the_reference():
    recipe = replace(recipe_of("paper"), task="2-class", concatenation=Concatenation("mixed", 3.0))
    ours, theirs, samples = both_ways(recipe, lung_sounds(2), 3)
    assert {sample.label for sample in samples} == {0, 1}
    assert_equal_images(ours, theirs, recipe)


@pytest.mark.parametrize("upsample", [1, 2, 3])
def test_an_enlarged_image_is_the_references(upsample: int):
    recipe = recipe_with(Features(window_seconds=1.5), upsample=upsample)
    ours, theirs, _ = both_ways(recipe, lung_sounds(3), 1)
    assert ours.shape[1:] == (3, 64 * upsample, 47 * upsample)
    assert_equal_images(ours, theirs, recipe)


@pytest.mark.parametrize("blank_region", ["keep", "clip"])
def test_an_image_of_level_rows_is_the_references(blank_region: str):
    recipe = recipe_with(Features(window_seconds=1.5, level_rows=True), blank_region=blank_region)
    ours, theirs, _ = both_ways(recipe, lung_sounds(10), 1)
    assert_equal_images(ours, theirs, recipe)


@pytest.mark.parametrize("padding", ["zero", "repeat", "repeat-either-side", "reflect", "smart"])
@pytest.mark.parametrize("long_cycles", ["clip", "windows"])
def test_evaluation_images_are_those_of_the_reference(padding: Padding, long_cycles: str):
    features = Features(window_seconds=2.0, upsample=1)
    recipe = recipe_with(features, evaluation_padding=padding, long_cycles=long_cycles)
    pipeline, table = Pipeline(recipe, "cpu"), lung_sounds(4)
    bank = pipeline.windows(CycleBank.from_table(table, recipe.task))
    chosen = torch.arange(len(bank))
    drawn = samples_of(bank, chosen, sample_keys(0, 0, bank.identity[chosen]), alone(chosen))
    entries = entries_from(table, recipe)
    theirs = [reference.evaluation_image(entries, Sample(**one), recipe) for one in drawn]
    ours = pipeline.evaluation_images(bank, chosen).numpy()
    assert_equal_images(ours, np.stack(theirs), recipe)


@pytest.mark.parametrize("preset", ["scratch", "small"])
@pytest.mark.parametrize("effect", [*(n for n in EFFECTS if n != "speed"), *VARIANTS])
def test_images_with_one_effect_are_those_of_the_reference(effect: str, preset: str):
    recipe = recipe_of(preset, **(EFFECTS | VARIANTS)[effect])
    ours, theirs, _ = both_ways(recipe, lung_sounds(5), 2)
    assert_equal_images(ours, theirs, recipe)
    plain, *_ = both_ways(recipe_of(preset), lung_sounds(5), 2)
    assert (np.abs(ours - plain).max((1, 2, 3)) > 0.1).mean() > 0.5


@pytest.mark.parametrize("preset", ["scratch", "small"])
def test_images_of_other_speeds_are_those_of_the_reference(preset: str):
    # As many frames of each preset: at a window's ends the filters differ most.
    window_seconds = 2.0 * PRESETS[preset]().features.hop / 128
    recipe = recipe_of(preset, window_seconds, **EFFECTS["speed"])
    # Level rows would show what the filter leaves 50 dB down where there is nothing else.
    features = replace(recipe.features, blank_region="keep", level_rows=False)
    recipe = replace(recipe, features=features)
    ours, theirs, _ = both_ways(recipe, lung_sounds(6, below_hz=800), 3)
    assert_similar_images(ours, theirs, recipe)


@pytest.mark.parametrize("preset", ["paper", "released-code", "small"])
def test_images_with_every_effect_are_those_of_the_reference(preset: str):
    recipe = recipe_of(preset, **EVERY, one_at_most=False)
    recipe = replace(recipe, concatenation=Concatenation("mixed", 2.0))
    ours, theirs, samples = both_ways(recipe, lung_sounds(7, below_hz=800), 2)
    assert all(value is not None for sample in samples for value in vars(sample).values())
    assert_similar_images(ours, theirs, recipe)


@pytest.mark.parametrize("preset", ["paper", "released-code", "fixed", "scratch", "small"])
def test_images_of_a_presets_own_techniques_are_those_of_the_reference(preset: str):
    whole = PRESETS[preset]()
    recipe = replace(whole, features=recipe_of(preset).features)
    ours, theirs, _ = both_ways(recipe, lung_sounds(8, below_hz=800), 5)
    assert_similar_images(ours, theirs, recipe)


def test_blank_rows_are_clipped_in_some_of_these_images_and_not_in_others():
    keep = recipe_of("paper")
    keep = replace(keep, features=replace(keep.features, blank_region="keep"))
    clipped, *_ = both_ways(recipe_of("paper"), lung_sounds(5), 1)
    kept, *_ = both_ways(keep, lung_sounds(5), 1)
    assert 2 <= (clipped != kept).any((1, 2, 3)).sum() < len(kept)


@pytest.mark.parametrize("preset", ["scratch", "small"])
def test_mean_mel_bands_are_those_of_the_reference(preset: str):
    recipe = recipe_of(preset)
    bank = CycleBank.from_table(lung_sounds(9), recipe.task)
    entries = entries_from(lung_sounds(9), recipe)
    expected = [
        reference.evaluation_decibels(entries, Sample(entry.label, (index,)), recipe).mean(1)
        for index, entry in enumerate(entries)
    ]
    bands = Pipeline(recipe, "cpu").mean_mel_bands(bank, batch=3).numpy()
    np.testing.assert_allclose(bands, np.stack(expected), atol=5e-3)


@pytest.mark.skipif(not REAL.exists(), reason=f"no recordings at {REAL}")
@pytest.mark.parametrize("preset", ["paper", "released-code", "small"])
def test_images_of_real_recordings_are_those_of_the_reference(preset: str):
    recipe = replace(recipe_of(preset, 7.0), concatenation=Concatenation("mixed", 2.0))
    ours, theirs, _ = both_ways(recipe, real_sounds(), 1)
    assert_equal_images(ours, theirs, recipe)
