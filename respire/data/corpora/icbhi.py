"""ICBHI 2017: a directory of recordings to a validated catalogue (Rocha et al. 2018, 2019).

A recording is ``NAME.wav`` or ``NAME.flac`` beside its annotation ``NAME.txt``; what they hold is
checked by icbhi_format.py. The official split list may lie anywhere below the same directory.
"""

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath

import pandas as pd

from respire.data.audio import read_header
from respire.data.catalogue import BARE, THREADS, sha256_of
from respire.data.corpora.icbhi_format import (
    Cycle,
    RecordingName,
    is_name,
    parse_annotation,
    parse_name,
    resembles_name,
    rows,
)
from respire.data.corpora.icbhi_patients import PARSERS
from respire.data.corpora.source import Source, is_utf8, shown
from respire.data.manifest import LABELS, complete
from respire.errors import InputError
from respire.runtime.storage import Storage

AUDIO_SUFFIXES = (".wav", ".flac")
SPLIT_LIST = "ICBHI_challenge_train_test.txt"
"""File name of the official split list."""
SPLIT_LIST_ALIASES = {"226_1b1_Pl_sc_Meditron": "226_1b1_Pl_sc_LittC2SE"}
"""Names in the official list that differ from the recording's own."""


@dataclass(frozen=True)
class Catalogue:
    """Every breathing cycle of a data set.

    Attributes:
        cycles: one row a cycle, sorted by recording and cycle, RangeIndex. Columns: recording
            str, patient int64, session str, location str, mode str, device str, cycle int64
            (0-based in its recording), start_s and end_s float64, label int64 (0 normal,
            1 crackle, 2 wheeze, 3 both), audio str (path or URI).
        skipped: why each recording was left out, one line each.
        warnings: folders that could not be looked into, one line each.
    """

    cycles: pd.DataFrame
    skipped: tuple[str, ...]
    warnings: tuple[str, ...]


def read_catalogue(directory: str, skip_bad: bool = False) -> Catalogue:
    """Read every recording's name, annotation and audio header below a directory.

    Args:
        directory: local path or URI (``s3://…``), searched recursively.
        skip_bad: leave bad recordings out and list them, instead of failing at the first.

    Raises:
        InputError: the directory is missing or holds no recording; or, without ``skip_bad``, a
            recording's name, annotation or audio is bad.
    """
    source = Source.at(directory)
    recordings: dict[str, tuple[str, list[Cycle]]] = {}
    skipped: list[str] = []
    with ThreadPoolExecutor(THREADS) as pool:
        readings = {
            recording: pool.submit(_read_recording, source, files)
            for recording, files in _recordings(source).items()
        }
        for recording, reading in readings.items():
            try:
                recordings[recording] = reading.result()
            except InputError as error:
                if not skip_bad:
                    pool.shutdown(cancel_futures=True)
                    raise
                skipped.append(str(error))
    if not recordings:
        raise InputError(
            f"{directory}: every recording is bad, the first because: {skipped[0]}"
            if skipped
            else f"{directory}: no recording (NAME.wav or NAME.flac beside NAME.txt) below it; "
            f"give the data set's directory with --data"
        )
    return Catalogue(_as_frame(source, recordings), tuple(skipped), source.warnings)


def manifest(directory: str, skip_bad: bool = False) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The data set as a complete manifest (data/manifest.py); and why recordings were left out.

    Raises:
        InputError: as ``read_catalogue``, or the official list is there and bad.
    """
    found = read_catalogue(directory, skip_bad)
    patients, _ = read_patients(directory)
    sides = official_split(directory) if has_official_split(directory) else {}
    cycles = found.cycles
    audio = cycles["audio"].unique()
    with ThreadPoolExecutor(THREADS) as pool:
        sha256 = dict(zip(audio, pool.map(sha256_of, audio), strict=True))
    label = cycles["label"]
    rows = pd.DataFrame(
        {
            "corpus": BARE,
            "recording": cycles["audio"],
            "group": cycles["patient"].astype(str),
            **{name: cycles[name] for name in ("session", "location", "mode", "device")},
            "start_s": cycles["start_s"],
            "end_s": cycles["end_s"],
            "raw_label": label.map(dict(enumerate(("0 0", "1 0", "0 1", "1 1")))),
            "label": label.map(dict(enumerate(LABELS))),
            "official_side": cycles["recording"].map(sides).fillna(""),
            "sha256": cycles["audio"].map(sha256),
        }
    )
    told = patients.reindex(cycles["patient"]).set_axis(rows.index)
    rows = rows.join(told.astype(object).where(told.notna(), "").astype(str))
    return complete(rows.astype(str), directory, Storage.at(directory), BARE), found.skipped


def official_split(directory: str) -> dict[str, str]:
    """The official 60-40 split: each recording's side, "train" or "test".

    Raises:
        InputError: the list is missing below the directory, is there in two versions, or is
            malformed.
    """
    source = Source.at(directory)
    lists = source.named(SPLIT_LIST)
    if not lists:
        raise InputError(
            f"{directory}: no {SPLIT_LIST} below it; put the data set's official list there, "
            f"or use --split 80-20"
        )
    remedy = "fetch the official list again"
    parsed = [parse_split_list(source.read_text(path, remedy), path) for path in lists]
    if any(sides != parsed[0] for sides in parsed):
        raise InputError(f"{', '.join(lists)}: two different official splits; keep one")
    return parsed[0]


def has_official_split(directory: str) -> bool:
    """Whether there is a list of the official split below the directory."""
    return bool(Source.at(directory).named(SPLIT_LIST))


def read_patients(directory: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Who the patients are, as far as files below the directory tell (icbhi_patients.py).

    Returns:
        A row a patient, by number, with those of the columns age, sex, bmi and diagnosis that have
        any value; and why a file was not read, one line each: no number of a run needs them.
    """
    source = Source.at(directory)
    tables: list[pd.DataFrame | pd.Series] = []
    warnings = []
    for name, parse in PARSERS.items():
        files = source.named(name)
        try:
            told = [parse(source.read_text(path), path) for path in files]
        except InputError as error:
            warnings.append(f"{error}; patients are told without it")
            continue
        if any(not table.equals(told[0]) for table in told):
            warnings.append(f"{', '.join(files)}: differ; patients are told without them")
        elif told:
            tables.append(told[0])
    empty = pd.DataFrame(index=pd.Index([], name="patient", dtype="int64"))
    patients = empty.join(tables, how="outer").rename_axis("patient").dropna(axis=1, how="all")
    return patients, tuple(warnings)


