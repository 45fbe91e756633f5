"""The benchmark's tables: results.json in, rows of text out."""

from collections.abc import Callable, Mapping
from typing import Any

from respire.benchmark.input_path import ALL, NONE, PER_SAMPLE
from respire.report.table import Table

Part = Mapping[str, Any]
PREPARING = ("Cycles", "Recordings", "Audio (h)", "Preparing (s)", "Before (MiB)", "Peak (MiB)")
"""Columns of what ``corpus.describe`` says."""
MEMORY = "MiB: all processes together, Ray's included, before preparing and at its peak."


def tables(results: Mapping[str, Any]) -> list[Table]:
    """The tables of every part that was measured."""
    found = [machine(results)]
    for part, of_part in OF_PART.items():
        if part in results:
            found += [table(results[part]) for table in of_part]
    return found


def machine(results: Mapping[str, Any]) -> Table:
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
    height, width = part["image"]
    floor = part["floor"]
    ours = {name: part["times_per_sample"].get(name) for name in part["paths"]}
    speeds = (f"{times:.2f} times that of {of}" for of, times in part["all_techniques_of"].items())
    return Table(
        f"Input path: windows a second, {height}×{width} images",
        ("", "Median", "Best", "Times per sample", "n"),
        tuple(
            (name, *_rates(rate), _ratio(ours[name]), _count(rate))
            for name, rate in part["paths"].items()
        ),
        note=f"n: windows in each repeat × repeats, batches of {part['batch']}. The speed of {ALL} "
        f"is {' and '.join(speeds)}. {PER_SAMPLE}: "
        f"NumPy, SciPy and librosa in {part['per_sample_workers']} worker processes "
        f"(experiments/per_sample.py). {NONE}: repeated cycles, no CBA, effects or clipping. "
        f"A window moves at least {floor['bytes_a_window']:,} bytes; copied at "
        f"{floor['copied_bytes_per_s'] / 1e9:,.1f} GB/s that is {floor['per_s']:,.0f} windows/s, "
        f"of which {ALL} reaches {floor['reached']:.1%}. {_memory(part)}",
    )


def stages(part: Part) -> Table:
    """The parts of the path, with all techniques."""
    total = sum(rate["seconds_median"] for rate in part["stages"].values())
    return Table(
        "Input path by stage",
        ("Stage", "Windows a second", "µs a window", "Share (%)", "n"),
        tuple(
            (
                name,
                f"{rate['per_s']:,.0f}",
                f"{1e6 / rate['per_s']:,.1f}",
                f"{100 * rate['seconds_median'] / total:.1f}",
                _count(rate),
            )
            for name, rate in part["stages"].items()
        ),
        note="Clocks around the parts of the path as it runs; on a GPU each part is waited for, so "
        "that together they take longer than the path.",
    )


def effects(part: Part) -> Table:
    """The path with each effect on every window."""
    return Table(
        "Input path by effect",
        ("Effect on every window", "Windows a second", "Times without", "n"),
        tuple(
            (
                "none" if name == NONE else name.replace("_", " "),
                f"{rate['per_s']:,.0f}",
                _ratio(rate["of_no_effect"]),
                _count(rate),
            )
            for name, rate in part["effects"].items()
        ),
        note="The whole path; a recipe applies an effect to some windows only.",
    )


def steps(part: Part) -> Table:
    """The train step, with and without the input path."""
    floor = part["floor"]
    return Table(
        "Training: samples a second",
        ("", "Median", "Best", "n"),
        tuple((name, *_rates(rate), _count(rate)) for name, rate in part["rates"].items()),
        note=f"n: samples in each repeat × repeats, batches of {part['batch']}. The whole loop "
        f"runs at {part['loop_of_step']:.3f} times the step's speed; the input path takes "
        f"{part['input_share_of_step']:.1%} of a step's time. A sample takes "
        f"{floor['flops_a_sample'] / 1e9:.2f} GFLOP; at the "
        f"{floor['matmul_flops_per_s'] / 1e12:.2f} TFLOP/s of a large matrix product that is "
        f"{floor['per_s']:,.1f} samples/s, of which the step reaches {floor['reached']:.1%}. "
        f"{_memory(part)}",
    )


