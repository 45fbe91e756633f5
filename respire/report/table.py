"""Table: titled rows of text, in Markdown and on the page."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Table:
    """A titled table of text.

    Attributes:
        title: its caption.
        columns: names of the columns.
        rows: cells, each row as long as ``columns``.
        text_columns: how many columns, from the left, are words; the others are numbers.
        note: what a reader should know, below the table.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: int = 1
    note: str = ""

    @classmethod
    def of(
        cls,
        title: str,
        columns: Mapping[str, Callable[..., str]],
        lines: Iterable[tuple[Any, ...]],
        text_columns: int = 1,
        note: str = "",
    ) -> "Table":
        """A table by its columns.

        Args:
            title: its caption.
            columns: by name, what makes a cell of the parts of a line.
            lines: the parts of each.
            text_columns: how many columns, from the left, are words.
            note: what a reader should know, below the table.
        """
        rows = tuple(tuple(cell(*parts) for cell in columns.values()) for parts in lines)
        return cls(title, tuple(columns), rows, text_columns, note)

    def markdown(self, stamps: Sequence[str] = ()) -> str:
        """The table in Markdown, aligned so that it also reads well in a terminal."""
        cells = [[escape(cell) for cell in row] for row in (self.columns, *self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        rules = [
            "-" * max(width, 2) if column < self.text_columns else "-" * (max(width, 2) - 1) + ":"
            for column, width in enumerate(widths)
        ]
        lines = [
            "| " + " | ".join(map(self._align, row, widths, range(len(row)))) + " |"
            for row in (cells[0], rules, *cells[1:])
        ]
        heading = [f"**{stamp.upper()}**" for stamp in stamps] + [f"**{self.title}**"]
        parts = [*heading, "\n".join(lines), *([self.note] if self.note else [])]
        return "\n\n".join(parts)

    def _align(self, cell: str, width: int, column: int) -> str:
        width = max(width, 2)
        return cell.ljust(width) if column < self.text_columns else cell.rjust(width)


def escape(text: str) -> str:
    """Text for one line or cell of Markdown, whatever a file name holds."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
