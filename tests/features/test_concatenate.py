from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from cycle_rows import cycles_table
from scipy.stats import binomtest, chi2_contingency, chisquare

from respire.data.rows import FULL_SCALE, SCHEMA
from respire.features.bank import CycleBank
from respire.features.concatenate import CONCATENATION_STREAM, Lead, concatenate, new_share
from respire.features.keyed import sample_keys, uniform
from respire.features.splice import gather, pad
from respire.labels import CLASSES, Task
from respire.recipe.fields import Concatenation, Optimisation
from respire.recipe.recipe import Recipe
from respire.training.sampling import World, plan_epoch

RELEASED = {
    "normal": {("normal", "normal"): 1.0},
    "crackle": {
        ("crackle", "crackle"): 0.6,
        ("crackle", "normal"): 0.2,
        ("normal", "crackle"): 0.2,
    },
    "wheeze": {
        ("wheeze", "wheeze"): 0.6,
        ("wheeze", "normal"): 0.2,
        ("normal", "wheeze"): 0.2,
    },
    "both": {
        ("both", "both"): 0.5,
        ("crackle", "wheeze"): 0.2,
        ("wheeze", "crackle"): 0.1,
        ("both", "normal"): 0.1,
        ("normal", "both"): 0.1,
    },
    "abnormal": {
        ("abnormal", "abnormal"): 0.6,
        ("abnormal", "normal"): 0.2,
        ("normal", "abnormal"): 0.2,
    },
}
"""How often a new sample of a class is made of which two (new_augment of the released code)."""
DRAWS = 6000
ONLY_NEW = 1e6
"""Multiple of normal that makes nearly every sample a new one."""


def bank_with(counts: dict[int, int], task: Task = "4-class") -> CycleBank:
    """A recording of each class, of as many short cycles."""
    return CycleBank.from_table(
        cycles_table([[4] * n for n in counts.values()], [[c] * n for c, n in counts.items()]),
        task,
    )


def draw(
    bank: CycleBank,
    chosen: torch.Tensor,
    scheme: str,
    multiple: float,
    task: Task = "4-class",
    **fields: Any,
) -> Lead:
    recipe = Recipe(task=task, concatenation=Concatenation(scheme, multiple, **fields))
    return concatenate(bank, chosen, keys_of(chosen), recipe)


def keys_of(chosen: torch.Tensor) -> torch.Tensor:
    return sample_keys(11, 1, torch.arange(len(chosen)))


def one_of(bank: CycleBank, label: int, times: int = DRAWS) -> torch.Tensor:
    return torch.nonzero(bank.label == label)[0].expand(times)


def pairs(bank: CycleBank, lead: Lead, task: Task) -> Counter:
    """Class names of both cycles of the new samples."""
    new = lead.second >= 0
    names = np.array(CLASSES[task])
    first, second = (names[bank.label[index[new]].numpy()] for index in (lead.first, lead.second))
    return Counter(zip(first.tolist(), second.tolist(), strict=True))


@pytest.mark.parametrize("task", ["4-class", "2-class"])
def test_a_mixed_sample_is_made_of_its_classes_as_often_as_in_the_released_code(task):
    bank = bank_with({0: 30, 1: 20, 2: 10, 3: 5}, task)
    for label, name in enumerate(CLASSES[task]):
        found = pairs(bank, draw(bank, one_of(bank, label), "mixed", ONLY_NEW, task), task)
        assert set(found) == set(RELEASED[name])
        expected = np.array([RELEASED[name][pair] for pair in found]) * found.total()
        if len(found) > 1:
            assert chisquare(list(found.values()), expected).pvalue > 1e-3


def test_the_papers_scheme_joins_two_cycles_of_one_class():
    bank = bank_with({0: 30, 1: 20, 2: 10, 3: 5})
    for label, name in enumerate(CLASSES["4-class"]):
        lead = draw(bank, one_of(bank, label), "same-class", ONLY_NEW)
        assert set(pairs(bank, lead, "4-class")) == {(name, name)}


def samples_after_filling(counts: list[int], multiple: float) -> list[tuple[int, int]]:
    """(cycles, new samples) of each class where one class after another is filled up."""
    filled = []
    for count in counts:
        new = 0
        while count > 0 and count + new < multiple * counts[0]:
            new += 1
        filled.append((count, new))
    return filled


