"""Whatever trains a recipe that breaks a rule says so, everywhere that its results are read."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from commands import parent_and_children

from respire.data.splits.split import Cut
from respire.errors import InputError
from respire.experiments.attention_maps.run import attention_maps
from respire.experiments.full.run import full
from respire.experiments.paper_tables.run import run_table
from respire.experiments.paper_tables.window_length import question
from respire.experiments.search.run import search
from respire.experiments.search.summary import SearchPlan
from respire.experiments.seed_variance.run import seed_variance
from respire.recipe.presets import quick
from respire.recipe.recipe import Recipe
from respire.study.grid import Extent
from respire.study.place import Place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

STAMPS = ("selected on test", "test labels shaped the padding of test cycles")
IMAGE = {"n_mels": 64, "upsample": 2, "n_fft": 2048, "hop": 1024, "window_seconds": 3.0}
"""The least of which attention maps can be drawn."""
ONE = Extent(splits=1, seeds=(0,))


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """It breaks both rules, and trains for seconds."""
    shape = quick()
    return replace(
        shape,
        selection="test",
        features=replace(shape.features, evaluation_padding="smart", **IMAGE),
        optimisation=replace(shape.optimisation, epochs=1, precision="fp32"),
        finetune=replace(shape.finetune, epochs=1, unselected_epochs=1),
    )


@pytest.fixture(scope="module")
def place(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """One storage: what one question has trained, the others find."""
    folder = tmp_path_factory.mktemp("stamps")
    tracking = f"sqlite:///{folder}/mlflow.db"
    return Place(str(corpus), str(folder / "runs"), tracking, gpu="none")


def whole(recipe: Recipe, place: Place) -> str:
    return full(recipe, Cut(), [0], place, "stamped")


def spread(recipe: Recipe, place: Place) -> str:
    return seed_variance({"stamped": recipe}, Cut(), ONE, place, "stamped")


def maps(recipe: Recipe, place: Place) -> str:
    return attention_maps(recipe, Cut(), ONE, place, "stamped")


def paper_table(recipe: Recipe, place: Place) -> str:
    return run_table("window_length", question(recipe, Cut(), (2.0,)), None, ONE, place, "stamped")


@pytest.mark.parametrize(
    ("experiment", "run"),
    [
        ("full", whole),
        ("seed_variance", spread),
        ("attention_maps", maps),
        ("window_length", paper_table),
    ],
)
@pytest.mark.usefixtures("ray_session")
def test_stamps_reach_results_mlflow_report_and_console(
    experiment: str, run: Callable[[Recipe, Place], str], recipe: Recipe, place: Place
) -> None:
    shown = run(recipe, place)
    folder = Path(place.storage) / experiment / "stamped"
    assert json.loads((folder / "results.json").read_text())["stamps"] == list(STAMPS)
    parent, _ = parent_and_children(experiment, folder.parents[2])
    note = parent.data.tags["mlflow.note.content"]
    for stamp in STAMPS:
        assert stamp in parent.data.tags["respire.stamps"]
        assert f"**{stamp.upper()}**" in note
        assert f"**{stamp.upper()}**" in shown
        assert f"**{stamp.upper()}**" in (folder / "report.md").read_text()
        assert f'<strong class="stamp">{stamp}</strong>' in (folder / "report.html").read_text()


def test_a_search_refuses_what_would_be_stamped(recipe: Recipe, place: Place) -> None:
    with pytest.raises(InputError, match="selected on test"):
        search(recipe, Cut(), 0, SearchPlan(1, 1, (0,)), place, "stamped")
    assert not (Path(place.storage) / "search").exists()
