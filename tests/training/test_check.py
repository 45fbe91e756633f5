"""Networks that cannot learn from a recipe's images, found before anything is read."""

import socket
from dataclasses import replace

import pytest

from respire.errors import InputError
from respire.recipe.presets import quick
from respire.recipe.recipe import Recipe
from respire.training.check import check_network


def with_backbone(name: str) -> Recipe:
    return replace(quick(), model=replace(quick().model, backbone=name))


@pytest.mark.parametrize(
    ("backbone", "said"),
    [
        ("vit_b_16", "cannot learn from images of 32 x 110"),
        ("maxvit_t", "cannot learn from images of 32 x 110"),
        ("alexnet", "cannot learn from images of 32 x 110"),
        ("googlenet", "does not give one logit a class in training"),
        ("fasterrcnn_resnet50_fpn", "no classification model"),
        ("deeplabv3_resnet50", "no classification model"),
        ("r3d_18", "no classification model"),
        ("squeezenet1_0", "does not end in a linear classifier"),
    ],
)
def test_a_network_that_cannot_learn_is_refused_in_one_line_and_nothing_is_downloaded(
    backbone: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_: object) -> None:
        pytest.fail("something was asked of the network")

    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(InputError, match=r"^recipe\.model\.backbone: ") as refused:
        check_network(with_backbone(backbone))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_one_image_a_worker_is_refused_where_the_network_normalises_over_a_batch() -> None:
    def batch(size: int, backbone: str) -> Recipe:
        recipe = with_backbone(backbone)
        return replace(recipe, optimisation=replace(recipe.optimisation, batch_size=size))

    for recipe, workers in ((batch(1, "resnet18"), 1), (batch(4, "resnet18"), 4)):
        with pytest.raises(InputError, match=rf"batch_size: .* at least {2 * workers}$"):
            check_network(recipe, workers)
    check_network(batch(4, "resnet18"), 2)
