"""The benchmark's report, from results.json: of each part a sentence, its tables and a figure."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from respire.benchmark import figures
from respire.benchmark.input_path import ALL, NONE, PER_SAMPLE
from respire.benchmark.step import STEP
from respire.report import numbers
from respire.report.page import Page, Picture, Section
from respire.report.table import Table

Part = Mapping[str, Any]
Columns = dict[str, str]
"""Names of columns, and how each writes a row's numbers (``str.format``)."""

RATE: Columns = {"Median": "{per_s:,.0f}", "Best": "{best_per_s:,.0f}"}
MEDIAN: Columns = {"Windows a second": RATE["Median"]}
COUNT: Columns = {"n": "{units:,} × {repeats}"}
PREPARING: Columns = {
    "Cycles": "{cycles:,}",
    "Recordings": "{recordings:,}",
    "Audio (h)": "{audio_h:.2f}",
    "Preparing (s)": "{prepare_s:.1f}",
    "Before (MiB)": "{at_rest_mib:,.0f}",
    "Peak (MiB)": "{prepare_peak_memory_mib:,.0f}",
}
"""Columns of what ``growth.describe`` says."""
MEMORY = "MiB: all processes together, Ray's included, before preparing and at its peak."


def report(results: Part) -> Page:
    """A section for every part that was measured."""
    device = results["environment"]["device"]
    facts = {
        "recipe": results["recipe"]["preset"],
        **results["environment"],
        **{f"{part} (s)": f"{took:.0f}" for part, took in results["seconds"].items()},
    }
    machine = Table(
        "Machine",
        ("", "Value"),
        tuple((name, str(value)) for name, value in facts.items()),
        text_columns=2,
        note="Seconds: of measuring each part. What is compared ran in turns in one process.",
    )
    said, sections = [], [Section("Machine", [machine])]
    for part, (title, describe) in PARTS.items():
        if part in results:
            sentence, *tables = describe(results[part])
            said.append(sentence)
            sections.append(Section(title, tables))
            if part in DRAWN:
                name, caption, draw = DRAWN[part]
                sections[-1].figures.append(Picture(name, caption, draw(results[part], device)))
    return Page(
        results,
        f"recipe {results['recipe']['preset']} · {device} · respire {results['respire_version']}",
        " ".join(said),
        "Rates and ratios are of this machine as busy as it was; ratios, which take turns, feel "
        "that least.",
        sections,
    )


def _input(part: Part) -> tuple[str, Table, Table, Table]:
    paths, times, floor = part["paths"], part["times_per_sample"], part["floor"]
    speeds = (f"{speed:.2f} times that of {of}" for of, speed in part["all_techniques_of"].items())
    whole = _table(
        f"Input path: windows a second, {_size(part)} images",
        {name: rate | {"times": times.get(name)} for name, rate in paths.items()},
        RATE | {"Times per sample": "{times:.2f}"} | COUNT,
        note=f"n: windows in each repeat × repeats, batches of {part['batch']}. The speed of {ALL} "
        f"is {' and '.join(speeds)}. {PER_SAMPLE}: NumPy, SciPy and librosa in "
        f"{part['per_sample_workers']} worker processes (respire/benchmark/per_sample.py). {NONE}: "
        f"repeated cycles, no CBA, effects or clipping. A window moves at least "
        f"{floor['bytes_a_window']:,} bytes; copied at "
        f"{floor['copied_bytes_per_s'] / 1e9:,.1f} GB/s that is {floor['per_s']:,.0f} windows/s, "
        f"of which {ALL} reaches {floor['reached']:.1%}. Peak memory: "
        + _written("{peak_memory_mib:,.0f} MiB, {gpu_peak_mib:,.0f} of the GPU's.", part),
    )
    total = sum(rate["seconds_median"] for rate in part["stages"].values())
    stages = _table(
        "Input path by stage",
        {
            name: rate
            | {"us": 1e6 / rate["per_s"], "percent": 100 * rate["seconds_median"] / total}
            for name, rate in part["stages"].items()
        },
        MEDIAN | {"µs a window": "{us:,.1f}", "Share (%)": "{percent:.1f}"} | COUNT,
        note="Clocks around the parts of the path as it runs; on a GPU each part is waited for, so "
        "that together they take longer than the path.",
    )
    effects = _table(
        "Input path by effect",
        {
            "none" if name == NONE else name.replace("_", " "): rate
            for name, rate in part["effects"].items()
        },
        MEDIAN | {"Times without": "{of_no_effect:.2f}"} | COUNT,
        note="The whole path; a recipe applies an effect to some windows only.",
    )
    sentence = (
        f"The input path makes {paths[ALL]['per_s']:,.0f} windows a second, {times[ALL]:.1f} "
        f"times as many as a loader that works sample by sample."
    )
    return sentence, whole, stages, effects


