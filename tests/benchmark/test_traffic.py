"""What host and GPU tell each other in a training step: nothing but what is to be done."""

from dataclasses import replace

import pytest
import torch

from respire.benchmark.traffic import COPIES, WAITS, Traffic, traffic_of_steps
from respire.features.pipeline import Pipeline
from respire.recipe.presets import PRESETS
from respire.recipe.recipe import Recipe


def small(preset: str) -> Recipe:
    recipe = PRESETS[preset]()
    return replace(
        recipe,
        model=replace(recipe.model, backbone="shufflenet_v2_x0_5", weights="none"),
        optimisation=replace(recipe.optimisation, batch_size=8),
    )


@pytest.mark.parametrize("preset", ["paper", "scratch"])
def test_a_step_sends_nothing_to_the_device_and_waits_for_nothing(preset: str) -> None:
    assert traffic_of_steps(small(preset), (1, 2)) == {COPIES: 0.0, WAITS: 0.0}


def test_what_a_batch_would_draw_by_itself_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = Pipeline.draw

    def each_by_itself(pipeline, bank, chosen, keys):  # type: ignore[no-untyped-def]
        for step in zip(chosen.split(1), keys.split(1), strict=True):
            yield from draw(pipeline, bank, *step)

    monkeypatch.setattr(Pipeline, "draw", each_by_itself)
    assert traffic_of_steps(small("transfer"), (1, 2))[COPIES] > 20


def test_copies_and_waits_are_counted_each_once() -> None:
    here, there = torch.ones(3), torch.empty(3, device="meta")
    with Traffic(7) as traffic:
        there.copy_(here)
        here.to("meta")
        assert traffic.counts == {COPIES: 2}
        assert there.sum().item() == 7
        assert there.cpu().tolist() == [0, 0, 0]
        assert len(there[there > 0]) == 3
        assert traffic.counts == {COPIES: 2, WAITS: 3}
        here.clone()
        there.clone()
        here.sum().item()
        there + torch.tensor(1.0)  # numbers go with the call
    assert traffic.counts == {COPIES: 2, WAITS: 3}


def test_what_mixes_host_and_device_is_refused() -> None:
    here, there = torch.ones(3), torch.empty(3, device="meta")
    with Traffic(), pytest.raises(AssertionError, match="mixes"):
        there.index_select(0, here.long())


def test_a_loop_that_mixes_them_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    images = Pipeline.drawn_images
    monkeypatch.setattr(Pipeline, "drawn_images", lambda *given: torch.zeros(images(*given).shape))
    with pytest.raises(AssertionError, match="mixes"):
        traffic_of_steps(small("scratch"), (1, 2))
