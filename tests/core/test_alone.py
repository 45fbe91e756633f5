"""The core stands alone: of what the package depends on it needs PyTorch and the sciences' few."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

CORE = {
    *("torch", "torchvision", "numpy", "pandas", "pyarrow", "scipy", "scikit-learn"),
    "matplotlib",  # its colour map
    "threadpoolctl",  # scikit-learn's
}
PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
NEEDED = {re.match(r"[\w-]+", asked)[0] for asked in PROJECT["dependencies"]}
BLOCKED = tuple(sorted(name.replace("-", "_") for name in NEEDED - CORE))
"""Every other one, by the name that it is imported under: there it is the distribution's."""
HELP = Path(__file__).parents[1] / "help"
ALONE = f"""
import sys
from importlib import import_module
from pathlib import Path

sys.modules.update(dict.fromkeys({BLOCKED}))  # importing these fails, as where they are not
import respire

HOME = Path(respire.__file__).parent
rooms = ("statistics", "data/splits", "features", "models", "evaluation", "recipe")
others = ("data/rows", "data/mel", "data/spectral", "data/preprocess", "runtime/resources")
files = [file for room in rooms for file in sorted((HOME / room).glob("*.py"))]
for file in (*files, *(HOME / f"{{other}}.py" for other in others)):
    if file != HOME / "recipe/toml_file.py":  # reads and writes recipes that are files
        import_module(".".join(("respire", *file.relative_to(HOME).with_suffix("").parts)))

from dataclasses import replace

from cycle_rows import cycles_table
from tiny_fit import CPU, RECIPE

from respire.evaluation.decided import decided
from respire.evaluation.evaluate import predict_stages
from respire.features.bank import CycleBank
from respire.metrics import overall
from respire.models.network import initial_weights, network_of
from respire.training.checkpoint import Checkpoints
from respire.training.finetune import finetune
from respire.training.loop import fit

once = replace(RECIPE.optimisation, epochs=1)
recipe = replace(RECIPE, optimisation=once, finetune=replace(RECIPE.finetune, epochs=1))
lengths, labels = [[1500, 2000, 1200, 1800]] * 6, [[0, 1, 2, 3]] * 6
train, selector = (cycles_table(lengths, labels, seed=seed) for seed in (0, 1))
banks = [CycleBank.from_table(table, recipe.task) for table in (train, selector)]
network = network_of(recipe, initial_weights(recipe.model, recipe.task, 0))
run = fit(network, *banks, recipe, recipe.optimisation, CPU, seed=0)
tuned = finetune(run.learnt, *banks, recipe, CPU, learning_rate=1e-4, seed=0)
predictions = predict_stages(recipe, selector, run.learnt, {{"AKGC417L": tuned.fit.learnt}}, CPU)
for stage in predictions.values():
    assert overall(decided(stage), len(recipe.classes)).confusion.sum() == 24
assert len(run.history) == len(tuned.fit.history) == 1
print("trained", *(name for name in {BLOCKED} if sys.modules[name] is not None))
"""


def test_the_core_is_part_of_what_the_package_asks_for() -> None:
    assert CORE < NEEDED
    assert {"ray", "mlflow", "librosa", "soundfile", "soxr", "pydantic"} < set(BLOCKED)


def test_the_core_trains_an_epoch_where_no_other_dependency_is() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE],
        env=os.environ | {"PYTHONPATH": os.pathsep.join((*sys.path, str(HELP)))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["trained"]