def ways(part: Part) -> Table:
    """Epochs through plain fit() and Ray Train."""
    measured = {name: way for name, way in part["ways"].items() if way is not None}
    missing = [name for name, way in part["ways"].items() if way is None]
    lacking = f" No room here for: {', '.join(missing)}." if missing else ""
    return Table(
        "Training on Ray: seconds",
        ("", "Epoch, median", "Epoch, fastest", "Times plain", "Start", "End", "MiB", "n"),
        tuple(
            (
                name,
                f"{way['epoch_s_median']:.2f}",
                f"{way['epoch_s_minimum']:.2f}",
                _ratio(way["of_plain"]),
                *(_optional(way.get(column), ".1f") for column in ("start_s", "end_s")),
                _optional(way.get("peak_memory_mib"), ",.0f"),
                str(len(way["epoch_s"])),
            )
            for name, way in measured.items()
        ),
        note=f"n: epochs, the first not counted; {part['train_cycles']:,} training and "
        f"{part['validation_cycles']:,} validation cycles. Start: until the first epoch begins. "
        f"End: after the last epoch. Ray itself took {part['ray_start_s']:.1f} s to start. MiB: "
        f"peak of all processes.{lacking}",
    )


def sizes(part: Part) -> Table:
    """Seconds and memory by size of the corpus."""
    slopes = part["slopes"]
    return Table(
        "Scaling",
        (*PREPARING, "Epoch (s)", "Cycles a second", "Peak (MiB)"),
        tuple(
            (
                *_preparing(row),
                f"{row['epoch_s']:.2f}",
                f"{row['cycles'] / row['epoch_s']:,.0f}",
                f"{row['epoch_peak_memory_mib']:,.0f}",
            )
            for row in part["sizes"]
        ),
        text_columns=0,
        note="Synthetic recordings. Epochs of a network that costs next to nothing: the input path "
        f"is what is left. Times grow with the cycles to the power of {slopes['prepare_s']:.2f} "
        f"(preparing) and {slopes['epoch_s']:.2f} (epoch). {MEMORY}",
    )


def recordings(part: Part) -> Table:
    """Preparation of the recordings that were given."""
    return Table(
        "Preparing the given recordings",
        (*PREPARING, "Checking (s)"),
        ((*_preparing(part), f"{part['catalogue_s']:.1f}"),),
        text_columns=0,
        note=f"Checking: headers and annotations of all files, before. {MEMORY}",
    )


def nodes(part: Part) -> Table:
    """Two workers on two nodes beside one, and where their time goes."""
    two, one = (part["epoch_s_median"][way] for way in ("two", "one"))
    names = {
        "one": "one worker on one node",
        "two": "two workers on two nodes",
        "apart": "two processes that exchange nothing",
    }
    computing, exchange, rest = (
        part["of_two"][name] for name in ("computing_s", "exchange_s", "rest_s")
    )
    return Table(
        "Two nodes of a core each",
        ("", "Epoch, median (s)", "Windows a second", "Times one", "n"),
        tuple(
            (
                name,
                f"{part['epoch_s_median'][way]:.2f}",
                f"{part['windows_per_s'][way]:.1f}",
                _ratio(one / part["epoch_s_median"][way]),
                str(len(part["epoch_s"][way])),
            )
            for way, name in names.items()
        ),
        note=f"n: epochs of {part['windows']:,} windows, the first not counted; the global batch "
        f"is the same. Of the {two:.2f} s of an epoch on two nodes {computing:.2f} s are "
        f"computing, {exchange:.2f} s exchanging gradients ({part['exchanged_mib']:.0f} MiB in "
        f"{1000 * part['exchange_s']:.0f} ms at each of {part['steps']} steps, over this "
        f"machine's loopback), {rest:.2f} s the rest: waiting for each other, and Ray.",
    )


OF_PART: dict[str, tuple[Callable[[Part], Table], ...]] = {
    "input": (paths, stages, effects),
    "step": (steps,),
    "ray": (ways,),
    "scaling": (sizes,),
    "recordings": (recordings,),
    "nodes": (nodes,),
}


def _preparing(row: Part) -> tuple[str, ...]:
    return (
        f"{row['cycles']:,}",
        f"{row['recordings']:,}",
        f"{row['audio_s'] / 3600:.2f}",
        f"{row['prepare_s']:.1f}",
        f"{row['at_rest_mib']:,.0f}",
        f"{row['prepare_peak_memory_mib']:,.0f}",
    )


def _rates(rate: Part) -> tuple[str, str]:
    return f"{rate['per_s']:,.0f}", f"{rate['best_per_s']:,.0f}"


def _count(rate: Part) -> str:
    return f"{rate['units']:,} × {rate['repeats']}"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _optional(value: float | None, style: str) -> str:
    return "–" if value is None else f"{value:{style}}"


def _memory(part: Part) -> str:
    gpu = part["gpu_peak_mib"]
    on_gpu = "" if gpu is None else f", {gpu:,.0f} MiB of the GPU's"
    return f"Peak memory: {part['peak_memory_mib']:,.0f} MiB{on_gpu}."
