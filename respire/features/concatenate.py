"""Concatenation-based augmentation, CBA: two cycles in one (paper 2.1 and Fig. 2)."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from respire.features.bank import CycleBank
from respire.features.keyed import uniform
from respire.labels import CLASSES, NORMAL
from respire.recipe.fields import Concatenation, Sampling
from respire.recipe.recipe import Recipe

CONCATENATION_STREAM = 2
"""Stream of random numbers that decides about a sample's concatenation."""

Rule = tuple[float, str, str]
"""How often a new sample of a class is made of which two classes, in that order."""

MIXED: dict[str, tuple[Rule, ...]] = {
    "normal": ((1.0, "normal", "normal"),),
    "crackle": (
        (0.6, "crackle", "crackle"),
        (0.2, "crackle", "normal"),
        (0.2, "normal", "crackle"),
    ),
    "wheeze": ((0.6, "wheeze", "wheeze"), (0.2, "wheeze", "normal"), (0.2, "normal", "wheeze")),
    "both": (
        (0.5, "both", "both"),
        (0.2, "crackle", "wheeze"),
        (0.1, "wheeze", "crackle"),
        (0.1, "both", "normal"),
        (0.1, "normal", "both"),
    ),
    "abnormal": (
        (0.6, "abnormal", "abnormal"),
        (0.2, "abnormal", "normal"),
        (0.2, "normal", "abnormal"),
    ),
}
"""The released code's probabilities (new_augment), the same-class pair first; "abnormal" (2-class
task, which it does not know) as its crackle and wheeze."""


@dataclass(frozen=True)
class Lead:
    """What a batch of windows starts with: cycles, int64 [B], and those joined to them, else -1."""

    first: Tensor
    second: Tensor

    def split(self, size: int) -> list["Lead"]:
        """The batch in parts of at most ``size``."""
        parts = zip(self.first.split(size), self.second.split(size), strict=True)
        return [Lead(*part) for part in parts]


def alone(chosen: Tensor) -> Lead:
    """Every chosen cycle, int64 [B], by itself."""
    return Lead(chosen, torch.full_like(chosen, -1))


def concatenate(bank: CycleBank, chosen: Tensor, keys: Tensor, recipe: Recipe) -> Lead:
    """Make some of the samples of each class concatenations of two cycles.

    Each sample of a class is a new one with the share that new samples have in the class once CBA
    has filled it up (``new_share``); it then keeps its class, and is made of two cycles drawn
    afresh from the group of the chosen one (``partners``). All come from the bank, so from one side
    of the split. Where a mixed rule needs a class that the group lacks, two cycles of the sample's
    own class are joined.

    ``chosen``, int64 [B], is the cycle drawn for each sample, which gives the sample's class, and
    ``keys``, int64 [B], are the samples' (features/keyed.py).
    """
    cba = recipe.concatenation
    if cba.scheme == "off":
        return alone(chosen)
    label, groups = bank.label[chosen], bank.groups(cba.partners)
    coin, kind, left, right = uniform(keys, CONCATENATION_STREAM, 4).unbind(1)
    bounds, made_of = _rules(cba, CLASSES[recipe.task])
    rule = (kind[:, None] >= bounds[label]).sum(1)
    parts, group = made_of[label, rule], groups.group[chosen][:, None]
    lacking = (groups.count[group, parts] == 0).any(1, keepdim=True)
    parts = torch.where(lacking, label[:, None], parts)
    within = (torch.stack([left, right], 1) * groups.count[group, parts]).long()
    drawn = groups.entries[groups.first[group, parts] + within]
    new = coin < new_share(groups.count.sum(0), cba, recipe.optimisation.sampling)[label]
    return Lead(torch.where(new, drawn[:, 0], chosen), torch.where(new, drawn[:, 1], -1))


def new_share(count: Tensor, recipe: Concatenation, sampling: Sampling) -> Tensor:
    """Share of new samples in each class after CBA, float64 [C], from its cycles, int64 [C].

    Under ``join_normal`` normal has the mean share of the abnormal classes, each weighted by how
    often training draws it.
    """
    target = torch.maximum(count.double(), recipe.multiple_of_normal * count[NORMAL].double())
    share = ((target - count) / target.clamp(min=1)).clamp(min=0)
    if recipe.join_normal:
        drawn = (count.clamp(max=1) if sampling == "class-uniform" else count).double()
        drawn[NORMAL] = 0
        share[NORMAL] = share @ drawn / drawn.sum().clamp(min=1)
    return share


@cache
def _rules(recipe: Concatenation, classes: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Upper bounds of a uniform number for every rule but the last, and the classes of each rule.

    Returns:
        float32 [C, R - 1] and int64 [C, R, 2]; classes with fewer rules have bounds out of reach.
    """
    same: dict[str, tuple[Rule, ...]] = {name: ((1.0, name, name),) for name in classes}
    rules = same if recipe.scheme == "same-class" else MIXED
    most = max(len(rules[name]) for name in classes)
    bounds = torch.full((len(classes), most - 1), 2.0)
    made_of = torch.zeros((len(classes), most, 2), dtype=torch.int64)
    for row, name in enumerate(classes):
        shares = torch.tensor([share for share, _, _ in rules[name]], dtype=torch.float64)
        bounds[row, : len(shares) - 1] = shares.cumsum(0)[:-1]
        for column, (_, first, second) in enumerate(rules[name]):
            made_of[row, column] = torch.tensor([classes.index(first), classes.index(second)])
    return bounds, made_of
