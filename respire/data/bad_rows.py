"""Rows of a manifest that are wrong: told by their number, and left out where a user wants that."""

import posixpath
import re
from collections.abc import Callable, Mapping

import pandas as pd

from respire.errors import InputError


class BadRowsError(InputError):
    """Rows are wrong.

    Attributes:
        said: why, by the number of each recording's first.
    """

    def __init__(
        self, where: str, column: str, values: Mapping[int, object], what: str, remedy: str
    ):
        self._told = (where, column, values, what, remedy)
        self.said = {
            row: f"{where}, row {row}: {column} {value!r} {what}; {remedy}"
            for row, value in values.items()
        }
        super().__init__(next(iter(self.said.values())))

    def by(self, names: Mapping[str, str]) -> "BadRowsError":
        """The same where columns go by other names."""
        where, column, values, what, remedy = self._told
        for ours, theirs in names.items():
            what = re.sub(rf"\b{ours}$", theirs, what)
        return BadRowsError(where, names.get(column, column), values, what, remedy)


def refuse(
    rows: pd.DataFrame, bad: pd.Series, where: str, column: str, what: str, remedy: str
) -> None:
    """Refuse rows for what stands in a column.

    Raises:
        BadRowsError: there are any.
    """
    if bad.any():
        values = dict(rows[bad].drop_duplicates("recording")[column].astype(object))
        raise BadRowsError(where, column, values, what, remedy)


def normalised(recording: str) -> str:
    """A recording's path or URI as any other that leads there: without "./" and "folder/../"."""
    return recording if "://" in recording else posixpath.normpath(recording)


def but_for_bad(
    check: Callable[[pd.DataFrame], pd.DataFrame],
    rows: pd.DataFrame,
    skip_bad: bool,
    names: Mapping[str, str] | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """What a check makes of rows; with ``skip_bad`` of those whose recordings it does not refuse.

    ``names`` are what a user calls the columns that they call otherwise.

    Returns:
        The rows, and why recordings were left out, one line each.

    Raises:
        BadRowsError: a recording has a row that is wrong, and it or any other may not be left out.
    """
    skipped: list[str] = []
    while True:
        try:
            return check(rows), skipped
        except BadRowsError as error:
            recording = rows["recording"].str.strip().map(normalised)
            bad = recording.isin(recording[list(error.said)])
            named = error.by(names or {})
            if not skip_bad or bad.all():
                raise named from None
            skipped += named.said.values()
            rows = rows[~bad]
