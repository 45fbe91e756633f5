"""A second node: what it is worth, and where the rest of its time goes."""

from pathlib import Path

import pytest
from pinned_nodes import NODES, bindable, seconds_of_epochs

from respire.recipe.presets import small
from respire.runtime.storage import Storage


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(len(bindable()) < NODES, reason="needs two cores to bind a node to each")
def test_a_second_node_shortens_an_epoch_by_what_computing_and_exchange_leave(tmp_path: Path):
    measured = seconds_of_epochs(small(), Storage(f"file://{tmp_path}"), epochs=2)
    one, two, apart = map(min, (measured.one, measured.two, measured.apart))
    assert two < 0.9 * one  # idle: 0.72 of it
    assert two > 0.9 * apart
    assert two < 2 * (apart + measured.exchange)  # idle: 0.96 of it, the rest being noise
