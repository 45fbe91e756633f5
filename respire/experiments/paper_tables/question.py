"""A question of the paper: variants of a recipe, the rows that compare them, what it printed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from respire.errors import InputError
from respire.experiments.paper_tables.printed import NOTHING, Printed
from respire.study.grid import Variant

UNLISTED = "Rows of the official split are left out: nothing tells recordings' official sides."


@dataclass(frozen=True)
class Row:
    """A line of a table.

    Attributes:
        name: unique in its table.
        variant: whose runs it sums up.
        against: name of the row that its Score is compared with, "" for none.
        stage2: whether it is of the fine-tuned models.
        printed: what the paper prints of it.
        devices: what the paper prints of it by device.
    """

    name: str
    variant: str
    against: str = ""
    stage2: bool = False
    printed: Printed = NOTHING
    devices: Mapping[str, Printed] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    """A table of the paper.

    Attributes:
        title: what it tells.
        variants: what is trained, by name.
        rows: its lines.
        axis: what the rows differ in, where that is a number, with its unit.
        along: that number by row.
        by_device: whether rows are told by device too.
        confusions: rows whose confusion matrices are drawn.
        seams: variants that are asked what a seam means to them (evaluation/seams.py).
        note: what a reader must know of all rows.
        primary: the row whose difference is asked about; all others are corrected for (Holm).
    """

    title: str
    variants: Mapping[str, Variant]
    rows: Sequence[Row]
    axis: str = ""
    along: Mapping[str, float] = field(default_factory=dict)
    by_device: bool = False
    confusions: Sequence[str] = ()
    seams: Sequence[str] = ()
    note: str = ""
    primary: str = ""

    def gain(self, row: Row) -> float | None:
        """Points of Score that the paper gives a row over the one it is compared with."""
        other = next((other for other in self.rows if other.name == row.against), row)
        if row.printed.gain is not None or other is row:
            return row.printed.gain
        ours, theirs = row.printed.score, other.printed.score
        return None if ours is None or theirs is None else ours - theirs

    def check(self, devices: Sequence[str]) -> None:
        """Refuse recordings of devices that the question cannot be asked of.

        Raises:
            InputError: models would be fine-tuned for the only device.
        """
        if len(devices) == 1 and all(variant.stage2 for variant in self.variants.values()):
            raise InputError(
                f"--data: the recordings have {devices[0]} only: fine-tuning by device needs at "
                f"least two"
            )

    def unlisted(self) -> "Question":
        """The same without rows of the official split, where it has others."""
        official = {name for name, variant in self.variants.items() if variant.cut.needs_list}
        kept = [row.name for row in self.rows if row.variant not in official]
        if not kept or not official:
            return self
        return replace(self.only(kept), note=f"{self.note} {UNLISTED}".strip())

    def only(self, names: Sequence[str]) -> "Question":
        """The same with some rows, and those that they are compared with.

        Raises:
            InputError: there is no row of a name.
        """
        by_name = {row.name: row for row in self.rows}
        kept: set[str] = set()
        for name in names:
            if name not in by_name:
                raise InputError(f"--rows {name!r}: there are {', '.join(map(repr, by_name))}")
            while name:
                kept.add(name)
                name = by_name[name].against
        rows = [row for row in self.rows if row.name in kept]
        asked = {row.variant for row in rows}
        fine_tuned = {row.variant for row in rows if row.stage2}
        variants = {
            name: replace(variant, stage2=name in fine_tuned)
            for name, variant in self.variants.items()
            if name in asked
        }
        seams = [name for name in self.seams if name in asked]
        return replace(self, rows=rows, variants=variants, seams=seams)