def parse_split_list(text: str, where: str) -> dict[str, str]:
    """Each recording's side from an official split list: rows of a name and "train" or "test".

    Raises:
        InputError: a row is malformed or names a recording a second time; or there is no row.
    """
    sides: dict[str, str] = {}
    for row, columns in rows(text):
        if len(columns) != 2 or columns[1] not in ("train", "test"):
            raise InputError(
                f"{where}, row {row}: expected a recording's name and train or test; "
                f"fetch the official list again"
            )
        path = PurePosixPath(columns[0])
        name = path.stem if _is_audio(path) else columns[0]
        recording = SPLIT_LIST_ALIASES.get(name, name)
        if recording in sides:
            raise InputError(f"{where}, row {row}: {recording} is listed twice; keep one row")
        sides[recording] = columns[1]
    if not sides:
        raise InputError(f"{where}: the official split is empty; fetch the list again")
    return sides


def parse_folds(text: str, where: str) -> dict[int, int]:
    """Each patient's fold from the released code's list: rows of a patient's number and a fold's.

    Raises:
        InputError: a row is malformed or names a patient a second time; or there is no row.
    """
    folds: dict[int, int] = {}
    for row, columns in rows(text):
        if len(columns) != 2 or not all(column.isdecimal() for column in columns):
            raise InputError(
                f"{where}, row {row}: expected a patient's number and a fold's; "
                f"fetch the list again"
            )
        patient, fold = map(int, columns)
        if patient in folds:
            raise InputError(f"{where}, row {row}: {patient} is listed twice; keep one row")
        folds[patient] = fold
    if not folds:
        raise InputError(f"{where}: no patient is listed; fetch the list again")
    return folds


def _recordings(source: Source) -> dict[str, list[str]]:
    """The files of each recording, whether they belong together or not, by name."""
    paths = [PurePosixPath(path) for path in source.paths]
    audio = {path for path in paths if _is_audio(path)}
    stems = {path.with_suffix("") for path in audio}
    folders = {path.parent for path in audio}

    def meant_as_annotation(path: PurePosixPath) -> bool:
        # Generous among recordings: there a misspelt name must not go unnoticed.
        named = is_name(path.stem) or path.parent in folders
        return path.suffix.lower() == ".txt" and (
            path.with_suffix("") in stems or (named and resembles_name(path.stem))
        )

    files: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        if path in audio or (is_utf8(str(path)) and meant_as_annotation(path)):
            files[path.stem].append(str(path))
    return dict(sorted(files.items()))


def _read_recording(source: Source, files: list[str]) -> tuple[str, list[Cycle]]:
    """A recording's audio path and its cycles, everything checked."""
    audios = [path for path in files if _is_audio(PurePosixPath(path))]
    texts = [path for path in files if path not in audios]
    if len(audios) > 1 or len(texts) > 1:
        twice = " and ".join(audios if len(audios) > 1 else texts)
        raise InputError(f"{twice}: the same recording twice; keep one")
    if not audios:
        raise InputError(f"{texts[0]}: annotation without audio; add the .wav, or remove it")
    audio = audios[0]
    if not is_utf8(audio):
        raise InputError(
            f"{shown(audio)}: its name or folder is no UTF-8 text; rename it, or leave it out with "
            f"--skip-bad"
        )
    parse_name(audio)
    if not texts or PurePosixPath(texts[0]).parent != PurePosixPath(audio).parent:
        raise InputError(
            f"{audio}: no annotation beside it; add {PurePosixPath(audio).stem}.txt, "
            f"or leave the recording out with --skip-bad"
        )
    duration_s, _ = read_header(source.filesystem, audio)
    return audio, parse_annotation(source.read_text(texts[0]), texts[0], duration_s)


def _as_frame(source: Source, recordings: dict[str, tuple[str, list[Cycle]]]) -> pd.DataFrame:
    records = [
        (recording, *parse_name(recording), number, *cycle, source.uri_of(audio))
        for recording, (audio, cycles) in recordings.items()
        for number, cycle in enumerate(cycles)
    ]
    columns = ["recording", *RecordingName._fields, "cycle", *Cycle._fields, "audio"]
    return pd.DataFrame(records, columns=columns)


def _is_audio(path: PurePosixPath) -> bool:
    return path.suffix.lower() in AUDIO_SUFFIXES