def _step(sizes: list[Part]) -> tuple[str, Table, Table]:
    columns = RATE | COUNT
    steps = Table(
        "Training: samples a second",
        ("Image", "", *columns),
        tuple(
            (_size(part), name, *(_written(cell, rate) for cell in columns.values()))
            for part in sizes
            for name, rate in part["rates"].items()
        ),
        text_columns=2,
        note="n: samples in each repeat × repeats.",
    )
    costs = {
        _size(part): {
            **part,
            "input_percent": 100 * part["input_share_of_step"],
            "gflop": part["floor"]["flops_a_sample"] / 1e9,
            "tflop_per_s": part["floor"]["matmul_flops_per_s"] / 1e12,
            "reached_percent": 100 * part["floor"]["reached"],
        }
        for part in sizes
    }
    columns = {
        "Batch": "{batch}",
        "Loop of step": "{loop_of_step:.3f}",
        "Input of step (%)": "{input_percent:.1f}",
        "GFLOP": "{gflop:.2f}",
        "TFLOP/s": "{tflop_per_s:.2f}",
        "Floor": "{floor[per_s]:,.1f}",
        "Reached (%)": "{reached_percent:.1f}",
        "Copies": "{traffic[copies to the device]:.1f}",
        "Waits": "{traffic[waits for the device]:.1f}",
        "MiB": "{peak_memory_mib:,.0f}",
        "GPU MiB": "{gpu_peak_mib:,.0f}",
    }
    note = (
        "Loop of step: speed of the whole loop by that of the step alone. Input of step: time "
        "of the input path by that of the step. GFLOP: of a sample. TFLOP/s: of a large matrix "
        "product. Floor: the samples a second which that allows, and how much of it the step "
        "reaches. Copies, waits: how often in a step the host sends tensors to a GPU, or waits for "
        "what it reads there, counted without one. MiB: peak memory."
    )
    said = [
        f"On {_size(part)} images the train step takes {part['rates'][STEP]['per_s']:,.1f} samples "
        f"a second, {part['floor']['reached']:.0%} of what a large matrix product allows; the "
        f"input path takes {part['input_share_of_step']:.1%} of its time."
        for part in sizes
    ]
    return " ".join(said), steps, _table("Training: cost by image size", costs, columns, note)


def _ray(part: Part) -> tuple[str, Table]:
    ways = {name: way for name, way in part["ways"].items() if way is not None}
    missing = [name for name in part["ways"] if name not in ways]
    lacking = f" No room here for: {', '.join(missing)}." if missing else ""
    table = _table(
        "Training on Ray: seconds",
        {name: way | {"epochs": len(way["epoch_s"])} for name, way in ways.items()},
        {
            "Epoch, median": "{epoch_s_median:.2f}",
            "Epoch, fastest": "{epoch_s_minimum:.2f}",
            "Times plain": "{of_plain:.2f}",
            "Start": "{start_s:.1f}",
            "End": "{end_s:.1f}",
            "MiB": "{peak_memory_mib:,.0f}",
            "n": "{epochs}",
        },
        note=f"n: epochs, the first not counted; {part['train_cycles']:,} training and "
        f"{part['validation_cycles']:,} validation cycles. Start: until the first epoch begins. "
        f"End: after the last epoch. Ray itself took {part['ray_start_s']:.1f} s to start. MiB: "
        f"peak of all processes.{lacking}",
    )
    times = ", ".join(f"{way['of_plain']:.2f} ({name})" for name, way in ways.items())
    return f"An epoch takes, by that of plain fit(): {times}.", table


def _scaling(part: Part) -> tuple[str, Table]:
    prepare, epoch = (part["slopes"][name] for name in ("prepare_s", "epoch_s"))
    table = _table(
        "Scaling",
        {
            f"{row['times']} times": _audio_h(row) | {"rate": row["cycles"] / row["epoch_s"]}
            for row in part["sizes"]
        },
        PREPARING
        | {
            "Epoch (s)": "{epoch_s:.2f}",
            "Cycles a second": "{rate:,.0f}",
            "Epoch's peak (MiB)": "{epoch_peak_memory_mib:,.0f}",
        },
        note="Synthetic recordings. Epochs of a network that costs next to nothing: the input path "
        f"is what is left. Times grow with the cycles to the power of {prepare:.2f} "
        f"(preparing) and {epoch:.2f} (epoch). {MEMORY}",
    )
    return f"Preparing grows with the cycles to the power of {prepare:.2f}.", table


def _recordings(part: Part) -> tuple[str, Table]:
    table = _table(
        "Preparing the given recordings",
        {"given": _audio_h(part)},
        PREPARING | {"Checking (s)": "{catalogue_s:.1f}"},
        note=f"Checking: headers and annotations of all files, before. {MEMORY}",
    )
    return _written("{recordings:,} recordings are prepared in {prepare_s:.1f} s.", part), table


PARTS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "input": ("Input path", _input),
    "step": ("Train step", _step),
    "ray": ("Ray", _ray),
    "scaling": ("Scaling", _scaling),
    "recordings": ("Recordings", _recordings),
}
"""Each part's heading, its sentence and tables."""
DRAWN = {
    "input": ("input-path", "The input path by stage and as a whole.", figures.input_path),
    "scaling": ("scaling", "Seconds and peak memory by the number of cycles.", figures.scaling),
}


def _audio_h(row: Part) -> dict[str, Any]:
    return {**row, "audio_h": row["audio_s"] / 3600}


def _table(title: str, rows: Mapping[str, Part], columns: Columns, note: str) -> Table:
    cells = ((name, *(_written(at, row) for at in columns.values())) for name, row in rows.items())
    return Table(title, ("", *columns), tuple(cells), note=note)


def _size(part: Part) -> str:
    return "{}×{}".format(*part["image"])


class _Missing:
    def __format__(self, _: str) -> str:
        return numbers.NONE


def _written(template: str, row: Part) -> str:
    """A row's numbers in their places; NONE for one that is None or not there."""
    there = {name: number for name, number in row.items() if number is not None}
    return template.format_map(defaultdict(_Missing, there))
