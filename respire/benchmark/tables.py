"""The benchmark's tables: results.json in, rows of text out."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from respire.benchmark.input_path import ALL, NONE, PER_SAMPLE
from respire.report.table import Table

Part = Mapping[str, Any]
Columns = dict[str, Callable[[Part], str]]
"""Names of columns, and what each makes of a row's numbers."""

RATE: Columns = {
    "Median": lambda rate: f"{rate['per_s']:,.0f}",
    "Best": lambda rate: f"{rate['best_per_s']:,.0f}",
}
COUNT: Columns = {"n": lambda rate: f"{rate['units']:,} × {rate['repeats']}"}
PREPARING: Columns = {
    "Cycles": lambda row: f"{row['cycles']:,}",
    "Recordings": lambda row: f"{row['recordings']:,}",
    "Audio (h)": lambda row: f"{row['audio_s'] / 3600:.2f}",
    "Preparing (s)": lambda row: f"{row['prepare_s']:.1f}",
    "Before (MiB)": lambda row: f"{row['at_rest_mib']:,.0f}",
    "Peak (MiB)": lambda row: f"{row['prepare_peak_memory_mib']:,.0f}",
}
"""Columns of what ``preparation.describe`` says."""
MEMORY = "MiB: all processes together, Ray's included, before preparing and at its peak."


def machine(results: Part) -> Table:
    """What was measured, and on what."""
    facts = {
        "recipe": results["recipe"]["preset"],
        **results["environment"],
        **{f"{part} (s)": f"{took:.0f}" for part, took in results["seconds"].items()},
    }
    return Table(
        "Machine",
        ("", "Value"),
        tuple((name, str(value)) for name, value in facts.items()),
        text_columns=2,
        note="Seconds: of measuring each part. What is compared ran in turns in one process.",
    )


def paths(part: Part) -> Table:
    """The whole input path, and what others do instead."""
    floor = part["floor"]
    rows = {
        name: rate | {"times": part["times_per_sample"].get(name)}
        for name, rate in part["paths"].items()
    }
    speeds = (f"{times:.2f} times that of {of}" for of, times in part["all_techniques_of"].items())
    return _table(
        f"Input path: windows a second, {_size(part)} images",
        rows,
        RATE | {"Times per sample": lambda row: _number(row["times"])} | COUNT,
        note=f"n: windows in each repeat × repeats, batches of {part['batch']}. The speed of {ALL} "
        f"is {' and '.join(speeds)}. {PER_SAMPLE}: NumPy, SciPy and librosa in "
        f"{part['per_sample_workers']} worker processes (respire/benchmark/per_sample.py). {NONE}: "
        f"repeated cycles, no CBA, effects or clipping. A window moves at least "
        f"{floor['bytes_a_window']:,} bytes; copied at "
        f"{floor['copied_bytes_per_s'] / 1e9:,.1f} GB/s that is {floor['per_s']:,.0f} windows/s, "
        f"of which {ALL} reaches {floor['reached']:.1%}. Peak memory: "
        f"{part['peak_memory_mib']:,.0f} MiB, {_number(part['gpu_peak_mib'], ',.0f')} of the "
        f"GPU's.",
    )


def stages(part: Part) -> Table:
    """The parts of the path, with all techniques."""
    total = sum(rate["seconds_median"] for rate in part["stages"].values())
    return _table(
        "Input path by stage",
        part["stages"],
        {
            "Windows a second": RATE["Median"],
            "µs a window": lambda rate: f"{1e6 / rate['per_s']:,.1f}",
            "Share (%)": lambda rate: f"{100 * rate['seconds_median'] / total:.1f}",
        }
        | COUNT,
        note="Clocks around the parts of the path as it runs; on a GPU each part is waited for, so "
        "that together they take longer than the path.",
    )


def effects(part: Part) -> Table:
    """The path with each effect on every window."""
    return _table(
        "Input path by effect",
        {
            "none" if name == NONE else name.replace("_", " "): rate
            for name, rate in part["effects"].items()
        },
        {
            "Windows a second": RATE["Median"],
            "Times without": lambda rate: _number(rate["of_no_effect"]),
        }
        | COUNT,
        note="The whole path; a recipe applies an effect to some windows only.",
    )


