"""Which runs of a grid may be trained at once."""

from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from respire.study.grid import Coordinates, Extent, Grid


@given(st.lists(st.integers(0, 4), max_size=20))
def test_runs_of_one_stage_1_come_one_after_the_other_and_none_is_lost(keys: list[int]) -> None:
    """Two at once would train it twice, in one folder."""
    of = {Coordinates(f"variant {number}", 0, 0): key for number, key in enumerate(keys)}
    studies = {at: SimpleNamespace(stage1=SimpleNamespace(key=str(key))) for at, key in of.items()}
    experiment = SimpleNamespace(setting=SimpleNamespace(studies=studies))
    rounds = Grid(cast(Any, experiment), {}, Extent(1, (0,)))._rounds(list(of))
    assert sorted(at for cells in rounds for at in cells) == sorted(of)
    assert all(len({of[at] for at in cells}) == len(cells) for cells in rounds)
    assert len(rounds) == max(map(keys.count, keys), default=0)