@pytest.mark.parametrize("multiple", [0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("task", ["4-class", "2-class"])
def test_a_sample_is_new_as_often_as_its_class_has_new_samples_once_filled(task, multiple):
    bank = bank_with({0: 30, 1: 44, 2: 10, 3: 6}, task)
    counts = torch.bincount(bank.label).tolist()
    for label, (own, new) in enumerate(samples_after_filling(counts, multiple)):
        lead = draw(bank, one_of(bank, label, 2000), "same-class", multiple, task)
        found = int((lead.second >= 0).sum())
        assert binomtest(found, 2000, new / (own + new)).pvalue > 1e-3


def test_the_share_of_new_samples_is_what_filling_up_yields():
    for counts in ([2063, 1215, 501, 363], [2063, 2079], [10, 0, 3, 1], [0, 5, 5, 5]):
        for multiple in (1.0, 2.0, 3.0):
            expected = [
                new / max(1, own + new) for own, new in samples_after_filling(counts, multiple)
            ]
            recipe = Concatenation(multiple_of_normal=multiple)
            share = new_share(torch.tensor(counts), recipe, "class-uniform")
            present = torch.tensor(counts) > 0
            np.testing.assert_allclose(share[present], np.array(expected)[present], atol=1e-12)


def test_both_cycles_are_drawn_uniformly_and_independently():
    bank = bank_with({0: 12, 1: 8})
    lead = draw(bank, one_of(bank, 1), "same-class", ONLY_NEW)
    new = lead.second >= 0
    assert new.double().mean() > 0.99
    table = torch.zeros(8, 8)
    table.index_put_((lead.first[new] - 12, lead.second[new] - 12), torch.ones(()), True)
    assert chisquare(table.flatten()).pvalue > 1e-3


def test_whatever_is_not_new_is_the_cycle_that_was_chosen():
    bank = bank_with({0: 30, 1: 20, 2: 10, 3: 5})
    chosen = torch.arange(len(bank)).repeat(20)
    lead = draw(bank, chosen, "mixed", 1.0)
    old = lead.second < 0
    assert torch.equal(lead.first[old], chosen[old])
    assert set(lead.second[old].tolist()) == {-1}
    assert bool(old.any())
    assert not bool(old.all())


@pytest.mark.parametrize("scheme", ["same-class", "mixed"])
def test_a_new_samples_sounds_are_those_of_its_class(scheme):
    bank = bank_with({0: 30, 1: 20, 2: 10, 3: 5})
    chosen = torch.arange(len(bank)).repeat(40)
    lead = draw(bank, chosen, scheme, 2.0)
    new = lead.second >= 0
    # Crackle, wheeze and both as sets of sounds; joining unites them.
    sounds = torch.tensor([0b00, 0b01, 0b10, 0b11])[bank.label]
    united = sounds[lead.first[new]] | sounds[lead.second[new]]
    assert torch.equal(united, sounds[chosen[new]])


def test_off_does_nothing():
    bank = bank_with({0: 30, 1: 2})
    chosen = torch.arange(len(bank)).repeat(9)
    lead = draw(bank, chosen, "off", 3.0)
    assert torch.equal(lead.first, chosen)
    assert bool((lead.second == -1).all())


@pytest.mark.parametrize("counts", [{0: 9, 2: 1, 3: 2}, {0: 9, 1: 1, 3: 2}, {0: 9, 3: 2}])
def test_where_a_mixed_rule_needs_a_class_that_is_lacking_its_own_class_is_joined(counts):
    bank = bank_with(counts)
    found = pairs(bank, draw(bank, one_of(bank, 3), "mixed", ONLY_NEW), "4-class")
    expected = {("both", "both"): 0.8, ("both", "normal"): 0.1, ("normal", "both"): 0.1}
    assert set(found) == set(expected)
    shares = np.array([expected[pair] for pair in found])
    assert chisquare(list(found.values()), shares * found.total()).pvalue > 1e-3


@pytest.mark.parametrize("scheme", ["same-class", "mixed"])
def test_without_normal_cycles_there_is_no_measure_and_no_new_sample(scheme):
    bank = bank_with({1: 5, 2: 3})
    chosen = torch.arange(8).repeat(50)
    lead = draw(bank, chosen, scheme, 2.0)
    assert torch.equal(lead.first, chosen)
    assert bool((lead.second == -1).all())


def test_a_bank_of_one_cycle_joins_it_with_itself_alone():
    bank = bank_with({0: 1})
    lead = draw(bank, torch.zeros(200, dtype=torch.int64), "mixed", 2.0)
    assert set(zip(lead.first.tolist(), lead.second.tolist(), strict=True)) == {(0, -1), (0, 0)}


@pytest.mark.parametrize("scheme", ["same-class", "mixed"])
def test_no_cycle_comes_from_a_patient_outside_the_bank(scheme):
    table = cycles_table([[5] * 6] * 8, [[0, 1, 2, 3, 0, 0]] * 8)
    patients = table.column("patient").to_pylist()
    # Every sample of a patient's audio is the patient's number.
    audio = pa.array([[patient] * 30 for patient in patients], SCHEMA.field("audio").type)
    table = table.set_column(table.column_names.index("audio"), SCHEMA.field("audio"), audio)
    train = {101, 103, 104, 108}
    rows = [index for index, patient in enumerate(patients) if patient in train]
    bank = CycleBank.from_table(table.take(rows), "4-class")
    chosen = torch.arange(len(bank)).repeat(100)
    lead = draw(bank, chosen, scheme, 5.0)
    heard = gather(bank, pad(bank, chosen, 40, "smart", keys_of(chosen), lead), 40) * FULL_SCALE
    assert set(heard.round().int().unique().tolist()) == train


def test_a_samples_concatenation_depends_on_its_key_alone():
    bank = bank_with({0: 30, 1: 20, 2: 10, 3: 5})
    chosen = torch.arange(len(bank)).repeat(3)
    keys = sample_keys(0, 1, torch.arange(len(chosen)))
    recipe = Recipe(concatenation=Concatenation("mixed", 2.0))
    whole = concatenate(bank, chosen, keys, recipe)
    order = torch.randperm(len(chosen), generator=torch.Generator().manual_seed(0))
    shuffled = concatenate(bank, chosen[order], keys[order], recipe)
    assert torch.equal(whole.first[order], shuffled.first)
    assert torch.equal(whole.second[order], shuffled.second)
    other = concatenate(bank, chosen, sample_keys(0, 2, torch.arange(len(chosen))), recipe)
    assert not torch.equal(whole.second, other.second)


# Partners


def devices_bank(task: Task = "4-class") -> CycleBank:
    """Recordings of two devices, some without normal cycles, some with one cycle of a class."""
    labels = [[0, 0, 1, 1, 1], [0, 2, 2, 3], [0, 0, 0, 1], [1, 3, 3, 0], [2, 2], [3]]
    devices = ["Meditron", "AKGC417L", "Meditron", "AKGC417L", "Litt3200", "Meditron"]
    lengths = [[5] * len(one) for one in labels]
    return CycleBank.from_table(cycles_table(lengths, labels, devices), task)


def rules_of(scheme: str, name: str) -> dict[tuple[str, str], float]:
    return {(name, name): 1.0} if scheme == "same-class" else RELEASED[name]


PARTNERS = ["any", "device", "recording"]
SCHEMES = ["same-class", "mixed"]


@pytest.mark.parametrize("task", ["4-class", "2-class"])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("partners", PARTNERS)
def test_pairs_are_those_of_a_loop_over_the_cycles_that_belong_together(partners, scheme, task):
    bank, names = devices_bank(task), CLASSES[task]
    chosen = torch.arange(len(bank)).repeat(30)
    lead = draw(bank, chosen, scheme, 3.0, task, partners=partners)
    group = bank.cycles[partners].tolist() if partners != "any" else [0] * len(bank)
    label = bank.label.tolist()
    filled = samples_after_filling(torch.bincount(bank.label).tolist(), 3.0)
    numbers = uniform(keys_of(chosen), CONCATENATION_STREAM, 4).numpy()
    for row, (cycle, (coin, kind, *places)) in enumerate(
        zip(chosen.tolist(), numbers, strict=True)
    ):
        own, new = filled[label[cycle]]
        if coin >= new / (own + new):
            assert (int(lead.first[row]), int(lead.second[row])) == (cycle, -1)
            continue
        there = {
            name: [i for i in range(len(bank)) if group[i] == group[cycle] and label[i] == c]
            for c, name in enumerate(names)
        }
        rules = rules_of(scheme, names[label[cycle]])
        bounds = np.cumsum(list(rules.values())).astype(np.float32)[:-1]
        pair = list(rules)[int((kind >= bounds).sum())]
        if not all(there[name] for name in pair):
            pair = (names[label[cycle]],) * 2
        expected = [
            there[name][int(place * np.float32(len(there[name])))]
            for name, place in zip(pair, places, strict=True)
        ]
        assert [int(lead.first[row]), int(lead.second[row])] == expected


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("partners", ["device", "recording"])
def test_both_cycles_are_of_the_samples_device_or_recording(partners, scheme):
    bank = devices_bank()
    chosen = torch.arange(len(bank)).repeat(50)
    lead = draw(bank, chosen, scheme, 3.0, partners=partners)
    new = lead.second >= 0
    assert bool(new.any())
    name = bank.cycles[partners].to_numpy()
    for part in (lead.first, lead.second):
        assert (name[part[new].numpy()] == name[chosen[new].numpy()]).all()


def test_the_only_cycle_of_its_class_there_is_joined_with_itself():
    bank = devices_bank()
    alone = len(bank) - 1
    lead = draw(bank, torch.full((500,), alone), "mixed", ONLY_NEW, partners="recording")
    pairs_found = set(zip(lead.first.tolist(), lead.second.tolist(), strict=True))
    assert (alone, alone) in pairs_found
    assert pairs_found <= {(alone, alone), (alone, -1)}


def test_who_the_partners_are_changes_no_share():
    bank = devices_bank()
    chosen = torch.arange(len(bank)).repeat(50)
    joined = [draw(bank, chosen, "mixed", 2.0, partners=p).second >= 0 for p in PARTNERS]
    assert torch.equal(joined[0], joined[1])
    assert torch.equal(joined[0], joined[2])


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("sampling", ["class-uniform", "cycle-uniform"])
@pytest.mark.parametrize("counts", [{0: 60, 1: 40, 2: 12, 3: 6}, {0: 40, 1: 60, 3: 5}])
def test_a_seam_says_nothing_about_normal_where_normal_is_joined_too(counts, sampling, scheme):
    bank = bank_with(counts)
    plan = plan_epoch(bank, 20_000, 100, 3, 1, World(), False, sampling)
    chosen, keys = plan.cycle.flatten(), sample_keys(3, 1, plan.sample.flatten())
    recipe = Recipe(
        concatenation=Concatenation(scheme, join_normal=True),
        optimisation=Optimisation(sampling=sampling),
    )
    joined = concatenate(bank, chosen, keys, recipe).second >= 0
    normal = bank.label[chosen] == 0
    seen = [[int((joined & side).sum()), int((~joined & side).sum())] for side in (normal, ~normal)]
    assert min(map(min, seen)) > 100
    assert chi2_contingency(seen).pvalue > 1e-3


def test_joining_normal_cycles_leaves_the_abnormal_samples_as_they_were():
    bank = bank_with({0: 30, 1: 20, 2: 10, 3: 5})
    chosen = torch.arange(len(bank)).repeat(40)
    plain, joined = (draw(bank, chosen, "mixed", 1.0, join_normal=join) for join in (False, True))
    abnormal = bank.label[chosen] > 0
    assert torch.equal(plain.first[abnormal], joined.first[abnormal])
    assert torch.equal(plain.second[abnormal], joined.second[abnormal])
    assert not bool((plain.second[~abnormal] >= 0).any())
    assert bool((joined.second[~abnormal] >= 0).any())
    assert set(bank.label[joined.second[~abnormal].clamp(min=0)].tolist()) == {0}


def test_the_shares_of_the_official_split_are_those_that_the_recipe_names():
    count = torch.tensor([2063, 1215, 501, 363])
    share = new_share(count, Concatenation(), "class-uniform")
    np.testing.assert_allclose(share, [0, 0.41, 0.76, 0.82], atol=0.005)
    by_class = new_share(count, Concatenation(join_normal=True), "class-uniform")
    by_cycle = new_share(count, Concatenation(join_normal=True), "cycle-uniform")
    assert by_class[0] == pytest.approx(float(share[1:].mean()))
    assert by_cycle[0] == pytest.approx(float((share * count)[1:].sum() / 2079))
    assert torch.equal(by_class[1:], share[1:])
    nothing_to_match = torch.tensor([9, 0, 0, 0])
    assert new_share(nothing_to_match, Concatenation(join_normal=True), "class-uniform")[0] == 0
