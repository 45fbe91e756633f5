"""One small run of experiments/full.py, that faults are compared with."""

import json
from pathlib import Path
from typing import Any

FULL, NAME, EPOCHS = "full.py", "small", 4
BACKBONE = "shufflenet_v2_x0_5"
IMAGE = (
    *("--recipe.features.n-mels", "16", "--recipe.features.n-fft", "1024"),
    *("--recipe.features.hop", "512"),
)
"""An eighth of the recipe's own image, and of its time."""
SMALL = (
    *("--recipe", "quick", "--name", NAME, "--recipe.optimisation.epochs", str(EPOCHS)),
    *("--recipe.selection", "validation"),
    *("--recipe.finetune.epochs", "1", "--recipe.finetune.unselected-epochs", "1"),
    *("--recipe.model.backbone", BACKBONE, *IMAGE),
)
"""A small network and few epochs on few patients, where only the mechanics matter."""


def results_in(folder: Path, name: str | None = None) -> dict[str, Any]:
    """What a run in a folder, the only one if it is not named, wrote."""
    (file,) = (folder / "runs" / "full").glob(f"{name or '*'}/results.json")
    return json.loads(file.read_text())


def numbers_in(folder: Path) -> dict[str, Any]:
    """The small run's results without what it took."""
    return numbers_of(results_in(folder, NAME))


def numbers_of(results: dict[str, Any]) -> dict[str, Any]:
    """Results without time and memory."""
    environment = {k: v for k, v in results["environment"].items() if not k.endswith("_mib")}
    left = {k: v for k, v in results.items() if k not in ("seconds", "peak_memory_mib")}
    return left | {"environment": environment}
