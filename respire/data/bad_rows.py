"""Rows of a manifest that are wrong: told by their number, and left out where a user wants that."""

import posixpath
from collections.abc import Callable, Mapping

import pandas as pd

from respire.errors import InputError


class BadRowsError(InputError):
    """Rows are wrong.

    Attributes:
        said: why, by the number of each recording's first.
    """

    def __init__(self, said: Mapping[int, str]):
        super().__init__(next(iter(said.values())))
        self.said = said


def refuse(
    rows: pd.DataFrame, bad: pd.Series, where: str, column: str, what: str, remedy: str
) -> None:
    """Refuse rows for what stands in a column.

    Raises:
        BadRowsError: there are any.
    """
    if bad.any():
        values = dict(rows[bad].drop_duplicates("recording")[column].astype(object))
        raise BadRowsError(
            {
                row: f"{where}, row {row}: {column} {value!r} {what}; {remedy}"
                for row, value in values.items()
            }
        )


def normalised(recording: str) -> str:
    """A recording's path or URI as any other that leads there: without "./" and "folder/../"."""
    return recording if "://" in recording else posixpath.normpath(recording)


def but_for_bad(
    check: Callable[[pd.DataFrame], pd.DataFrame], rows: pd.DataFrame, skip_bad: bool
) -> tuple[pd.DataFrame, list[str]]:
    """What a check makes of rows; with ``skip_bad`` of those whose recordings it does not refuse.

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
            if not skip_bad or bad.all():
                raise
            skipped += error.said.values()
            rows = rows[~bad]
