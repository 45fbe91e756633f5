"""Which runs may be trained at once."""

from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from respire.study.one_run import Run, rounds


@given(st.lists(st.integers(0, 4), max_size=20))
def test_runs_of_one_stage_1_come_one_after_the_other_and_none_is_lost(keys: list[int]) -> None:
    """Two at once would train it twice, in one folder."""
    of = {f"run {number}": key for number, key in enumerate(keys)}
    runs = {
        name: Run(name, cast(Any, SimpleNamespace(stage1=SimpleNamespace(key=str(key)))), False)
        for name, key in of.items()
    }
    parts = rounds(runs)
    assert sorted(name for part in parts for name in part) == sorted(of)
    assert all(len({of[name] for name in part}) == len(part) for part in parts)
    assert len(parts) == max(map(keys.count, keys), default=0)
