"""How fast and how large is every part of respire on this machine, and what could the machine do?

Measures the input path (by stage, by effect, and beside a loader that works sample by sample), the
train step, Ray's own cost, how seconds and memory grow with the cycles, and the preparation of the
recordings that --data names. Let the machine do nothing else meanwhile. Options of splits, tracking
and workers play no part here.
"""

import os
from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from respire.command.command import RECIPES, Options, command
from respire.recipe.presets import scratch
from respire.recipe.recipe import Recipe

Part = Literal["input", "step", "ray", "scaling", "recordings", "nodes"]


@dataclass(frozen=True)
class BenchmarkOptions(Options):
    """What every experiment can be told, and what to measure."""

    data: str | None = field(default_factory=lambda: os.environ.get("RESPIRE_DATA"))
    """Recordings in ICBHI's layout whose preparation is measured too; none are downloaded."""
    preset: Annotated[str, tyro.conf.arg(name="recipe", metavar=RECIPES)] = "scratch"
    """Recipe to start from; any field of it can be overridden below."""
    recipe: Recipe = field(default_factory=scratch)
    """The recipe's fields."""
    parts: tuple[Part, ...] = ("input", "step", "ray", "scaling", "recordings")
    """What to measure; "input" and "step" need no Ray, "recordings" needs --data DIR, "nodes" (two
    on this machine, on CPU) is measured only where asked for."""


def main(options: BenchmarkOptions) -> None:
    """Measure, write results.json, report.md and figures, and print the tables."""
    # Before torch is imported: threads that spin for long while they wait slow each other down on
    # cores that others use too (runtime/session.py).
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    from per_sample import per_sample_loader  # beside this file

    from respire.benchmark.run import measure

    print(measure(options, options.parts, per_sample_loader))


if __name__ == "__main__":
    command(BenchmarkOptions, main, __doc__)
