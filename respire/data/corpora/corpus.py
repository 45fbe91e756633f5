"""A corpus as found: synthesised, downloaded or given, and checked before any of it is decoded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd
import pooch

from respire.data.corpora import icbhi
from respire.data.corpora.icbhi_download import download
from respire.data.corpora.synthetic import default_corpus

SYNTHETIC = "synthetic"
"""What the corpus that the package generates is asked for by."""
SYNTHETIC_WARNING = "the recordings are synthetic: the Scores say nothing about patients"


@dataclass(frozen=True)
class Corpus:
    """Recordings as found, before any is decoded.

    Attributes:
        cycles: the catalogue (data/corpora/icbhi.py).
        skipped: recordings left out because of ``--skip-bad``, one line each.
        warnings: what a reader must know about the recordings.
        directory: where they lie.
        fingerprint: of the recordings' and annotations' content.
        patients: who they are, as far as it is told: a row a patient, by ``patient``, with those of
            the columns age (years), sex, bmi (kg/m²) and diagnosis that have any value.
    """

    cycles: pd.DataFrame
    skipped: tuple[str, ...]
    warnings: tuple[str, ...]
    directory: str
    fingerprint: str
    patients: pd.DataFrame = field(default_factory=pd.DataFrame)

    @cached_property
    def official(self) -> Mapping[str, str]:
        """Each recording's side in the official split.

        Raises:
            InputError: its list is missing or bad.
        """
        return icbhi.official_split(self.directory)


def locate(data: str | None) -> str:
    """The directory of the corpus: given, synthesised, or downloaded; the last two are cached."""
    if data == SYNTHETIC:
        return str(default_corpus(Path(pooch.os_cache("respire"))))
    return str(download()) if data is None else data


def open_corpus(data: str | None, skip_bad: bool = False) -> Corpus:
    """Find and check the recordings, synthesised or downloaded if need be.

    ``data`` is their directory or URI; SYNTHETIC; or None for the published data set.

    Raises:
        InputError: a file or annotation is bad, unless ``skip_bad``.
    """
    directory = locate(data)
    catalogue = icbhi.read_catalogue(directory, skip_bad)
    patients, unread = icbhi.read_patients(directory)
    return Corpus(
        cycles=catalogue.cycles,
        skipped=catalogue.skipped,
        warnings=(*((SYNTHETIC_WARNING,) if data == SYNTHETIC else ()), *unread),
        directory=directory,
        fingerprint=icbhi.fingerprint(catalogue.cycles),
        patients=patients.loc[patients.index.isin(catalogue.cycles["patient"])],
    )
