"""A model is one folder: its weights, and a card that says what they are and how they decide."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from respire import __version__
from respire.errors import InputError
from respire.models.network import Learnt, network_of
from respire.recipe.recipe import Recipe
from respire.recipe.toml_file import stored_recipe
from respire.runtime.run_folder import dump_state, load_state
from respire.runtime.storage import Storage

FORMAT = 1
"""Raised when older folders can no longer be read as they are."""
CARD, WEIGHTS = "model.json", "weights.pt"
COMMON = "stage1"
"""The model of all devices; the others are called as their device is."""
BEFORE_FOLDERS = "stage1.pt"
"""What lay in a folder of models before they had a card."""


@dataclass(frozen=True)
class Card:
    """What a model says of itself.

    Attributes:
        recipe: every choice that its numbers follow from.
        classes: names, in the order of its logits.
        devices: of each device that it was trained on, what became of it in stage 2; a free string.
        locations: on the chest, that it was trained on; free strings.
        prior: of the classes, to decide under (models/decision.py).
        rule: how a recording's class follows from those of its windows, in words.
        training: what it learnt from, how that was split, and what a reader must know of it.
        respire_version: that wrote it.
    """

    recipe: Recipe
    classes: tuple[str, ...]
    devices: Mapping[str, str]
    locations: tuple[str, ...]
    prior: float
    rule: str
    training: Mapping[str, Any]
    respire_version: str = __version__


def write_model(folder: Storage, card: Card, models: Mapping[str, Learnt]) -> None:
    """Write a model; the folder is one once its card, written last, is there.

    Args:
        folder: where to.
        card: what it says of itself.
        models: what the network learnt for COMMON, and for each device with a model of its own.

    Raises:
        InputError: the folder cannot be written.
    """
    common = models[COMMON].weights
    state = {name: _sharing(learnt, common) for name, learnt in models.items()}
    content = dump_state(state)
    (folder / WEIGHTS).write_bytes(content)
    checksums = {WEIGHTS: hashlib.sha256(content).hexdigest()}
    (folder / CARD).write_json({"format": FORMAT, **asdict(card), "sha256": checksums})


def _sharing(learnt: Learnt, common: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """A state whose tensors are, where they equal the common model's, these: stored once."""
    weights = {
        name: common[name] if torch.equal(tensor, common[name]) else tensor
        for name, tensor in learnt.weights.items()
    }
    return {"weights": weights, "trained_on": learnt.counts}


def read_model(folder: Storage) -> tuple[Card, dict[str, Learnt]]:
    """What ``write_model`` wrote, on the CPU; nothing but data is unpickled.

    Raises:
        InputError: no model, one of another format, or one that is torn.
    """
    card = _read_card(folder)
    try:
        content = (folder / WEIGHTS).read_bytes()
        if hashlib.sha256(content).hexdigest() != card["sha256"][WEIGHTS]:
            raise ValueError("its checksum is not the card's")
        models = {
            name: Learnt(state["weights"], state["trained_on"])
            for name, state in load_state(content).items()
        }
        recipe = stored_recipe(card["recipe"])
        fields = {name: card[name] for name in Card.__dataclass_fields__}
        fields |= {name: tuple(card[name]) for name in ("classes", "locations")}
        said = Card(**(fields | {"recipe": recipe}))
        network_of(recipe, models[COMMON].weights)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else str(error).partition("\n")[0]
        raise InputError(
            f"{folder.uri}: a torn model ({WEIGHTS}: {reason}); copy the whole folder again"
        ) from error
    return said, models


def _read_card(folder: Storage) -> dict[str, Any]:
    if not folder.exists():
        raise InputError(f"{folder.uri}: no such model; give the folder that full wrote")
    if not (folder / CARD).exists():
        within = folder / "model"
        if (within / CARD).exists():
            raise InputError(f"{folder.uri}: no model itself; give {within.uri}")
        if (folder / BEFORE_FOLDERS).exists():
            raise InputError(
                f"{folder.uri}: models of a respire before 0.1.0; the command that trained them, "
                f"typed again, writes a folder that can be read"
            )
        raise InputError(f"{folder.uri}: no model ({CARD} is missing); give the folder of one")
    try:
        card = (folder / CARD).read_json()
        version = int(card["format"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder.uri}: a torn model ({CARD} cannot be read); copy the whole folder again"
        ) from error
    if version != FORMAT:
        raise InputError(
            f"{folder.uri}: a model of format {version}, and respire {__version__} reads "
            f"{FORMAT}; use respire {card.get('respire_version', 'of another version')}"
        )
    return card
