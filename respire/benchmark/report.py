"""The benchmark's report, from results.json."""

from collections.abc import Callable, Mapping
from typing import Any

from respire.benchmark.figures import input_path, scaling
from respire.benchmark.input_path import ALL
from respire.benchmark.step import STEP
from respire.benchmark.tables import (
    costs,
    effects,
    machine,
    paths,
    recordings,
    sizes,
    stages,
    steps,
    ways,
)
from respire.report.page import Page, Picture, Section
from respire.report.table import Table

PARTS: Mapping[str, tuple[str, tuple[Callable[[Any], Table], ...]]] = {
    "input": ("Input path", (paths, stages, effects)),
    "step": ("Train step", (steps, costs)),
    "ray": ("Ray", (ways,)),
    "scaling": ("Scaling", (sizes,)),
    "recordings": ("Recordings", (recordings,)),
}
"""Each part's heading and tables."""
DRAWN = {
    "input": ("input-path", "The input path by stage and as a whole.", input_path),
    "scaling": ("scaling", "Seconds and peak memory by the number of cycles.", scaling),
}


def report(results: Mapping[str, Any]) -> Page:
    """A section for every part that was measured."""
    device = results["environment"]["device"]
    sections = [Section("Machine", [machine(results)])]
    for part, (title, tables) in PARTS.items():
        if part in results:
            figures = []
            if part in DRAWN:
                name, caption, draw = DRAWN[part]
                figures = [Picture(name, caption, draw(results[part], device))]
            sections.append(Section(title, [table(results[part]) for table in tables], figures))
    return Page(
        results,
        f"recipe {results['recipe']['preset']} · {device} · respire {results['respire_version']}",
        lead(results),
        "Rates and ratios are of this machine as busy as it was; ratios, which take turns, feel "
        "that least.",
        sections,
    )


def lead(results: Mapping[str, Any]) -> str:
    """The parts' results in a sentence each."""
    told = []
    if "input" in results:
        part = results["input"]
        told.append(
            f"The input path makes {part['paths'][ALL]['per_s']:,.0f} windows a second, "
            f"{part['times_per_sample'][ALL]:.1f} times as many as a loader that works sample by "
            "sample."
        )
    for part in results.get("step", ()):
        told.append(
            f"On {part['image'][0]}×{part['image'][1]} images the train step takes "
            f"{part['rates'][STEP]['per_s']:,.1f} samples a second, {part['floor']['reached']:.0%} "
            f"of what a large matrix product allows; the input path takes "
            f"{part['input_share_of_step']:.1%} of its time."
        )
    if "ray" in results:
        ways = results["ray"]["ways"].items()
        on_ray = [f"{way['of_plain']:.2f} ({name})" for name, way in ways if way]
        told.append(f"An epoch takes, by that of plain fit(): {', '.join(on_ray)}.")
    if "scaling" in results:
        slopes = results["scaling"]["slopes"]
        told.append(f"Preparing grows with the cycles to the power of {slopes['prepare_s']:.2f}.")
    if "recordings" in results:
        part = results["recordings"]
        told.append(f"{part['recordings']:,} recordings are prepared in {part['prepare_s']:.1f} s.")
    return " ".join(told)
