"""The core stands alone: it trains without Ray, MLflow, tyro, Optuna and soundfile."""

import os
import subprocess
import sys
from pathlib import Path

BLOCKED = ("ray", "mlflow", "tyro", "optuna", "soundfile")
HELP = Path(__file__).parents[1] / "help"
ALONE = f"""
import sys
from importlib import import_module
from importlib.abc import MetaPathFinder
from pathlib import Path


class Blocked(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {BLOCKED}:
            raise ModuleNotFoundError(f"{{name}} is not there")


sys.meta_path.insert(0, Blocked())
import respire

for room in ("recipe", "statistics", "data/splits", "features", "models", "evaluation"):
    for file in sorted((Path(respire.__file__).parent / room).glob("*.py")):
        import_module(f"respire.{{room}}.{{file.stem}}".replace("/", "."))

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
print("trained", *sorted({{name.split(".")[0] for name in sys.modules}} & set({BLOCKED})))
"""


def test_the_core_trains_an_epoch_where_ray_mlflow_tyro_optuna_and_soundfile_are_not() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE],
        env=os.environ | {"PYTHONPATH": os.pathsep.join((*sys.path, str(HELP)))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["trained"]
