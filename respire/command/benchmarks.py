"""The commands that measure respire itself: their options, and what they are handed down as."""

import dataclasses
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from respire.command.main import asked_with
from respire.command.options import (
    RECIPES,
    DataOptions,
    StoredOptions,
    data_from_environment,
    gpu_from_environment,
)
from respire.recipe.presets import scratch
from respire.recipe.recipe import Recipe
from respire.runtime.choices import Gpu

RATES = Path(__file__).parents[2] / "experiments" / "results" / "scale" / "icbhi" / "results.json"
"""Rates of the real recordings, as they were measured once."""

Part = Literal["input", "step", "ray", "scaling", "recordings"]


@dataclass(frozen=True)
class BenchmarkOptions(DataOptions):
    """What to measure, and on which processor."""

    data: str | None = field(default_factory=data_from_environment)
    """Recordings whose preparation is measured too, as elsewhere; none are downloaded."""
    preset: Annotated[str, tyro.conf.arg(name="recipe", metavar=RECIPES)] = "scratch"
    """Recipe to start from; any field of it can be overridden below."""
    recipe: Recipe = field(default_factory=scratch)
    """The recipe's fields."""
    gpu: Gpu = field(default_factory=gpu_from_environment)
    """auto: a GPU where there is one; none; required."""
    parts: tuple[Part, ...] = ("input", "step", "ray", "scaling", "recordings")
    """What to measure; "input" and "step" need no Ray, "recordings" needs --data DIR."""
    sizes: tuple[int, ...] | None = None
    """How many times the spectrogram is enlarged where the step is measured; left out, as the
    recipe says."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_counts("sizes")


@asked_with(BenchmarkOptions)
def benchmark(options: BenchmarkOptions) -> str:
    """``experiments/benchmark.py``."""
    # Before torch is imported: threads that spin for long while they wait slow each other down
    # on cores that others use too (runtime/session.py).
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    from respire.benchmark.run import measure
    from respire.study.place import Place

    place = Place(options.data, options.storage, skip_bad=options.skip_bad, gpu=options.gpu)
    told = (options.recipe, place, options.parts, options.sizes)
    return measure(*told, quick=options.quick, name=options.name)


@dataclass(frozen=True)
class ScaleOptions(StoredOptions):
    """Which machines and recordings to reckon with."""

    hours: tuple[float, ...] = (5.5, 100.0, 1000.0, 10000.0)
    """Hours of recordings; ICBHI 2017 has 5.5."""
    gpus: tuple[int, ...] = (1, 8, 64)
    """Numbers of training workers, a GPU each."""
    cores: int = 2
    """Cores that prepare recordings, all nodes together."""
    gpu_gib: float = 80.0
    """Memory of a worker's GPU."""
    host_gib: float = 64.0
    """Memory of a node that is a worker's share."""
    driver_gib: float = 64.0
    """Memory of the driver's node."""
    windows_per_s: float | None = None
    """Training windows a second of one worker, where you measured it (experiments/benchmark.py)."""
    peak_tflops: float | None = None
    """TFLOP/s of a worker's GPU by its data sheet; gives a time that cannot be beaten."""
    utilisation: float = 1.0
    """Of that peak, what you assume to be reached."""
    measured: Path = RATES
    """results.json with the rates: of this experiment, or of experiments/benchmark.py."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_counts("gpus", "cores")
        amounts = ("hours", "gpu_gib", "host_gib", "driver_gib", "windows_per_s", "peak_tflops")
        said = "must be above 0 and finite"
        self.check((*amounts, "utilisation"), lambda of: of > 0 and math.isfinite(of), said)


@asked_with(ScaleOptions)
def scale(options: ScaleOptions) -> str:
    """``experiments/scale.py``."""
    from respire.benchmark.scale.needs import Machines
    from respire.benchmark.scale.run import reckon
    from respire.runtime.storage import Storage

    told = {f.name: getattr(options, f.name) for f in dataclasses.fields(Machines)[1:]}
    asked = (options.recipe, options.hours, options.gpus, Machines(**told), options.measured)
    return reckon(*asked, RATES, Storage.at(options.storage), options.name)
