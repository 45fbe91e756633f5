"""The report on scale: what is needed, and which limit comes first."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from respire.benchmark.scale.needs import GIB, OBJECT_STORE_SHARE
from respire.features.bank import GPU_SHARE
from respire.report.page import Page, Picture, Section
from respire.report.style import COLOURS, drawing
from respire.report.table import Table

Part = Mapping[str, Any]

NEEDED = {
    "recordings": "recordings",
    "cycles": "cycles",
    "patients": "patients",
    "file_bytes": "audio files",
    "parquet_bytes": "cycles as Parquet",
    "blocks": "Ray Data blocks, a task each",
    "catalogue_s": "finding and checking files, one process",
    "fingerprint_s": "hashing audio, one process",
    "prepare_s": "preparing, all cores",
    "read_s": "reading Parquet on the driver, one core",
    "catalogue_bytes": "catalogue, in the driver's memory",
    "train_bank_bytes": "training bank of a worker",
    "train_tables_bytes": "its tables, in host memory",
    "selector_bank_bytes": "selector, whole on every worker",
    "selector_tables_bytes": "its tables, in host memory",
    "test_bank_bytes": "test bank, on one worker",
    "index_bytes": "gather indices of a batch",
    "plan_bytes": "plan of an epoch",
    "worker_bytes": "memory of a worker, peak",
    "driver_bytes": "memory of the driver, peak",
    "object_store_bytes": "rows in the object store",
    "checkpoint_bytes": "a checkpoint",
    "steps_an_epoch": "steps an epoch",
    "epoch_s": "an epoch, at the rate that was given",
    "training_s": "stage 1, at the rate that was given",
    "epoch_bound_s": "an epoch, bound",
    "training_bound_s": "stage 1, bound",
}
"""Rows of the table of needs, as ``scale.needs`` names them."""
CURVES = {
    "train_bank_bytes": "training bank of a worker",
    "selector_bank_bytes": "selector, on every worker",
    "object_store_bytes": "rows in the object store",
    "driver_bytes": "driver's memory",
    "worker_bytes": "worker's memory",
}


def report(results: Part) -> Page:
    """The report of a results.json of experiments/scale.py."""
    sections = [
        Section("What is needed", [_machines(results), *needed(results["runs"])]),
        Section(
            "Limits",
            [limits(results["runs"])],
            [Picture("memory", "Memory by hours of recordings.", memory(results))],
        ),
    ]
    return Page(
        results,
        f"recipe {results['recipe']['preset']} · {results['rates']['source']}",
        _lead(results),
        "Sizes follow from what was measured. GPU times are bounds or rates that were given: "
        "nothing here was run on a GPU.",
        sections,
    )


def needed(runs: Sequence[Part]) -> Iterator[Table]:
    """What is needed, a column for each number of hours; of later runs, what differs."""
    shown: Part = {}
    for run in runs:
        sizes = run["sizes"]
        cells = {
            key: tuple(amount(key, size["needs"][key]) for size in sizes)
            for key in NEEDED
            if sizes[-1]["needs"][key] is not None
        }
        yield Table(
            f"Needed with {_workers(run)}{', where that differs' if shown else ''}",
            ("", *(f"{size['hours']:,g} h" for size in sizes)),
            tuple(
                (NEEDED[key], *values) for key, values in cells.items() if values != shown.get(key)
            ),
            note="A bound takes the stated peak and utilisation for granted: less time is "
            "impossible, more is likely.",
        )
        shown = shown or cells


def limits(runs: Sequence[Part]) -> Table:
    """Hours at which each limit is reached, a column for each number of workers."""
    by_name = [{limit["name"]: limit for limit in run["limits"]} for run in runs]
    return Table(
        "Hours of recordings at which it is full",
        ("Limit", "Then", "Remedy", "Room", *map(_workers, runs)),
        tuple(
            (
                limit["name"],
                "the run ends" if limit["fatal"] else "it is slower",
                limit["remedy"],
                _room(limit),
                *(_full(limits[limit["name"]]["hours"]) for limits in by_name),
            )
            for limit in runs[0]["limits"]
        ),
        text_columns=3,
        note=f"A bank may take {GPU_SHARE:g} of the GPU's free memory, here all of it is. Ray's "
        f"object store takes {OBJECT_STORE_SHARE:g} of a node's.",
    )


def memory(results: Part) -> Figure:
    """Bytes by hours, a panel for each number of workers, and what there is."""
    runs, machines = results["runs"], results["machines"]
    driver, worker = machines["driver_gib"], machines["host_gib"]
    bank = GPU_SHARE * machines["gpu_gib"]
    rooms = (
        (driver, "-", f"driver, {driver:g} GiB"),
        (worker, "--", f"worker, {worker:g} GiB"),
        (bank, ":", f"GPU's part for a bank, {bank:g} GiB"),
    )
    inches, otherwise = (3.6 * len(runs) + 1, 4.6), {"axes.grid.axis": "both"}
    with drawing("Memory by hours of recordings", inches, otherwise=otherwise) as figure:
        axes = figure.subplots(1, len(runs), sharey=True, squeeze=False)[0]
        for axis, run in zip(axes, runs, strict=True):
            hours = [size["hours"] for size in run["sizes"]]
            for (key, name), colour in zip(CURVES.items(), COLOURS, strict=False):
                sizes = [size["needs"][key] / GIB for size in run["sizes"]]
                mark = "s--" if key == "worker_bytes" else "o-"  # it lies on the driver's
                axis.loglog(hours, sizes, mark, color=colour, label=name)
            for gib, style, name in rooms:
                axis.axhline(gib, color="#666666", lw=1, ls=style, label=name)
            axis.set_title(_workers(run))
            axis.set_xlabel("Hours of recordings")
        axes[0].set_ylabel("GiB")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def amount(key: str, value: float) -> str:
    """A need as text, in the unit that its name ends in."""
    if key.endswith("_bytes"):
        units, least = {"TiB": 2**40, "GiB": GIB, "MiB": 2**20, "KiB": 2**10}, 1
    elif key.endswith("_s"):
        units, least = {"d": 86400, "h": 3600, "min": 60, "s": 1}, 2
    else:
        return f"{value:,.0f}"
    unit = next((unit for unit, size in units.items() if value >= least * size), list(units)[-1])
    return f"{value / units[unit]:,.1f} {unit}"


def _lead(results: Part) -> str:
    parts = []
    for run in results["runs"]:
        first = next(limit for limit in run["limits"] if limit["fatal"])
        at = f"at {first['hours']:,.0f} h" if first["hours"] else "at once"
        parts.append(f"with {_workers(run)} {at} ({first['name']})")
    return f"What ends a run first: {'; '.join(parts)}."


def _machines(results: Part) -> Table:
    said = results["machines"]
    rate, peak = (
        "not given" if said[name] is None else f"{said[name]:g}"
        for name in ("windows_per_s", "peak_tflops")
    )
    given = {
        "cores that prepare": f"{said['cores']}",
        "memory of a worker's GPU": f"{said['gpu_gib']:g} GiB",
        "memory of a worker": f"{said['host_gib']:g} GiB",
        "memory of the driver": f"{said['driver_gib']:g} GiB",
        "windows a second of a worker": rate,
        "peak of a worker (TFLOP/s)": peak,
        "utilisation of that peak": f"{said['utilisation']:.0%}",
        "training on a window (GFLOP)": f"{results['flops'] / 1e9:.1f}",
        "bank": results["recipe"]["optimisation"]["bank"],
    }
    note = "Assumptions of whoever asked, but for the FLOP, which are counted, and the recipe's."
    return Table("What was said", ("", "Value"), tuple(given.items()), 2, note)


def _full(hours: float | None) -> str:
    return "never" if hours is None else f"{hours:,.0f}" if hours else "at once"


def _workers(run: Part) -> str:
    return "1 worker" if run["workers"] == 1 else f"{run['workers']} workers"


def _room(limit: Part) -> str:
    if limit["unit"] == "bytes":
        return f"{limit['room'] / GIB:,.1f} GiB"
    return f"{limit['room']:,} {limit['unit']}"
