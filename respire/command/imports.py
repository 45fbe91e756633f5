"""The command that writes a manifest: its options, and what they are handed down as."""

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from respire.command.main import asked_with
from respire.errors import InputError

Layout = Literal["icbhi", "csv"]


@dataclass(frozen=True)
class ImportOptions:
    """Which recordings, and where their manifest goes."""

    corpus: Annotated[Layout, tyro.conf.Positional]
    """icbhi: ICBHI 2017's layout; csv: a folder with a CSV of file, patient, start, end, crackle,
    wheeze, and where known device and other columns of a manifest."""
    directory: Annotated[str, tyro.conf.Positional]
    """Folder or URI."""
    out: str = "manifest.parquet"
    """Manifest to write, .parquet or .csv."""
    name: str | None = None
    """What a corpus of layout csv is called; left out, as its folder."""
    skip_bad: tyro.conf.FlagCreatePairsOff[bool] = False
    """Leave recordings with errors out, and list them."""


@asked_with(ImportOptions)
def import_corpus(options: ImportOptions) -> str:
    """``respire import``: writes the manifest."""
    from respire.data.corpora import plain
    from respire.data.corpora.corpus import import_manifest
    from respire.data.manifest import SUFFIXES, is_manifest, write_manifest
    from respire.runtime.storage import Storage

    if not is_manifest(options.out):
        raise InputError(f"--out {options.out}: must end in {' or '.join(SUFFIXES)}")
    table = plain.find(options.directory) if options.corpus == "csv" else None
    if table == Storage.at(options.out):
        raise InputError(f"--out {options.out}: is read; choose another name")
    told = (options.corpus, options.directory, options.name, options.skip_bad)
    manifest, skipped = import_manifest(*told)
    write_manifest(manifest, options.out)
    recordings, patients = manifest["recording"].nunique(), manifest["group"].nunique()
    said = f"{options.out}: {len(manifest):,} units, {recordings:,} recordings, {patients} groups"
    return "\n".join([*(f"left out: {line}" for line in skipped), said])
