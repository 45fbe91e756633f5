"""Recordings to cycles over Ray Data: prepared once, kept as Parquet, one row a recording."""

import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.dataset
import ray
from pyarrow import fs

from respire.data.prepare import (
    ERROR,
    NO_SOUND,
    by_recording,
    key_of,
    no_sound_warnings,
    prepare_block,
)
from respire.data.rows import SCHEMA, WITHOUT_SPECTRAL, blocks_of, in_order, schema_of
from respire.data.splits.by_cycle import rows_apart
from respire.errors import InputError
from respire.recipe.fields import Preprocess
from respire.runtime.storage import Storage

_MANIFEST = "manifest.json"
_ABANDONED_AFTER_S = 3600
"""An attempt without a manifest that nobody has written to for this long is a leftover."""


@dataclass(frozen=True)
class PreparedCycles:
    """The cycles of a corpus under one preprocessing, in storage: a folder of Parquet files.

    The key says what they were made from and how, ``skipped`` why recordings were left out,
    ``warnings`` which have no sound (of those prepared by earlier versions, nothing is known).
    """

    storage: Storage
    key: str
    skipped: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def recordings(self) -> frozenset[str]:
        """Names of the recordings that could be prepared."""
        good = pyarrow.dataset.field(ERROR.name).is_null()
        names = _open(self.storage).to_table(columns=["recording"], filter=good)
        return frozenset(names.column("recording").to_pylist())

    def read(self, recordings: Sequence[str]) -> pa.Table:
        """Rows of some recordings, in SCHEMA, sorted by recording name.

        Raises:
            KeyError: a recording is not there, e.g. because it was skipped.
        """
        files = _open(self.storage)
        wanted = pyarrow.dataset.field("recording").isin(pa.array(list(recordings), pa.string()))
        good = pyarrow.dataset.field(ERROR.name).is_null()
        table = in_order(files.to_table(columns=SCHEMA.names, filter=wanted & good))
        missing = set(recordings) - set(table.column("recording").to_pylist())
        if missing:
            raise KeyError(f"not among the prepared recordings: {', '.join(sorted(missing))}")
        return table

    def dataset(self, recordings: Sequence[str]) -> ray.data.Dataset:
        """The same rows as a Ray dataset in memory, so that Ray Train needs no CPU to read it.

        It lacks the statistics of spectra, which no network reads.
        """
        return ray.data.from_arrow(blocks_of(self.read(recordings).select(WITHOUT_SPECTRAL.names)))


def prepare_cycles(
    cycles: pd.DataFrame,
    recipe: Preprocess,
    fingerprint: str,
    storage: Storage,
    skip_bad: bool = False,
) -> PreparedCycles:
    """Read, preprocess and slice every recording of a catalogue; Ray must be initialised.

    The result lies in ``storage/cycles/KEY/ATTEMPT/`` and counts as there once
    ``storage/cycles/KEY/manifest.json``, written last, names the attempt. So a run that is killed
    leaves nothing that a later one would take for whole, and two runs at once do not meet. With
    ``skip_bad`` recordings that cannot be prepared are left out, and it says which. The
    ``fingerprint`` is the identity of the recordings' content.

    Raises:
        InputError: a recording cannot be prepared, or all of them; storage cannot be written.
    """
    key = key_of(cycles, recipe, fingerprint)
    home = storage / "cycles" / key
    _remove_abandoned(home)
    if found := _find(home, key, skip_bad):
        return found
    home.check_writable()
    attempt = f"{time.strftime('%Y%m%dT%H%M%S')}-{uuid.uuid4().hex[:8]}"
    try:
        _write(cycles, recipe, home / attempt)
        manifest = {"attempt": attempt, **_verify(cycles, home / attempt, skip_bad)}
    except BaseException:
        (home / attempt).delete()
        raise
    if found := _find(home, key, skip_bad):  # another run was faster
        (home / attempt).delete()
        return found
    (home / _MANIFEST).write_json(manifest)
    return _prepared(home, key, manifest)


def _find(home: Storage, key: str, skip_bad: bool) -> PreparedCycles | None:
    """What an earlier run prepared, if it may be used.

    Without skip_bad a bad recording must be reported, and may have been repaired since.
    """
    if not (home / _MANIFEST).exists():
        return None
    found = _prepared(home, key, (home / _MANIFEST).read_json())
    return found if skip_bad or not found.skipped else None


def _prepared(home: Storage, key: str, manifest: dict[str, Any]) -> PreparedCycles:
    return PreparedCycles(
        home / manifest["attempt"],
        key,
        tuple(manifest["skipped"]),
        tuple(manifest.get("warnings", ())),
    )


