"""The command that writes a manifest: its options, and what they are handed down as."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, NoReturn

import tyro

from respire.command.main import concluded
from respire.errors import InputError

Layout = Literal["icbhi", "csv"]


@dataclass(frozen=True)
class ImportOptions:
    """Recordings in a folder as one manifest, which --data takes."""

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


def command(description: str) -> NoReturn:
    """``python -m respire import``, from the command line."""
    prog: dict[str, Any] = {"prog": "respire import", "description": description}
    concluded(lambda: print(import_corpus(tyro.cli(ImportOptions, **prog))))


def import_corpus(options: ImportOptions) -> str:
    """Write the manifest; what is to be said of it.

    Raises:
        InputError: the recordings are bad, or the manifest cannot be written.
    """
    from respire.data.corpora.corpus import import_manifest
    from respire.data.manifest import SUFFIXES, is_manifest, write_manifest

    if not is_manifest(options.out):
        raise InputError(f"--out {options.out}: must end in {' or '.join(SUFFIXES)}")
    told = (options.corpus, options.directory, options.name, options.skip_bad)
    manifest, skipped = import_manifest(*told)
    write_manifest(manifest, options.out)
    recordings, patients = manifest["recording"].nunique(), manifest["group"].nunique()
    said = f"{options.out}: {len(manifest):,} units, {recordings:,} recordings, {patients} groups"
    return "\n".join([*(f"left out: {line}" for line in skipped), said])
