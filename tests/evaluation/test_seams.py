"""Joined normal cycles: which are joined, and that what is heard is what is joined."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from cycle_rows import cycles_table
from tiny_fit import CPU, RECIPE

from respire.evaluation import seams
from respire.evaluation.seams import ALONE, ANY, DEVICE, PARTNERS, RECORDING, hear_seams
from respire.features.concatenate import Lead
from respire.models.network import Learnt, respirenet

DEVICES = ["Meditron", "AKGC417L"] * 10
TABLE = cycles_table([[2000, 1500, 1000, 1200]] * 20, [[0, 1, 0, 0]] * 19 + [[0, 1, 2, 3]], DEVICES)


@pytest.fixture(scope="module")
def heard() -> tuple[pd.DataFrame, list[Lead]]:
    """What is heard, and of what."""
    torch.manual_seed(0)
    learnt = Learnt(respirenet(RECIPE.model, 4).state_dict(), torch.tensor([4, 3, 2, 1]))
    leads: list[Any] = []
    plain = seams.predict_logits

    def noting(*given: Any) -> torch.Tensor:
        leads.append(given[-1])
        return plain(*given)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(seams, "predict_logits", noting)
        return hear_seams(RECIPE, TABLE, learnt, CPU, seed=3), leads


def test_the_same_normal_cycles_are_heard_with_every_partner(heard) -> None:
    rows, _ = heard
    assert tuple(rows["partner"].unique()) == PARTNERS
    assert (rows["label"] == 0).all()
    cycles = [of[["recording", "cycle"]].to_numpy().tolist() for _, of in rows.groupby("partner")]
    assert cycles == [cycles[0]] * len(PARTNERS)
    # The last recording has no second normal cycle.
    assert len(cycles[0]) == 19 * 3


def test_where_no_recording_has_two_normal_cycles_nothing_is_heard() -> None:
    alone = cycles_table([[2000, 1500]] * 3, [[0, 1], [0, 2], [1, 3]], DEVICES[:3])
    learnt = Learnt(respirenet(RECIPE.model, 4).state_dict(), torch.tensor([4, 3, 2, 1]))
    assert hear_seams(RECIPE, alone, learnt, CPU, seed=3).empty


def test_partners_are_other_normal_cycles_of_the_same_recording_device_or_any(heard) -> None:
    _, leads = heard
    recording = np.repeat(np.arange(20), 4)
    normal = np.array([0, 1, 0, 0] * 19 + [0, 1, 2, 3]) == 0
    by_partner = dict(zip(PARTNERS, leads, strict=True))
    assert (by_partner[ALONE].second == -1).all()
    for partner, same in ((RECORDING, recording), (DEVICE, recording % 2), (ANY, recording * 0)):
        first, second = (part.numpy() for part in vars(by_partner[partner]).values())
        assert normal[first].all()
        assert normal[second].all()
        assert (first != second).all()
        assert (same[first] == same[second]).all()
    apart = by_partner[ANY]
    assert (recording[apart.first] != recording[apart.second]).mean() > 0.5


def test_a_seam_is_heard_and_alone_is_as_in_testing(heard) -> None:
    rows, _ = heard
    alone, joined = (rows[rows["partner"] == name].filter(like="log_p_") for name in (ALONE, ANY))
    assert not np.allclose(alone, joined)
    from respire.evaluation.evaluate import predict_stages

    torch.manual_seed(0)
    learnt = Learnt(respirenet(RECIPE.model, 4).state_dict(), torch.tensor([4, 3, 2, 1]))
    tested = predict_stages(RECIPE, TABLE, learnt, {}, CPU)["stage1"]
    ours = rows[rows["partner"] == ALONE].merge(tested, on=["recording", "cycle"])
    assert len(ours) == 19 * 3
    for name in ("normal", "crackle", "wheeze", "both"):
        np.testing.assert_allclose(ours[f"log_p_{name}_x"], ours[f"log_p_{name}_y"], atol=1e-5)