def _write(cycles: pd.DataFrame, recipe: Preprocess, attempt: Storage) -> None:
    """Stream blocks of recordings through preprocessing into Parquet files.

    Raises:
        InputError: they cannot be written.
    """
    filesystem, path = attempt.filesystem()
    prepared = ray.data.from_arrow(blocks_of(by_recording(cycles))).map_batches(
        prepare_block, fn_kwargs={"recipe": recipe}, batch_size=None, batch_format="pyarrow"
    )
    try:
        prepared.write_parquet(path, filesystem=filesystem, compression="zstd")
    except OSError as error:  # as Ray gives it, with the traceback in its text
        raise attempt.refused(getattr(error, "cause", error)) from error


def _verify(cycles: pd.DataFrame, attempt: Storage, skip_bad: bool) -> dict[str, Any]:
    """Check the written files against the catalogue, and describe them for the manifest.

    Raises:
        InputError: the first bad recording, unless skip_bad; or every recording is bad.
        RuntimeError: a recording is missing, or is there twice, or lacks cycles.
    """
    files = _open(attempt)
    columns = ["recording", "samples", ERROR.name, NO_SOUND.name]
    written = files.to_table(columns=columns).sort_by("recording")
    if Counter(written.column("recording").to_pylist()) != Counter(set(cycles["recording"])):
        raise RuntimeError(f"{attempt.shown}: not the recordings of the catalogue were written")
    errors = written.column(ERROR.name).drop_null().to_pylist()
    if errors and (not skip_bad or len(errors) == len(written)):
        raise InputError(errors[0])
    skipped = written.filter(pyarrow.compute.is_valid(written.column(ERROR.name)))
    kept = cycles[~cycles["recording"].isin(skipped.column("recording").to_pylist())]
    lengths = pyarrow.compute.list_flatten(written.column("samples"))
    if len(lengths) != len(kept):
        raise RuntimeError(f"{attempt.shown}: {len(lengths)} of {len(kept)} cycles were written")
    return {
        "files": sorted(file.rsplit("/", 1)[-1] for file in files.files),
        "recordings": len(written) - len(errors),
        "cycles": len(kept),
        "skipped": errors,
        "warnings": no_sound_warnings(written),
    }


def _open(folder: Storage) -> pyarrow.dataset.Dataset:
    filesystem, path = folder.filesystem()
    patient = pyarrow.dataset.dataset(path, filesystem=filesystem, format="parquet").schema
    schema = schema_of(patient.field("patient").type).append(ERROR).append(NO_SOUND)
    return pyarrow.dataset.dataset(path, schema=schema, filesystem=filesystem, format="parquet")


def _remove_abandoned(home: Storage) -> None:
    """Remove what killed runs left, but not what another run is writing now."""
    filesystem, path = home.filesystem()
    manifest = home / _MANIFEST
    keep = {_MANIFEST, manifest.read_json()["attempt"]} if manifest.exists() else set()
    touched: dict[str, float] = {}
    for info in filesystem.get_file_info(
        fs.FileSelector(path, allow_not_found=True, recursive=True)
    ):
        entry = info.path.removeprefix(f"{path}/").split("/")[0]
        seconds = info.mtime.timestamp() if info.mtime else 0.0
        touched[entry] = max(touched.get(entry, 0.0), seconds)
    for entry, seconds in touched.items():
        if entry not in keep and seconds < time.time() - _ABANDONED_AFTER_S:
            (home / entry).delete()


class CyclesApart(PreparedCycles):
    """The cycles of a corpus taken apart: as ``PreparedCycles``, each a row by itself."""

    @classmethod
    def of(cls, prepared: PreparedCycles) -> "CyclesApart":
        """The same cycles, not copied until they are read."""
        return cls(
            prepared.storage, f"{prepared.key} taken apart", prepared.skipped, prepared.warnings
        )

    def recordings(self) -> frozenset[str]:
        """Names of all cycles."""
        return frozenset(self._rows().column("recording").to_pylist())

    def read(self, recordings: Sequence[str]) -> pa.Table:
        """Rows of some of them, in SCHEMA, sorted by name.

        Raises:
            KeyError: a cycle is not there.
        """
        rows = self._rows()
        missing = set(recordings) - set(rows.column("recording").to_pylist())
        if missing:
            raise KeyError(f"not among the prepared cycles: {', '.join(sorted(missing))}")
        wanted = pa.compute.is_in(rows.column("recording"), pa.array(list(recordings), pa.string()))
        return rows.filter(wanted).sort_by("recording")

    def _rows(self) -> pa.Table:
        return rows_apart(super().read(sorted(super().recordings())))
