"""Weights that backbones start from: which file they are, and that the real ones fit."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from respire.models.network import respirenet
from respire.models.pretrained import IMAGENET_VERSION, pretrained, weights_sha256
from respire.recipe.presets import PRESETS

REAL = Path(__file__).resolve().parents[3] / "shared/weights/resnet18-imagenet.pth"


def test_files_are_told_by_their_sha256_and_scratch_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "resnet18-f37072fd.pth").write_bytes(b"theirs")
    (tmp_path / "own.pth").write_bytes(b"own")
    theirs = PRESETS["transfer"]().model
    own = replace(theirs, weights=str(tmp_path / "own.pth"))
    assert weights_sha256([own, PRESETS["small"]().model, theirs, own]) == {
        str(tmp_path / "own.pth"): hashlib.sha256(b"own").hexdigest(),
        f"resnet18 {IMAGENET_VERSION}": hashlib.sha256(b"theirs").hexdigest(),
    }


@pytest.mark.skipif(not REAL.exists(), reason=f"no weights at {REAL}")
@pytest.mark.parametrize("preset", ["transfer", "light"])
def test_recipes_with_weights_start_from_a_real_file(preset):
    model = replace(PRESETS[preset]().model, weights=str(REAL))
    network, weights = respirenet(model, 4), pretrained(model)
    state = network.state_dict()
    assert len(weights) > 100
    assert all(torch.equal(state[name], value) for name, value in weights.items())
    assert weights_sha256([model])[str(REAL)].startswith("503fbda9a19d")