def steps(sizes: Iterable[Part]) -> Table:
    """The train step with and without the input path, at each image size."""
    rows = [
        (_size(part), name, *(cell(rate) for cell in (RATE | COUNT).values()))
        for part in sizes
        for name, rate in part["rates"].items()
    ]
    return Table(
        "Training: samples a second",
        ("Image", "", *RATE, *COUNT),
        tuple(rows),
        text_columns=2,
        note="n: samples in each repeat × repeats.",
    )


def costs(sizes: Iterable[Part]) -> Table:
    """What a sample of each image size costs, and how much of the machine is reached."""
    return _table(
        "Training: cost by image size",
        {_size(part): part | part["floor"] for part in sizes},
        {
            "Batch": lambda part: f"{part['batch']}",
            "Loop of step": lambda part: f"{part['loop_of_step']:.3f}",
            "Input of step (%)": lambda part: f"{100 * part['input_share_of_step']:.1f}",
            "GFLOP": lambda part: f"{part['flops_a_sample'] / 1e9:.2f}",
            "TFLOP/s": lambda part: f"{part['matmul_flops_per_s'] / 1e12:.2f}",
            "Floor": lambda part: f"{part['per_s']:,.1f}",
            "Reached (%)": lambda part: f"{100 * part['reached']:.1f}",
            "MiB": lambda part: f"{part['peak_memory_mib']:,.0f}",
            "GPU MiB": lambda part: _number(part["gpu_peak_mib"], ",.0f"),
        },
        note="Loop of step: speed of the whole loop by that of the step alone. Input of step: time "
        "of the input path by that of the step. GFLOP: of a sample. TFLOP/s: of a large matrix "
        "product. Floor: the samples a second which that allows, and how much of it the step "
        "reaches. MiB: peak memory.",
    )


def ways(part: Part) -> Table:
    """Epochs through plain fit() and Ray Train."""
    missing = [name for name, way in part["ways"].items() if way is None]
    lacking = f" No room here for: {', '.join(missing)}." if missing else ""
    return _table(
        "Training on Ray: seconds",
        {name: way for name, way in part["ways"].items() if way is not None},
        {
            "Epoch, median": lambda way: f"{way['epoch_s_median']:.2f}",
            "Epoch, fastest": lambda way: f"{way['epoch_s_minimum']:.2f}",
            "Times plain": lambda way: _number(way["of_plain"]),
            "Start": lambda way: _number(way.get("start_s"), ".1f"),
            "End": lambda way: _number(way.get("end_s"), ".1f"),
            "MiB": lambda way: _number(way.get("peak_memory_mib"), ",.0f"),
            "n": lambda way: str(len(way["epoch_s"])),
        },
        note=f"n: epochs, the first not counted; {part['train_cycles']:,} training and "
        f"{part['validation_cycles']:,} validation cycles. Start: until the first epoch begins. "
        f"End: after the last epoch. Ray itself took {part['ray_start_s']:.1f} s to start. MiB: "
        f"peak of all processes.{lacking}",
    )


def sizes(part: Part) -> Table:
    """Seconds and memory by size of the corpus."""
    slopes = part["slopes"]
    return _table(
        "Scaling",
        {f"{row['times']} times": row for row in part["sizes"]},
        PREPARING
        | {
            "Epoch (s)": lambda row: f"{row['epoch_s']:.2f}",
            "Cycles a second": lambda row: f"{row['cycles'] / row['epoch_s']:,.0f}",
            "Epoch's peak (MiB)": lambda row: f"{row['epoch_peak_memory_mib']:,.0f}",
        },
        note="Synthetic recordings. Epochs of a network that costs next to nothing: the input path "
        f"is what is left. Times grow with the cycles to the power of {slopes['prepare_s']:.2f} "
        f"(preparing) and {slopes['epoch_s']:.2f} (epoch). {MEMORY}",
    )


def recordings(part: Part) -> Table:
    """Preparation of the recordings that were given."""
    return _table(
        "Preparing the given recordings",
        {"given": part},
        PREPARING | {"Checking (s)": lambda row: f"{row['catalogue_s']:.1f}"},
        note=f"Checking: headers and annotations of all files, before. {MEMORY}",
    )


def _table(title: str, rows: Mapping[str, Part], columns: Columns, note: str) -> Table:
    cells = ((name, *(cell(row) for cell in columns.values())) for name, row in rows.items())
    return Table(title, ("", *columns), tuple(cells), note=note)


def _size(part: Part) -> str:
    return "{}×{}".format(*part["image"])


def _number(value: float | None, style: str = ".2f") -> str:
    return "–" if value is None else f"{value:{style}}"
