import dataclasses
import re

import pytest
import torch
import torchvision

from respire.errors import InputError
from respire.models.network import fingerprint, network_of, respirenet
from respire.recipe.fields import Model
from respire.recipe.presets import small

SMALL = Model(backbone="resnet18", weights="none")


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v3_small", "efficientnet_b0"])
def test_any_backbone_ends_in_the_papers_head(backbone):
    network = respirenet(Model(backbone=backbone, weights="none"), 4).eval()
    assert network(torch.zeros(2, 3, 64, 110)).shape == (2, 4)
    widths = [m.out_features for m in network.modules() if isinstance(m, torch.nn.Linear)]
    assert widths[-3:] == [128, 128, 4]


def test_what_a_network_learnt_is_loaded_whatever_torch_keeps_beside_a_state_dict():
    recipe = dataclasses.replace(small(), model=Model(backbone="mnasnet0_5", weights="none"))
    weights = {name: value.clone() for name, value in network_of(recipe).state_dict().items()}
    again = network_of(recipe, weights).state_dict()
    assert all(torch.equal(again[name], value) for name, value in weights.items())


def test_densenets_are_loaded_under_the_names_of_torchvisions_files(tmp_path):
    theirs = torchvision.models.densenet121(weights=None).state_dict()
    published = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", k): v for k, v in theirs.items()
    }
    assert published.keys() != theirs.keys()
    torch.save(published, tmp_path / "densenet.pt")
    model = Model(backbone="densenet121", weights=str(tmp_path / "densenet.pt"))
    ours = respirenet(model, 4).state_dict()
    name = "features.denseblock1.denselayer1.norm1.weight"
    assert torch.equal(ours[name], theirs[name])


def test_an_unknown_backbone_is_refused_by_name():
    with pytest.raises(InputError, match="resnet17"):
        respirenet(Model(backbone="resnet17", weights="none"), 4)


def test_imagenet_weights_that_cannot_be_had_are_an_error_with_remedies(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def unreachable(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    with pytest.raises(InputError, match="no route to host") as caught:
        respirenet(Model(), 4)
    for remedy in ("--recipe.model.weights FILE", "--recipe.model.weights none", str(tmp_path)):
        assert remedy in str(caught.value)


def test_weights_from_a_file_fill_the_backbone_and_not_the_head(tmp_path):
    theirs = torchvision.models.resnet18(weights=None).state_dict()
    torch.save(theirs, tmp_path / "weights.pt")
    ours = respirenet(
        dataclasses.replace(SMALL, weights=str(tmp_path / "weights.pt")), 4
    ).state_dict()
    shared = [name for name in theirs if not name.startswith("fc.")]
    assert len(shared) > 100
    assert all(torch.equal(ours[name], theirs[name]) for name in shared)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"not a checkpoint", "cannot be read"),
        (b"hello world", "cannot be read"),
        (b"RIFF0000WAVE", "cannot be read"),
        ({"a": 1}, "no state dict"),
        ({1: torch.zeros(1)}, "no state dict"),
        ("resnet34", "is no state dict of resnet18"),
    ],
)
def test_a_file_that_is_no_state_dict_of_the_backbone_is_refused(tmp_path, content, says):
    path = tmp_path / "weights.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, dict):
        torch.save(content, path)
    else:
        torch.save(torchvision.models.get_model(content).state_dict(), path)
    with pytest.raises(InputError, match=re.escape(says)):
        respirenet(dataclasses.replace(SMALL, weights=str(path)), 4)


def test_weights_that_are_not_finite_are_named_as_such(tmp_path):
    theirs = torchvision.models.resnet18(weights=None).state_dict()
    theirs["conv1.weight"][0, 0, 0, 0] = torch.nan
    torch.save(theirs, tmp_path / "weights.pt")
    with pytest.raises(InputError, match=r"weights that are not finite \(conv1\.weight, 1 of "):
        respirenet(dataclasses.replace(SMALL, weights=str(tmp_path / "weights.pt")), 4)


def test_a_missing_file_is_refused_by_name():
    with pytest.raises(InputError, match=r"nowhere\.pt"):
        respirenet(dataclasses.replace(SMALL, weights="nowhere.pt"), 4)


def test_the_fingerprint_tells_weights_apart():
    torch.manual_seed(0)
    weights = respirenet(SMALL, 4).state_dict()
    again = {name: tensor.clone() for name, tensor in weights.items()}
    assert fingerprint(weights) == fingerprint(again)
    again["conv1.weight"][0, 0, 0, 0] += 1e-6
    assert fingerprint(weights) != fingerprint(again)
