"""Anyone's recordings: a folder with one CSV, a row a cycle.

Its columns are file (from the folder on), patient, start and end in seconds, crackle and wheeze
0 or 1, and, where they are known, device and any other of the manifest's (data/manifest.py).
"""

import csv
from pathlib import PurePosixPath

import pandas as pd

from respire.data.audio import AUDIO_SUFFIXES
from respire.data.bad_rows import but_for_bad, refuse
from respire.data.catalogue import BARE
from respire.data.corpora.source import Source, decoded
from respire.data.manifest import COLUMNS, LABELS, complete, folder_of, opened, read_rows
from respire.data.splits.draw import listed
from respire.errors import InputError
from respire.runtime.storage import Storage

NEEDED = ("file", "patient", "start", "end", "crackle", "wheeze")
_CALLED = {"file": "recording", "patient": "group", "start": "start_s", "end": "end_s"}
_OURS = (*_CALLED.values(), "label", "raw_label")
"""Columns of a manifest that follow from those that are needed here."""
KNOWN = (*NEEDED, *(name for name in COLUMNS if name not in _OURS))
_FLAGS = ("0", "1")
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_ALIKE = 3
"""A CSV with so many of the needed columns is meant for a table of cycles."""


def find(directory: str) -> Storage | None:
    """The one CSV at the top of the folder that has the columns; None where there is none.

    Raises:
        InputError: there are several, or the folder cannot be listed.
    """
    source = Source.at(directory)
    tables = [path for path in _tables(source) if set(NEEDED) <= set(_names(source, path))]
    if len(tables) > 1:
        names = " and ".join(sorted(map(source.uri_of, tables)))
        raise InputError(f"{names}: two tables of cycles; keep one")
    return Storage(source.uri_of(tables[0])) if tables else None


def why_none(directory: str) -> str:
    """Why a CSV at the top of the folder is no table of cycles; "" where none is like one.

    Raises:
        InputError: the folder cannot be listed.
    """
    source = Source.at(directory)
    for path in _tables(source):
        for separator, called in _SEPARATORS.items():
            names = _names(source, path, separator)
            if sum(name.lower() in NEEDED for name in names) < _ALIKE:
                continue
            if separator != ",":
                return f"{path}: is separated by {called}; save it with commas"
            missing = ", ".join(name for name in NEEDED if name not in names)
            return f"{path}: no column {missing} among {', '.join(names)}; rename or add it"
    return ""


def _tables(source: Source) -> list[str]:
    top = source.root.rstrip("/")
    return [
        path
        for path in source.paths
        if path.rpartition("/")[0] == top and path.lower().endswith(".csv")
    ]


def _names(source: Source, path: str, separator: str = ",") -> list[str]:
    """What the first line of a CSV names; nothing where it is no text."""
    with source.filesystem.open_input_stream(path) as stream:
        first = stream.read(4096).partition(b"\n")[0]
    try:
        (names,) = csv.reader([decoded(first).strip()], delimiter=separator, strict=True)
    except (ValueError, csv.Error):
        return []
    return [name.strip() for name in names]


def manifest(
    table: Storage, corpus: str, skip_bad: bool = False
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """The CSV's rows as a complete manifest.

    Returns:
        The manifest, why recordings were left out, and a warning of those that no row names.

    Raises:
        InputError: a row is wrong, unless ``skip_bad``; a column is one too many; or the corpus may
            not be called so.
    """
    if corpus == BARE:
        raise InputError(f"{table.uri}: corpus {BARE} is ICBHI 2017; name it otherwise")
    rows = read_rows(table)
    for name in rows.columns:
        if name in _OURS:
            raise InputError(
                f"{table.uri}: column {name} beside {', '.join(NEEDED)}, which it follows from; "
                f"take it out"
            )
        if name not in KNOWN:
            raise InputError(
                f"{table.uri}: unknown column {name!r} (known: {', '.join(KNOWN)}); rename it, or "
                f"take it out"
            )
    rows = rows.rename(columns=_CALLED)
    theirs = {ours: name for name, ours in _CALLED.items()}
    kept, skipped = but_for_bad(lambda of: _complete(of, table, corpus), rows, skip_bad, theirs)
    return kept, skipped, _unnamed(table, rows["recording"])


def _unnamed(table: Storage, recordings: pd.Series) -> list[str]:
    """A warning where recordings below the table's folder are in none of its rows."""
    folder = folder_of(table)
    source = Source.at(folder.uri)
    there = {source.uri_of(at): at for at in source.paths if at.lower().endswith(AUDIO_SUFFIXES)}
    named = {opened(folder, name.strip()) for name in recordings}
    others = [PurePosixPath(at).name for uri, at in there.items() if uri not in named]
    return [
        f"{len(others)} of {len(there)} recordings below {folder.uri} are in no row of "
        f"{table.uri}, and are not read: {listed(others)}"
    ] * bool(others)


def _complete(rows: pd.DataFrame, table: Storage, corpus: str) -> pd.DataFrame:
    for name in ("crackle", "wheeze"):
        bad = ~rows[name].str.strip().isin(_FLAGS)
        refuse(rows, bad, table.uri, name, "must be 0 or 1", "correct it")
    crackle, wheeze = (rows[name].str.strip() for name in ("crackle", "wheeze"))
    label = crackle.astype(int) + 2 * wheeze.astype(int)
    labelled = rows.drop(columns=["crackle", "wheeze"]).assign(
        label=label.map(dict(enumerate(LABELS))), raw_label=crackle + " " + wheeze
    )
    return complete(labelled, table.uri, folder_of(table), corpus)
