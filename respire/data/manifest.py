"""One manifest for recordings of any corpus: a table, a row an annotated unit, CSV or Parquet.

``recording``, ``group``, ``start_s``, ``end_s`` and ``label`` must be there; every other column of
``COLUMNS`` has a default. What is wrong with one is told by file and row.
"""

import io
import re
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pyarrow as pa

from respire.data.bad_rows import but_for_bad, normalised, refuse
from respire.errors import InputError
from respire.labels import CLASSES
from respire.runtime.storage import Storage, split_options

SUFFIXES = (".csv", ".parquet")
UNKNOWN = "unknown"
"""The device or location of recordings of which none is told."""
LABELS = CLASSES["4-class"]
JUDGED = ("positive", "negative")
"""States of a label that training and tests use; units of the others are passed over."""
SHORTEST_S = 1 / 4000
"""A unit shorter than one sample at the paper's 4 kHz is empty after resampling."""


class Column(NamedTuple):
    """A column of a manifest.

    Attributes:
        default: of rows without a value; None where one must be given, NaN for numbers unknown.
        allowed: its values, where they are few.
    """

    default: Any = ""
    allowed: tuple[str, ...] = ()


NUMBER = float("nan")
COLUMNS = {
    "corpus": Column(),  # the manifest's own name
    "recording": Column(None),  # path, from the manifest's folder on, or URI
    "group": Column(None),  # the patient; may be left out where group_kind is none
    "group_kind": Column("patient", ("patient", "date", "none")),
    "site": Column(),
    "session": Column(),
    "location": Column(UNKNOWN),
    "mode": Column(),
    "device": Column(UNKNOWN),
    "filter": Column(),
    "age": Column(NUMBER),  # years
    "sex": Column("", ("F", "M")),
    "bmi": Column(NUMBER),  # kg/m²
    "diagnosis": Column(),
    "unit": Column("cycle", ("cycle", "event", "recording")),
    "start_s": Column(None),
    "end_s": Column(None),
    "raw_label": Column(),  # as the corpus has it
    "label": Column(None, LABELS),
    "label_state": Column("", (*JUDGED, "not-annotated", "unresolved")),  # follows from the label
    "official_side": Column("", ("train", "test")),
    "licence": Column(),
    "sha256": Column(),  # of the recording's file
}
"""In the order in which they are written."""
NUMBERS = ("age", "bmi", "start_s", "end_s")
REQUIRED = ("recording", "group", "start_s", "end_s", "label")
OF_RECORDING = tuple(
    name
    for name in COLUMNS
    if name not in ("recording", "unit", "start_s", "end_s", "raw_label", "label", "label_state")
)
"""What all rows of a recording say alike."""
_CORPUS = re.compile(r"[\w.-]+")
_NO_NUMBER = ("", "NA", "nan", "NaN")


def is_manifest(where: str) -> bool:
    """Whether a path or URI names a manifest, and not a folder."""
    return _name(where).lower().endswith(SUFFIXES)


def read_manifest(where: str, skip_bad: bool = False) -> tuple[pd.DataFrame, list[str]]:
    """A manifest's rows, complete: every column, sorted as in the file, recordings as URIs.

    Its index numbers the rows as an editor shows them: a CSV's from 2, a Parquet file's from 1.

    Returns:
        The rows, and why recordings were left out, one line each.

    Raises:
        InputError: it cannot be read, or is no manifest; or a row is wrong, unless ``skip_bad``;
            the message names row and remedy.
    """
    file = Storage.at(where)
    named = _name(where).rpartition(".")[0]
    return but_for_bad(
        lambda rows: complete(rows, where, folder_of(file), named), read_rows(file), skip_bad
    )


