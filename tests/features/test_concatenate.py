from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
import torch
from cycle_rows import cycles_table
from scipy.stats import binomtest, chisquare

from respire.data.rows import FULL_SCALE, SCHEMA
from respire.features.bank import CycleBank
from respire.features.concatenate import Lead, concatenate, new_share
from respire.features.keyed import sample_keys
from respire.features.splice import gather, pad
from respire.labels import CLASSES, Task
from respire.recipe.fields import Concatenation

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
    bank: CycleBank, chosen: torch.Tensor, scheme: str, multiple: float, task: Task = "4-class"
) -> Lead:
    keys = sample_keys(11, 1, torch.arange(len(chosen)))
    return concatenate(bank, chosen, keys, Concatenation(scheme, multiple), task)


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
            share = new_share(torch.tensor(counts), multiple)
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
    keys = sample_keys(11, 1, torch.arange(len(chosen)))
    lead = concatenate(bank, chosen, keys, Concatenation(scheme, 5.0), "4-class")
    heard = gather(bank, pad(bank, chosen, 40, "smart", keys, lead), 40) * FULL_SCALE
    assert set(heard.round().int().unique().tolist()) == train


def test_a_samples_concatenation_depends_on_its_key_alone():
    bank = bank_with({0: 30, 1: 20, 2: 10, 3: 5})
    chosen = torch.arange(len(bank)).repeat(3)
    keys = sample_keys(0, 1, torch.arange(len(chosen)))
    recipe = Concatenation("mixed", 2.0)
    whole = concatenate(bank, chosen, keys, recipe, "4-class")
    order = torch.randperm(len(chosen), generator=torch.Generator().manual_seed(0))
    shuffled = concatenate(bank, chosen[order], keys[order], recipe, "4-class")
    assert torch.equal(whole.first[order], shuffled.first)
    assert torch.equal(whole.second[order], shuffled.second)
    other = concatenate(
        bank, chosen, sample_keys(0, 2, torch.arange(len(chosen))), recipe, "4-class"
    )
    assert not torch.equal(whole.second, other.second)
