"""A corpus as found: synthesised, downloaded or given, and checked before any of it is decoded."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import pandas as pd
import pooch

from respire.data.catalogue import (
    catalogue,
    check_audio,
    contents,
    copies,
    fingerprint,
    names_of,
    people,
)
from respire.data.corpora import icbhi, plain
from respire.data.corpora.icbhi_download import download
from respire.data.corpora.synthetic import default_corpus
from respire.data.manifest import JUDGED, is_manifest, read_manifest
from respire.errors import InputError
from respire.runtime.storage import Storage, split_options

SYNTHETIC = "synthetic"
"""What the corpus that the package generates is asked for by."""
SYNTHETIC_WARNING = "the recordings are synthetic: the Scores say nothing about patients"


@dataclass(frozen=True)
class Corpus:
    """Recordings as found, before any is decoded.

    Attributes:
        cycles: the catalogue (data/catalogue.py).
        skipped: recordings left out because of ``--skip-bad``, one line each.
        warnings: what a reader must know about the recordings.
        directory: where they lie, or their manifest.
        fingerprint: of the recordings' and annotations' content.
        patients: who they are, as far as it is told: a row a patient, by ``patient``, with those of
            the columns age (years), sex, bmi (kg/m²) and diagnosis that have any value.
        sides: each recording's official side by a manifest; None where a list of ICBHI's tells.
        groups: what is called a patient here: "patient", "date", or "group" where some are dates.
    """

    cycles: pd.DataFrame
    skipped: tuple[str, ...]
    warnings: tuple[str, ...]
    directory: str
    fingerprint: str
    patients: pd.DataFrame = field(default_factory=pd.DataFrame)
    sides: Mapping[str, str] | None = None
    groups: str = "patient"

    @cached_property
    def official(self) -> Mapping[str, str]:
        """Each recording's side in the official split.

        Raises:
            InputError: its list is missing or bad.
        """
        if self.sides is None:
            return icbhi.official_split(self.directory)
        if not self.sides:
            raise InputError(
                f"{self.directory}: no row has an official_side; fill the column in, or use "
                f"--split 80-20"
            )
        return self.sides

    @cached_property
    def has_official(self) -> bool:
        """Whether anything tells official sides."""
        if self.sides is None:
            return icbhi.has_official_split(self.directory)
        return bool(self.sides)


def locate(data: str | None) -> str:
    """The directory of the corpus: given, synthesised, or downloaded; the last two are cached."""
    if data == SYNTHETIC:
        return str(default_corpus(Path(pooch.os_cache("respire"))))
    return str(download()) if data is None else data


def open_corpus(data: str | None, skip_bad: bool = False) -> Corpus:
    """Find and check the recordings, synthesised or downloaded if need be.

    ``data`` is a manifest; a directory or URI of a known layout; SYNTHETIC; or None for the
    published data set.

    Raises:
        InputError: a file or annotation is bad, unless ``skip_bad``.
    """
    where = locate(data)
    if is_manifest(where):
        return _of_manifest(*read_manifest(where, skip_bad), where, where, skip_bad)
    if table := plain.find(where):
        rows, skipped, unnamed = plain.manifest(table, named(where), skip_bad)
        found = _of_manifest(rows, skipped, table.uri, where, skip_bad)
        return replace(found, warnings=(*found.warnings, *unnamed))
    try:
        read = icbhi.read_catalogue(where, skip_bad)
    except InputError as error:
        if why := plain.why_none(where):
            raise InputError(f"{error} (or, if it is a table of cycles, {why})") from error
        raise
    patients, unread = icbhi.read_patients(where)
    content = contents(read.cycles)
    return Corpus(
        cycles=read.cycles,
        skipped=read.skipped,
        warnings=(
            *((SYNTHETIC_WARNING,) if data == SYNTHETIC else ()),
            *read.warnings,
            *unread,
            *copies(read.cycles, content),
        ),
        directory=where,
        fingerprint=fingerprint(read.cycles, content),
        patients=patients.loc[patients.index.isin(read.cycles["patient"])],
    )


def import_manifest(
    layout: str, where: str, corpus: str | None = None, skip_bad: bool = False
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """A directory of a known layout as a complete manifest; and why recordings were left out.

    Args:
        layout: "icbhi", ICBHI 2017's (icbhi.py), or "csv", a table of cycles (plain.py).
        where: the directory.
        corpus: what a corpus of layout "csv" is called; None for the directory's name.
        skip_bad: leave bad recordings out, instead of failing at the first.

    Raises:
        InputError: it is not in this layout, or a recording is bad.
    """
    if layout == "icbhi":
        return icbhi.manifest(where, skip_bad)
    if (table := plain.find(where)) is None:
        needed = ", ".join(plain.NEEDED)
        none = f"{where}: no CSV with columns {needed} in it; put one there"
        raise InputError(plain.why_none(where) or none)
    rows, skipped, unnamed = plain.manifest(table, corpus or named(where), skip_bad)
    rows, unheard = check_audio(rows, table.uri, skip_bad)
    names_of(rows)  # which refuses two files of one name
    return rows, (*skipped, *unheard, *unnamed)


def named(directory: str) -> str:
    """What the corpus in a folder is called by default: as the folder."""
    name = split_options(Storage.at(directory).uri)[0].rpartition("/")[2]
    return re.sub(r"[^\w.-]", "-", name)


def _of_manifest(
    manifest: pd.DataFrame, skipped: list[str], where: str, data: str, skip_bad: bool
) -> Corpus:
    manifest, unheard = check_audio(manifest, where, skip_bad)
    cycles = catalogue(manifest)
    patients, warnings = people(manifest)
    sha256 = dict(zip(manifest["recording"], manifest["sha256"], strict=True))
    content = contents(cycles, sha256)
    warnings += copies(cycles, content)
    sided = manifest[manifest["official_side"] != ""]
    name = dict(zip(cycles["audio"], cycles["recording"], strict=True))
    passed_over = len(manifest) - len(cycles)
    if passed_over:
        warnings.append(f"{passed_over} units without a settled label are passed over")
    (unit,) = manifest.loc[manifest["label_state"].isin(JUDGED), "unit"].unique()
    if unit != "cycle":
        warnings.append(f"what is called a cycle here is a whole {unit} of the manifest")
    kinds = set(manifest["group_kind"]) - {"none"}
    if "date" in kinds:
        which = "the" if kinds == {"date"} else "some"
        warnings.append(
            f"{which} groups are dates of recording, not patients: intervals are over them, and "
            f"one patient may be on two sides"
        )
    return Corpus(
        cycles=cycles,
        skipped=(*skipped, *unheard),
        warnings=tuple(warnings),
        directory=data,
        fingerprint=fingerprint(cycles, content),
        patients=patients,
        sides={
            name[file]: side
            for file, side in zip(sided["recording"], sided["official_side"], strict=True)
            if file in name
        },
        groups=kinds.pop() if len(kinds) == 1 else "group" if kinds else "patient",
    )