def read_rows(file: Storage) -> pd.DataFrame:
    """The rows of a CSV or Parquet file, all as text, "" where there is no value.

    Lines of a CSV that hold nothing are passed over, and counted.

    Raises:
        InputError: it cannot be read as such.
    """
    try:
        if _name(file.uri).lower().endswith(".csv"):
            text = io.BytesIO(file.read_bytes())
            rows = pd.read_csv(
                text,
                dtype=str,
                keep_default_na=False,
                encoding="utf-8-sig",
                skip_blank_lines=False,
            ).fillna("")
            if not isinstance(rows.index, pd.RangeIndex):  # pandas takes the first for an index
                raise ValueError("rows have more values than the first line has names")
            rows.columns = rows.columns.str.strip()
            if rows.columns.has_duplicates:
                raise ValueError("two columns have the same name")
            rows.index += 2
            rows = rows[rows.apply(lambda column: column.str.strip() != "").any(axis=1)]
        else:
            table = file.read_table()
            table.validate(full=True)  # texts that are no UTF-8, which pandas would trip over
            rows = table.to_pandas()
            rows = rows.astype(object).where(rows.notna(), "").astype(str)
            rows.index = pd.RangeIndex(1, len(rows) + 1)
    except (OSError, ValueError, pa.ArrowInvalid) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{file.uri}: cannot be read as a table ({reason}); repair it") from error
    return rows


def write_manifest(manifest: pd.DataFrame, where: str) -> None:
    """Write a manifest, whole or not at all; recordings below its folder by their path from there.

    Raises:
        InputError: its name ends in neither .csv nor .parquet, or it cannot be written.
    """
    if not is_manifest(where):
        raise InputError(f"{where}: a manifest's name ends in {' or '.join(SUFFIXES)}")
    file = Storage.at(where)
    inside = folder_of(file).uri.rstrip("/") + "/"
    rows = manifest[list(COLUMNS)].assign(
        recording=[_below(inside, uri) for uri in manifest["recording"]]
    )
    if _name(where).lower().endswith(".csv"):
        file.write_bytes(rows.to_csv(index=False, lineterminator="\n").encode())
    else:
        file.write_table(pa.Table.from_pandas(rows, preserve_index=False), compression="zstd")


def complete(rows: pd.DataFrame, where: str, folder: Storage, corpus: str) -> pd.DataFrame:
    """Rows of text with defaults filled in, numbers read and everything checked.

    Args:
        rows: some columns of ``COLUMNS``, the required ones among them.
        where: they are from, for messages.
        folder: which paths of recordings start from.
        corpus: the name of rows that give none.

    Raises:
        InputError: a column is missing or unknown, or a row is wrong.
    """
    for name in REQUIRED:
        if name not in rows:
            needed = ", ".join(REQUIRED)
            cycles = "if it is a table of cycles, give its folder" if "file" in rows else "add it"
            raise InputError(f"{where}: no column {name}; a manifest needs {needed}: {cycles}")
    for name in rows.columns:
        if name not in COLUMNS:
            raise InputError(
                f"{where}: unknown column {name!r} (known: {', '.join(COLUMNS)}); "
                f"rename it, or take it out"
            )
    if rows.empty:
        raise InputError(f"{where}: no rows; add one for each annotated cycle")
    rows = rows.apply(lambda column: column.str.strip())
    text = {name: column for name, column in COLUMNS.items() if name not in NUMBERS}
    full = pd.DataFrame(index=rows.index)
    for name in COLUMNS:
        full[name] = rows.get(name, "")
    for name, column in text.items():
        if column.default:
            full[name] = full[name].where(full[name] != "", column.default)
    full["corpus"] = full["corpus"].where(full["corpus"] != "", corpus)
    for name in NUMBERS:
        numbers = pd.to_numeric(full[name], errors="coerce").astype(float)
        unread = pd.Series(~np.isfinite(numbers), full.index) & ~full[name].isin(_NO_NUMBER)
        refuse(full, unread, where, name, "is no number", "correct it")
        full[name] = numbers
    for name, column in text.items():
        if column.allowed:
            bad = ~full[name].isin(("", *column.allowed))
            refuse(full, bad, where, name, "is none of " + ", ".join(column.allowed), "correct it")
    _check_labels(full, where)
    _check_units(full, where)
    bad = ~full["corpus"].map(lambda name: bool(_CORPUS.fullmatch(name)))
    refuse(full, bad, where, "corpus", "may have letters, digits, _ . - only", "rename it")
    full["recording"] = [opened(folder, recording) for recording in full["recording"]]
    _check_recordings(full, where)
    return full


