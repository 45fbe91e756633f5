"""A model that was never trained, and recordings for it to hear."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile as sf
import torch
from tiny_fit import RECIPE

from respire.inference.model_folder import Card, write_model
from respire.inference.whole import RULE
from respire.models.network import Learnt, initial_weights
from respire.runtime.storage import Storage

SMALL = replace(RECIPE, model=replace(RECIPE.model, backbone="shufflenet_v2_x0_5"))
COUNTS = torch.tensor([40, 30, 20, 10])
NAMES = ("101_1b1_Al_sc_Meditron", "102_1b1_Al_sc_Walkman", "breath")


def small_models() -> dict[str, Learnt]:
    """A common model, and one of Meditron that shares a part of it."""
    common, own = (initial_weights(SMALL.model, SMALL.task, seed) for seed in (0, 1))
    shared = {name: common[name] if "stage" in name else of for name, of in own.items()}
    return {"stage1": Learnt(common, COUNTS), "Meditron": Learnt(shared, COUNTS)}


def write_small_model(folder: Path, models: dict[str, Learnt]) -> Path:
    """The folder of such a model."""
    devices = {"Meditron": "fine-tuned", "AKGC417L": "kept stage 1"}
    card = Card(SMALL, SMALL.classes, devices, ("Al",), SMALL.prior, RULE, {"stamps": (), "key": 1})
    write_model(Storage.at(folder), card, models)
    return folder


def write_recordings(folder: Path) -> Path:
    """A folder with three seconds of noise by each of NAMES."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for name in NAMES:
        sf.write(folder / f"{name}.wav", random.normal(0, 0.1, 12000), 4000)
    return folder
