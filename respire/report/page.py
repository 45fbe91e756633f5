"""Page: what every report is made of, and the one way it is written."""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.figure import Figure

from respire.report.style import png, svg
from respire.report.table import Table, escape
from respire.report.wording import worded
from respire.runtime.storage import Storage


@dataclass(frozen=True)
class Picture:
    """A figure as files and on the page.

    Attributes:
        name: of its files, without the ending.
        caption: what it shows.
        figure: as drawn.
    """

    name: str
    caption: str
    figure: Figure

    @cached_property
    def files(self) -> Mapping[str, bytes]:
        """The PNG, for the page, and the SVG, for print, by their names."""
        return {f"{self.name}.png": png(self.figure), f"{self.name}.svg": svg(self.figure)}

    @property
    def base64(self) -> str:
        """The PNG as text for a data URI."""
        return base64.b64encode(self.files[f"{self.name}.png"]).decode()


@dataclass(frozen=True)
class Section:
    """A heading of the report with what stands under it."""

    title: str
    tables: list[Table] = field(default_factory=list)
    figures: list[Picture] = field(default_factory=list)


@dataclass(frozen=True)
class Page:
    """A report.

    Attributes:
        results: content of results.json, strict JSON (``strict``); its experiment and name are the
            title, its stamps, warnings and skipped recordings, where it has any, stand loud.
        facts: how it was done, in a line.
        lead: the result in a sentence.
        verdict: what follows from it.
        sections: tables and figures.
    """

    results: Mapping[str, Any]
    facts: str
    lead: str
    verdict: str
    sections: Sequence[Section]

    @property
    def title(self) -> str:
        """What was done."""
        return f"respire · {self.results['experiment']} · {self.results['name']}"

    @property
    def stamps(self) -> Sequence[str]:
        """What every table and figure must carry, loudly."""
        return self.results.get("stamps", [])

    @property
    def warnings(self) -> Sequence[str]:
        """What a reader must know."""
        return self.results.get("warnings", [])

    @property
    def skipped(self) -> Sequence[str]:
        """Recordings left out, one line each."""
        return self.results["skipped"]

    def write(self, directory: Storage) -> list[str]:
        """Write the figures, report.md, the self-contained report.html and results.json.

        results.json is written last: where it is, the report is whole.

        Args:
            directory: where the files go.

        Returns:
            The figures' file names.

        Raises:
            InputError: the directory cannot be written.
        """
        pictures = [picture for section in self.sections for picture in section.figures]
        figures = {name: file for picture in pictures for name, file in picture.files.items()}
        for name, file in figures.items():
            (directory / name).write_bytes(file)
        (directory / "report.md").write_bytes(self.markdown().encode())
        (directory / "report.html").write_bytes(self.html().encode())
        content = json.dumps(self.results, indent=2, allow_nan=False, ensure_ascii=False)
        (directory / "results.json").write_bytes(f"{content}\n".encode())
        return list(figures)

    def html(self) -> str:
        """The page by itself, figures and style in it."""
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(Path(__file__).parent),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        return environment.get_template("report.html").render(page=self)

    def markdown(self) -> str:
        """The page in Markdown, its figures beside it."""
        parts = [
            f"# {self.title}",
            *(f"> **{stamp.upper()}**" for stamp in self.stamps),
            self.facts,
            self.lead,
            self.verdict,
            *_listed("Warnings", self.warnings),
        ]
        for section in self.sections:
            parts.append(f"## {section.title}")
            parts += [table.markdown(self.stamps) for table in section.tables]
            parts += [
                f"![{figure.caption}]({figure.name}.png)\n\n{figure.caption}"
                for figure in section.figures
            ]
        return "\n\n".join([*parts, *_listed("Skipped recordings", self.skipped)]) + "\n"


def printed(results: Mapping[str, Any], *parts: str | Table) -> str:
    """Sentences and tables as a command prints them last, of the content of results.json."""
    groups, stamps = results.get("groups", "patient"), results.get("stamps", [])
    said = (worded(part, groups) for part in parts)
    return "\n\n".join(part.markdown(stamps) if isinstance(part, Table) else part for part in said)


def strict(value: Any) -> Any:
    """The value with every number that is not finite as None: JSON has no NaN."""
    if isinstance(value, Mapping):
        return {name: strict(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [strict(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _listed(title: str, lines: Sequence[str]) -> list[str]:
    return [f"## {title}", "\n".join(f"- {escape(line)}" for line in lines)] * bool(lines)