def _check_labels(rows: pd.DataFrame, where: str) -> None:
    """Fill in each label's state."""
    judged = rows["label_state"].isin(("", *JUDGED))
    refuse(rows, judged & (rows["label"] == ""), where, "label", "is missing", "give one")
    states = rows["label"].map({name: JUDGED[name == LABELS[0]] for name in LABELS})
    bad = judged & (rows["label_state"] != "") & (rows["label_state"] != states)
    refuse(rows, bad, where, "label_state", "is not the label's", "correct it, or leave it out")
    rows["label_state"] = rows["label_state"].where(rows["label_state"] != "", states)


def _check_units(rows: pd.DataFrame, where: str) -> None:
    for name in ("recording", "group"):
        bad = rows[name] == ""
        if name == "group":
            bad &= rows["group_kind"] != "none"
        refuse(rows, bad, where, name, "is missing", "give one")
    start_s, end_s = rows["start_s"], rows["end_s"]
    for name in ("start_s", "end_s"):
        refuse(rows, rows[name].isna(), where, name, "is missing", "give seconds")
    refuse(rows, start_s < 0, where, "start_s", "is negative", "correct it")
    refuse(rows, end_s <= start_s, where, "end_s", "is not after start_s", "correct it")
    bad = end_s - start_s < SHORTEST_S
    refuse(rows, bad, where, "end_s", "is not a sample at 4 kHz after start_s", "correct it")


def _check_recordings(rows: pd.DataFrame, where: str) -> None:
    """Rows of one recording say the same of it, and their units do not overlap."""
    first = rows.groupby("recording", sort=False)[list(OF_RECORDING)].transform("first")
    for name in OF_RECORDING:
        bad = (rows[name] != first[name]) & ~(rows[name].isna() & first[name].isna())
        refuse(rows, bad, where, name, "is another than in the recording's first row", "settle it")
    judged = rows[rows["label_state"].isin(JUDGED)]
    if judged.empty:
        raise InputError(f"{where}: no row has a positive or negative label; annotate some")
    if judged["unit"].nunique() > 1:
        kinds = ", ".join(sorted(judged["unit"].unique()))
        raise InputError(f"{where}: units of several kinds ({kinds}); keep one kind's rows")
    ordered = judged.sort_values(["recording", "start_s"], kind="stable")
    overlap = (ordered["recording"] == ordered["recording"].shift()) & (
        ordered["start_s"] < ordered["end_s"].shift()
    )
    says = "is before the end of the recording's unit before it"
    refuse(ordered, overlap, where, "start_s", says, "keep one of the two")


def folder_of(file: Storage) -> Storage:
    """The folder that a file lies in."""
    where, options = split_options(file.uri)
    return Storage(where.rpartition("/")[0] + options)


def _below(folder: str, recording: str) -> str:
    """A recording's path below a folder, as its file system knows it; any other's as it is."""
    if not recording.startswith(folder):
        return recording
    path = recording.removeprefix(folder)
    return unquote(path) if "://" in folder else path


def opened(folder: Storage, recording: str) -> str:
    """A recording's path or URI as it can be opened from anywhere."""
    if "://" in recording or recording.startswith(("/", "~/")):
        return Storage.at(recording).uri
    return (folder / normalised(recording)).uri


def _name(where: str) -> str:
    return split_options(where)[0].rstrip("/").rpartition("/")[2]
