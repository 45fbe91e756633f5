from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from cycle_rows import cycles_table
from pytorch_grad_cam import GradCAMPlusPlus
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from scipy import stats

from respire.errors import InputError
from respire.evaluation.grad_cam import (
    attention,
    check_recipe,
    examples,
    grad_cam_plus_plus,
    most_blank,
    on_rows,
    on_spectrogram,
    patient_mean,
    unstretch,
)
from respire.features.blank_region import BlankRegion, stretch
from respire.models.network import respirenet
from respire.recipe.presets import paper, scratch, small
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute

CPU = Compute("cpu", "fp32")
ROWS, FRAMES = 64, 28


def recipe(blank_region: str = "clip", **features: object) -> Recipe:
    """Recipe small on images of 128 rows and few columns."""
    own = replace(
        small().features,
        **{"n_mels": ROWS, "n_fft": 2048, "hop": 1024, "upsample": 2, "blank_region": blank_region},
        **features,
    )
    return replace(small(), features=own)


def network(
    seed: int = 0, backbone: str = "resnet18", sharpness: float = 3000.0
) -> torch.nn.Module:
    """A network whose logits differ much: grad-cam's package adds 1e-6 to squared gradients."""
    torch.manual_seed(seed)
    made = respirenet(replace(small().model, backbone=backbone), 4).eval()
    with torch.no_grad():
        made.get_submodule("fc")[-1].weight.mul_(sharpness)
    return made


