"""What ``import respire`` offers, and ``python -m respire``."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import respire
from respire.__main__ import COMMANDS
from respire.evaluation.assess import values

SCRIPTS = Path(respire.__file__).parents[1] / "experiments"


def test_the_face_imports_nothing_until_it_is_asked() -> None:
    code = "import sys, respire; print(*sorted(m for m in sys.modules if m.startswith('respire')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["respire"]


@pytest.mark.parametrize("name", respire.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    shown = getattr(respire, name)
    assert name == "__version__" or (shown.__name__ == name and shown.__doc__)


def test_another_name_is_not() -> None:
    with pytest.raises(AttributeError, match="'tain'"):
        respire.tain  # noqa: B018


def test_there_is_a_command_for_every_script() -> None:
    scripts = {script.stem for script in SCRIPTS.glob("*.py")}
    assert COMMANDS.keys() == scripts | {"import", "predict"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 0, "seed-variance"),
        (["fulll"], 2, "seed-variance"),
        (["predict", "--help"], 0, "--annotations"),
        (["completion", "bash"], 0, "--recipe.optimisation.epochs"),
        (["scale", "--help"], 0, "--gpu-gib"),
        (["seed-variance", "--splits", "0"], 2, "--splits 0: must be at least 1"),
    ],
    ids=["none", "unknown", "predict", "completion", "help", "bad input"],
)
def test_commands_are_found_by_their_names(arguments: list[str], code: int, said: str) -> None:
    command = [sys.executable, "-m", "respire", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code
    assert said in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_a_study_is_opened_trained_and_found_again_from_python(
    corpus: Path, tmp_path: Path
) -> None:
    recipe = respire.load_recipe("small")
    recipe = replace(
        recipe,
        features=replace(recipe.features, n_mels=16, n_fft=1024, hop=512),
        optimisation=replace(recipe.optimisation, epochs=1),
    )
    cut = respire.Cut("80-20", split_seed=0, inner_seed=0)
    place = respire.Place(str(corpus), str(tmp_path / "runs"), tracking=None, gpu="none")
    with respire.open_study(recipe, cut, seed=0, place=place) as study:
        run = respire.train(study)
        predictions = run.predictions()
        assert not study.stamps
        scored = {measure.name: measure.value for measure in run.measures()}
        assert scored == values(predictions, 4)
        assert set(predictions["recording"]) == set(study.split.test)
        assert np.allclose(predictions.filter(like="p_").sum(axis=1), 1, atol=1e-4)
        written = run.home / "predictions.parquet"
        first = written.read_table()
        written.delete()
        assert not run.finished
        respire.train(study)
        assert written.read_table().equals(first)
    assert len(run.fit().history) == 1
    assert not list(tmp_path.glob("**/*.db"))
