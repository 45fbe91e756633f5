"""What does a run need on 100, 1,000 or 10,000 hours of recordings, and what gives out first?

A model on paper: counts, bytes and seconds grow in proportion to the hours, at rates that were
measured. Without --measure nothing is run, and the rates are those of a results.json. With it they
are measured on the recordings that --data names, the model is held against synthetic corpora of
three sizes, and all that reads no audio is run on catalogues of as many hours as --hours says.
GPU times follow from --windows-per-s or --peak-tflops alone: none has been measured. Options of
splits, tracking and workers play no part here.
"""

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from respire.command.command import Options, command

MEASURED = Path(__file__).parent / "results" / "scale" / "icbhi" / "results.json"


@dataclass(frozen=True)
class ScaleOptions(Options):
    """What every experiment can be told, and which machines and recordings to reckon with."""

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
    measured: Path = field(default=MEASURED)
    """results.json with the rates: of this experiment, or of experiments/benchmark.py."""
    measure: tyro.conf.FlagCreatePairsOff[bool] = False
    """Measure the rates and check the model on this machine; needs --data DIR and Linux."""


def main(options: ScaleOptions) -> None:
    """Reckon, or measure first, and print the report's conclusion."""
    from respire.benchmark.scale.needs import Machines
    from respire.benchmark.scale.run import reckon

    machines = Machines(
        cores=options.cores,
        gpu_gib=options.gpu_gib,
        host_gib=options.host_gib,
        driver_gib=options.driver_gib,
        windows_per_s=options.windows_per_s,
        peak_tflops=options.peak_tflops,
        utilisation=options.utilisation,
    )
    measured = None if options.measure else options.measured
    print(reckon(options, options.hours, options.gpus, machines, measured, MEASURED))


if __name__ == "__main__":
    command(ScaleOptions, main, __doc__)