def images(n: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(n, 3, 128, 96, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("backbone", ["resnet18", "resnet34"])
def test_maps_are_those_of_the_grad_cam_package(backbone: str) -> None:
    ours, batch = network(backbone=backbone), images(6)
    classes = torch.tensor([0, 1, 2, 3, 1, 2])
    maps, told = grad_cam_plus_plus(ours, batch, classes)
    assert torch.equal(told, classes)
    with GradCAMPlusPlus(model=ours, target_layers=[ours.get_submodule("layer4")]) as cam:
        cam.forward(batch, [ClassifierOutputTarget(int(c)) for c in classes])
        activations = cam.activations_and_grads.activations[0].numpy()
        gradients = cam.activations_and_grads.gradients[0].numpy()
        weights = cam.get_cam_weights(batch, None, None, activations, gradients)
    theirs = np.maximum((weights[:, :, None, None] * activations).sum(1), 0)
    assert maps.shape == (6, 4, 3)
    assert theirs.max() > 0
    np.testing.assert_allclose(maps.numpy(), theirs, rtol=2e-3, atol=1e-4 * theirs.max())


class Tiny(torch.nn.Module):
    """The named parts of a ResNet, small enough to differentiate one position at a time."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.layer4 = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3, stride=2), torch.nn.ReLU())
        self.avgpool = torch.nn.AdaptiveAvgPool2d(1)
        self.fc = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 4))
        self.double()


def test_maps_follow_from_the_first_three_derivatives_of_the_score() -> None:
    """Equations 10 and 19 word by word: autograd thrice along every position of every channel."""
    tiny = Tiny()
    batch = 4 * torch.randn(2, 3, 7, 5, generator=torch.Generator().manual_seed(3)).double()
    maps, classes = grad_cam_plus_plus(tiny, batch)
    for image, chosen, found in zip(batch, classes, maps, strict=True):
        hidden = tiny.layer4(image[None]).detach()
        expected = torch.zeros_like(found)
        for channel, activation in enumerate(hidden[0]):
            weight = 0.0
            for i, j in np.ndindex(*activation.shape):
                score, derivatives = _derivatives(tiny, hidden, (0, channel, i, j), chosen)
                first, second, third = derivatives
                below = 2 * second + activation.sum().item() * third
                weight += second / below * max(first, 0) / score if first > 0 else 0
            expected += weight * activation
        assert found.max() > 0
        torch.testing.assert_close(found, expected.relu())


def _derivatives(
    tiny: Tiny, hidden: torch.Tensor, at: tuple[int, ...], chosen: torch.Tensor
) -> tuple[float, list[float]]:
    """exp(S), and its first three derivatives with respect to one activation."""
    step = torch.zeros((), dtype=hidden.dtype, requires_grad=True)
    direction = torch.zeros_like(hidden)
    direction[at] = 1
    value = tiny.fc(tiny.avgpool(hidden + step * direction).flatten(1))[0, chosen].exp()
    score, found = value.item(), []
    for _ in range(3):
        (value,) = torch.autograd.grad(value, step, create_graph=True)
        found.append(value.item())
    return score, found


def test_a_batch_gives_what_each_image_by_itself_does() -> None:
    ours, batch = network(), images(4)
    together, _ = grad_cam_plus_plus(ours, batch)
    alone = torch.cat([grad_cam_plus_plus(ours, image[None])[0] for image in batch])
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-5)


def test_the_predicted_class_is_explained_where_none_is_named() -> None:
    ours, batch = network(), images(5)
    maps, classes = grad_cam_plus_plus(ours, batch)
    with torch.no_grad():
        assert torch.equal(classes, ours(batch).argmax(1))
    other, _ = grad_cam_plus_plus(ours, batch, (classes + 1) % 4)
    assert not torch.allclose(maps, other)


def test_where_the_scale_lies_before_or_after_layer_4_does_not_matter() -> None:
    """Activations three times as large, and a head that divides by three: the same function."""
    ours, batch = network(), images(3)
    before, _ = grad_cam_plus_plus(ours, batch)
    with torch.no_grad():
        ours.get_submodule("fc")[1].weight.div_(3)
        for block in ours.get_submodule("layer4"):
            block.bn2.weight.mul_(3)
            block.bn2.bias.mul_(3)
        first, second = ours.get_submodule("layer4")
        first.downsample[1].weight.mul_(3)
        first.downsample[1].bias.mul_(3)
        second.conv1.weight.div_(3)
    after, _ = grad_cam_plus_plus(ours, batch)
    torch.testing.assert_close(before, after, rtol=1e-3, atol=1e-4)


def test_the_network_is_left_without_gradients_and_in_evaluation_mode() -> None:
    ours = network().train()
    grad_cam_plus_plus(ours, images(2))
    assert not ours.training
    assert all(parameter.grad is None for parameter in ours.parameters())


def test_a_map_that_adds_up_to_nothing_stays_zero_and_has_no_share() -> None:
    maps = torch.zeros(2, 4, 3)
    maps[0, 1, 1] = 5
    enlarged = on_spectrogram(maps, 64, 30)
    torch.testing.assert_close(enlarged.sum((1, 2)), torch.tensor([1.0, 0.0]))
    share = on_rows(enlarged, torch.ones(2, 64, dtype=torch.bool))
    assert share[0] == pytest.approx(1)
    assert share[1].isnan()


def test_the_mass_on_chosen_rows_is_that_of_hand_made_maps() -> None:
    maps = torch.zeros(3, 8, 5)
    maps[0, :2] = 1 / 10  # all of it on the two rows on top
    maps[1] = 1 / 40  # evenly
    maps[2, 1, 0], maps[2, 7, 4] = 0.3, 0.7
    top = torch.zeros(3, 8, dtype=torch.bool)
    top[:, :2] = True
    torch.testing.assert_close(on_rows(maps, top), torch.tensor([1.0, 0.25, 0.3]))


def test_even_attention_stays_even_on_the_spectrogram() -> None:
    torch.testing.assert_close(
        on_spectrogram(torch.full((1, 4, 3), 7.0), 64, 30), torch.full((1, 64, 30), 1 / 64 / 30)
    )


def test_unstretching_puts_nothing_into_the_cut_rows_and_loses_nothing() -> None:
    maps = torch.rand(3, 64, 30, generator=torch.Generator().manual_seed(0))
    cut = torch.tensor([0, 16, 63])
    back = unstretch(maps, cut)
    torch.testing.assert_close(back.sum((1, 2)), torch.ones(3))
    torch.testing.assert_close(back[0], maps[0] / maps[0].sum())
    for one, rows in zip(back, cut, strict=True):
        assert not one[:rows].any()
        assert one[rows:].all()


def test_unstretching_undoes_what_clipping_did() -> None:
    """A ramp survives bilinear resizing but for its ends."""
    ramp = (torch.arange(64) + 10.0)[None, :, None].expand(1, 64, 30)
    cut = torch.tensor([20])
    back = unstretch(stretch(ramp, cut), cut)[0]
    inside = slice(22, 62)
    torch.testing.assert_close(back[inside] / back[40], ramp[0, inside] / ramp[0, 40])


@pytest.fixture(scope="module")
def test_side():
    """Six recordings; those with even patients carry nothing above 700 Hz or so."""
    lengths = [[9000, 14000, 20000]] * 6
    table = cycles_table(lengths, seed=3)
    rows = table.to_pylist()
    for row in rows[::2]:
        time = np.arange(len(row["audio"]))
        tone = sum(np.sin(2 * np.pi * hz / 4000 * time) for hz in (120, 260, 400, 560))
        row["audio"] = (tone * 7000 + np.random.default_rng(0).normal(0, 1, len(time))).astype(int)
    return type(table).from_pylist(rows, schema=table.schema)


def weights() -> dict[str, torch.Tensor]:
    return network().state_dict()


def test_windows_have_the_shares_of_their_own_maps(test_side) -> None:
    own = recipe("clip")
    found = attention(own, test_side, weights(), CPU)
    windows = found.windows
    seen = examples(own, test_side, weights(), CPU, list(range(len(windows))))
    exact = BlankRegion(own.features)
    blank = exact.is_blank(torch.from_numpy(seen["shade"])).numpy()
    assert (windows["top_rows"] > 0).any()
    assert (windows["top_rows"] == 0).any()
    np.testing.assert_allclose(windows["top_rows"], seen["cut"] / ROWS)
    np.testing.assert_allclose(windows["blank_rows"], blank.mean(1), rtol=1e-6)
    by_hand = (seen["maps"].sum(2) * blank).sum(1)
    np.testing.assert_allclose(windows["blank_attention"], by_hand, rtol=1e-4, atol=1e-7)
    even = np.minimum(1, ROWS / 2 / (ROWS - seen["cut"]))
    np.testing.assert_allclose(windows["lower_rows"], even, rtol=1e-6)
    assert (windows["predicted"] == seen["predicted"]).all()
    assert found.total.shape == (2, ROWS, FRAMES)
    on_top = (windows["top_rows"] > 0).sum()
    np.testing.assert_allclose(found.total.sum((1, 2)), [len(windows), on_top], rtol=1e-5)


def test_the_lower_half_is_that_of_the_unclipped_window(test_side) -> None:
    """A cut window's upper image rows lie in the lower half where more than half was cut."""
    found = attention(recipe("clip"), test_side, weights(), CPU).windows
    cut = found[found["top_rows"] >= 0.5]
    assert len(cut)
    np.testing.assert_allclose(cut["lower_attention"], 1, rtol=1e-5)
    kept = attention(recipe("keep"), test_side, weights(), CPU).windows
    assert (kept["lower_rows"] == 0.5).all()
    assert (kept.loc[cut.index, "lower_attention"] < 0.99).any()
    assert (kept["top_rows"] == found["top_rows"]).all()
    assert (kept.loc[cut.index, "blank_rows"] >= kept.loc[cut.index, "top_rows"]).all()


def test_unclipped_windows_are_the_same_whatever_is_clipped_from_them(test_side) -> None:
    kept, cut = (
        examples(recipe(how), test_side, weights(), CPU, [0, 4]) for how in ("keep", "clip")
    )
    np.testing.assert_array_equal(kept["unclipped"], cut["unclipped"])
    np.testing.assert_array_equal(kept["unclipped"], kept["shade"])
    assert not kept["cut"].any()
    assert cut["cut"].any()


def test_long_cycles_that_are_cut_into_windows_have_a_row_a_window(test_side) -> None:
    own = recipe("clip", long_cycles="windows", window_seconds=3.0)
    windows = attention(own, test_side, weights(), CPU).windows
    assert not windows.duplicated(["recording", "cycle", "window"]).any()
    assert windows["window"].max() > 0
    assert len(windows) > len(windows.drop_duplicates(["recording", "cycle"]))


def test_the_most_blank_windows_are_of_different_patients() -> None:
    windows = pd.DataFrame(
        {
            "patient": [1, 1, 2, 3, 4],
            "recording": ["a", "a", "b", "c", "d"],
            "cycle": [0, 1, 0, 0, 0],
            "window": 0,
            "top_rows": [0.5, 0.6, 0.2, 0.2, 0.0],
        }
    )
    assert most_blank(windows, 3) == [1, 2, 3]
    assert most_blank(windows.iloc[::-1], 3) == [1, 2, 3]


def test_recipes_whose_maps_would_say_nothing_are_refused_with_the_remedy() -> None:
    check_recipe(paper())
    check_recipe(recipe())
    for coarse in (small(), scratch()):
        with pytest.raises(InputError, match=r"n-mels 64 --recipe.features.upsample 2"):
            check_recipe(coarse)
    other = replace(recipe(), model=replace(recipe().model, backbone="densenet121"))
    with pytest.raises(InputError, match="backbone resnet18"):
        check_recipe(other)


def test_the_interval_of_a_mean_is_over_patients_not_windows() -> None:
    random = np.random.default_rng(0)
    patients = np.repeat(np.arange(25), 40)
    values = random.normal(0.3, 0.1, 25)[patients] + random.normal(0, 0.01, len(patients))
    found = patient_mean(values, patients)
    assert found is not None
    assert found["value"] == pytest.approx(values.mean())
    of_each = pd.Series(values).groupby(patients).mean()  # of as many windows each
    expected = stats.t.interval(0.95, 24, of_each.mean(), stats.sem(of_each))
    assert (found["low"], found["high"]) == pytest.approx(expected)
    few = patient_mean(values[:360], patients[:360])
    assert few == {"value": pytest.approx(values[:360].mean()), "low": None, "high": None}
    assert patient_mean(values[:0], patients[:0]) is None
    unknown = patient_mean(values, np.where(patients == 7, "", patients.astype(str)))
    assert unknown == {"value": pytest.approx(values.mean()), "low": None, "high": None}
