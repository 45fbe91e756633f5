"""ICBHI 2017: recording names and annotations to a validated catalogue (Rocha et al. 2018, 2019).

A recording is ``NAME.wav`` or ``NAME.flac`` beside its annotation ``NAME.txt``, where NAME is
``patient_session_location_mode_device`` and each row of the annotation is one breathing cycle:
start s, end s, crackle 0/1, wheeze 0/1.
"""

import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import soundfile as sf
from pyarrow import fs

from respire.errors import InputError
from respire.storage import Storage

LOCATIONS = ("Tc", "Al", "Ar", "Pl", "Pr", "Ll", "Lr")
"""Trachea; anterior, posterior and lateral, left and right."""
MODES = ("sc", "mc")
"""Sequential (single-channel) and simultaneous (multi-channel) acquisition."""
DEVICES = ("AKGC417L", "Meditron", "LittC2SE", "Litt3200")
"""One microphone and three electronic stethoscopes, the most used first."""

AUDIO_SUFFIXES = (".wav", ".flac")
SPLIT_LIST = "ICBHI_challenge_train_test.txt"
"""File name of the official split list."""
SPLIT_LIST_ALIASES = {"226_1b1_Pl_sc_Meditron": "226_1b1_Pl_sc_LittC2SE"}
"""Names in the official list that differ from the recording's own."""

SHORTEST_CYCLE_S = 1 / 4000
"""A cycle shorter than one sample at the paper's 4 kHz is empty after resampling."""
END_TOLERANCE_S = 0.5e-3
"""Annotations are written to the millisecond, so a cycle that ends with its recording may round
to half a millisecond beyond it. (No published recording needs it: the latest cycles end exactly
with theirs.)"""

_NAME = re.compile(r"([0-9]{1,9})_([0-9A-Za-z]+)_([A-Za-z]+)_([A-Za-z]+)_([0-9A-Za-z]+)")
_REMEDY = "correct it, or leave the recording out with --skip-bad"
_THREADS = 16  # bound by reading, not by computing


class RecordingName(NamedTuple):
    """What a recording's name says."""

    patient: int
    session: str
    location: str
    mode: str
    device: str


@dataclass(frozen=True)
class Catalogue:
    """Every breathing cycle of a data set.

    Attributes:
        cycles: one row a cycle, sorted by recording and cycle, RangeIndex. Columns: recording
            str, patient int64, session str, location str, mode str, device str, cycle int64
            (0-based in its recording), start_s and end_s float64, label int64 (0 normal,
            1 crackle, 2 wheeze, 3 both), audio str (path or URI).
        skipped: why each recording was left out, one line each.
    """

    cycles: pd.DataFrame
    skipped: tuple[str, ...]


class _Cycle(NamedTuple):
    start_s: float
    end_s: float
    label: int


@cache  # every split checks every name
def parse_name(recording: str) -> RecordingName:
    """Read a recording's name, or that of one of its files.

    Raises:
        InputError: the name is not patient_session_location_mode_device, or its location, mode
            or device is not one of ICBHI 2017.
    """
    match = _NAME.fullmatch(PurePosixPath(recording).stem)
    if not match:
        raise InputError(
            f"{recording}: not a recording's name (patient_session_location_mode_device, such as "
            f"101_1b1_Al_sc_Meditron); rename it, or leave it out with --skip-bad"
        )
    patient, session, location, mode, device = match.groups()
    for what, value, known in (
        ("location", location, LOCATIONS),
        ("mode", mode, MODES),
        ("device", device, DEVICES),
    ):
        if value not in known:
            raise InputError(
                f"{recording}: unknown {what} {value!r} (known: {', '.join(known)}); "
                f"rename it, or leave it out with --skip-bad"
            )
    return RecordingName(int(patient), session, location, mode, device)


def read_catalogue(directory: str, skip_bad: bool = False) -> Catalogue:
    """Read every recording's name, annotation and audio header below a directory.

    Args:
        directory: local path or URI (``s3://…``), searched recursively.
        skip_bad: leave bad recordings out and list them, instead of failing at the first.

    Raises:
        InputError: the directory is missing or holds no recording; or, without ``skip_bad``, a
            recording's name, annotation or audio is bad.
    """
    source = _Source.at(directory)
    recordings: dict[str, tuple[str, list[_Cycle]]] = {}
    skipped: list[str] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        files_of = source.recordings()
        outcomes = pool.map(lambda files: _read_or_explain(source, files), files_of.values())
        for recording, outcome in zip(files_of, outcomes, strict=True):
            if not isinstance(outcome, InputError):
                recordings[recording] = outcome
            elif skip_bad:
                skipped.append(str(outcome))
            else:
                pool.shutdown(cancel_futures=True)
                raise outcome
    if not recordings:
        raise InputError(
            f"{directory}: every recording is bad, the first because: {skipped[0]}"
            if skipped
            else f"{directory}: no recording (NAME.wav or NAME.flac beside NAME.txt) below it; "
            f"give the data set's directory with --data"
        )
    return Catalogue(_as_frame(source, recordings), tuple(skipped))


def official_split(directory: str) -> dict[str, str]:
    """The official 60-40 split: each recording's side, "train" or "test".

    Raises:
        InputError: the list is missing below the directory, is there in two versions, or is
            malformed.
    """
    source = _Source.at(directory)
    lists = [path for path in source.paths if PurePosixPath(path).name == SPLIT_LIST]
    if not lists:
        raise InputError(
            f"{directory}: no {SPLIT_LIST} below it; put the data set's official list there, "
            f"or use --split 80-20"
        )
    contents = {source.read_text(path) for path in lists}
    if len(contents) > 1:
        raise InputError(f"{', '.join(lists)}: two different official splits; keep one")
    return parse_split_list(contents.pop(), lists[0])


def parse_split_list(text: str, where: str) -> dict[str, str]:
    """Each recording's side from the text of an official split list.

    Args:
        text: rows of a recording's name and "train" or "test".
        where: the list's path, for messages.

    Raises:
        InputError: a row is malformed or names a recording a second time; or there is no row.
    """
    sides: dict[str, str] = {}
    for row, columns in _rows(text):
        if len(columns) != 2 or columns[1] not in ("train", "test"):
            raise InputError(
                f"{where}, row {row}: expected a recording's name and train or test; "
                f"fetch the official list again"
            )
        recording = SPLIT_LIST_ALIASES.get(columns[0], columns[0])
        if recording in sides:
            raise InputError(f"{where}, row {row}: {recording} is listed twice; keep one row")
        sides[recording] = columns[1]
    if not sides:
        raise InputError(f"{where}: the official split is empty; fetch the list again")
    return sides


def fingerprint(cycles: pd.DataFrame) -> str:
    """Hex digest of the audio files' content and the annotations.

    Where the files lie and how the rows are ordered do not change it.
    """
    cycles = cycles.sort_values(["recording", "cycle"])
    audio = cycles.drop_duplicates("recording")
    whole = hashlib.blake2b("\n".join(cycles["recording"]).encode(), digest_size=16)
    for column, dtype in (("start_s", "<f8"), ("end_s", "<f8"), ("label", "<i8")):
        whole.update(cycles[column].to_numpy(dtype).tobytes())
    with ThreadPoolExecutor(_THREADS) as pool:
        for digest in pool.map(_file_digest, audio["audio"]):
            whole.update(digest)
    return whole.hexdigest()


def _file_digest(path: str) -> bytes:
    filesystem, inner = Storage.at(path).filesystem()
    with filesystem.open_input_file(inner) as file:
        return hashlib.file_digest(file, hashlib.blake2b).digest()


@dataclass(frozen=True)
class _Source:
    """A directory of recordings on any pyarrow filesystem."""

    uri: str
    filesystem: fs.FileSystem
    root: str
    paths: tuple[str, ...]

    @classmethod
    def at(cls, directory: str) -> "_Source":
        storage = Storage.at(directory)
        filesystem, root = storage.filesystem()
        try:
            found = filesystem.get_file_info(fs.FileSelector(root, recursive=True))
        except (OSError, pa.ArrowInvalid) as error:
            raise InputError(
                f"{directory}: cannot be listed ({error}); give the data set's directory "
                f"with --data"
            ) from error
        # Names with a leading dot are a file system's own, such as macOS' "._NAME.wav".
        paths = sorted(
            file.path
            for file in found
            if file.type == fs.FileType.File and not file.base_name.startswith(".")
        )
        return cls(storage.uri, filesystem, root, tuple(paths))

    def recordings(self) -> dict[str, list[str]]:
        """The files of each recording, whether they belong together or not, by name."""
        audio = {p for p in self.paths if PurePosixPath(p).suffix.lower() in AUDIO_SUFFIXES}
        stems = {str(PurePosixPath(p).with_suffix("")) for p in audio}
        folders = {str(PurePosixPath(p).parent) for p in audio}
        files: dict[str, list[str]] = defaultdict(list)
        for path in map(PurePosixPath, self.paths):
            beside_audio = str(path.parent) in folders
            if str(path) in audio or (
                path.suffix.lower() == ".txt"
                and (str(path.with_suffix("")) in stems or _looks_like(path.stem, beside_audio))
            ):
                files[path.stem].append(str(path))
        return dict(sorted(files.items()))

    def uri_of(self, path: str) -> str:
        """The path as one can open it from anywhere: absolute, or with the scheme and options."""
        if "://" not in self.uri:
            return path
        base, question_mark, options = self.uri.partition("?")
        return base.rstrip("/") + path[len(self.root.rstrip("/")) :] + question_mark + options

    def read_text(self, path: str) -> str:
        """A text file's content.

        Raises:
            InputError: it cannot be read, or is no UTF-8 text.
        """
        try:
            with self.filesystem.open_input_file(path) as file:
                return file.read().decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read as text ({error}); {_REMEDY}") from error


def _looks_like(stem: str, beside_audio: bool) -> bool:
    """Whether a text file without audio was meant as an annotation.

    Strictly where it lies alone, generously among recordings: there a misspelt name must not go
    unnoticed.
    """
    return bool(_NAME.fullmatch(stem)) or (beside_audio and stem.count("_") == 4)


def _read_or_explain(source: _Source, files: list[str]) -> tuple[str, list[_Cycle]] | InputError:
    try:
        return _read_recording(source, files)
    except InputError as error:
        return error


def _read_recording(source: _Source, files: list[str]) -> tuple[str, list[_Cycle]]:
    """A recording's audio path and its cycles, everything checked."""
    audios = [path for path in files if PurePosixPath(path).suffix.lower() in AUDIO_SUFFIXES]
    texts = [path for path in files if path not in audios]
    if len(audios) > 1 or len(texts) > 1:
        twice = " and ".join(audios if len(audios) > 1 else texts)
        raise InputError(f"{twice}: the same recording twice; keep one")
    if not audios:
        raise InputError(f"{texts[0]}: annotation without audio; add the .wav, or remove it")
    audio = audios[0]
    parse_name(audio)
    if not texts or PurePosixPath(texts[0]).parent != PurePosixPath(audio).parent:
        raise InputError(
            f"{audio}: no annotation beside it; add {PurePosixPath(audio).stem}.txt, "
            f"or leave the recording out with --skip-bad"
        )
    return audio, _read_annotation(source, texts[0], _duration_s(source, audio))


def _duration_s(source: _Source, path: str) -> float:
    """A recording's length by its header.

    Raises:
        InputError: the header cannot be read, or promises more audio than the file holds.
    """
    try:
        with source.filesystem.open_input_file(path) as file:
            missing = _missing_bytes(file)
            if missing:
                raise InputError(f"{path}: torn, {missing} bytes of audio are missing; {_REMEDY}")
            file.seek(0)
            with sf.SoundFile(file) as audio:
                if audio.frames:  # a torn FLAC shows only where its last sample should be
                    audio.seek(audio.frames - 1)
                    audio.read(1)
                return audio.frames / audio.samplerate
    except (OSError, sf.LibsndfileError) as error:
        raise InputError(f"{path}: audio cannot be read or is torn ({error}); {_REMEDY}") from error


def _missing_bytes(file: pa.NativeFile) -> int:
    """How far a RIFF file ends before its data chunk does (libsndfile would shorten silently)."""
    if file.read(12)[:4] != b"RIFF":
        return 0
    while len(header := file.read(8)) == 8:
        size = int.from_bytes(header[4:], "little")
        if header[:4] == b"data":
            return max(0, file.tell() + size - file.size())
        file.seek(file.tell() + size + size % 2)
    return 0


def _read_annotation(source: _Source, path: str, duration_s: float) -> list[_Cycle]:
    cycles: list[_Cycle] = []
    for row, columns in _rows(source.read_text(path)):
        try:
            cycle = _parse_cycle(columns)
            if cycles and cycle.start_s < cycles[-1].end_s:
                raise ValueError(
                    f"starts at {cycle.start_s:g} s, before the previous cycle's end at "
                    f"{cycles[-1].end_s:g} s"
                )
            if cycle.end_s > duration_s + END_TOLERANCE_S:
                raise ValueError(
                    f"ends at {cycle.end_s:g} s, beyond the recording's {duration_s:g} s"
                )
        except ValueError as error:
            raise InputError(f"{path}, row {row}: {error}; {_REMEDY}") from error
        cycles.append(cycle)
    if not cycles:
        raise InputError(f"{path}: no cycles; {_REMEDY}")
    return cycles


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, split at white space, with their 1-based number in the file."""
    for number, line in enumerate(text.splitlines(), start=1):
        if columns := line.split():
            yield number, columns


def _parse_cycle(columns: list[str]) -> _Cycle:
    if len(columns) != 4:
        raise ValueError(
            f"{len(columns)} columns instead of 4 (start s, end s, crackle 0/1, wheeze 0/1)"
        )
    try:
        start_s, end_s = float(columns[0]), float(columns[1])
    except ValueError:
        raise ValueError(f"{columns[0]!r} and {columns[1]!r} must be seconds") from None
    if not (math.isfinite(start_s) and math.isfinite(end_s) and start_s >= 0):
        raise ValueError(f"{columns[0]} and {columns[1]} must be finite and not negative")
    if end_s <= start_s:
        raise ValueError(f"ends at {end_s:g} s, not after its start at {start_s:g} s")
    if end_s - start_s < SHORTEST_CYCLE_S:
        raise ValueError(f"lasts {end_s - start_s:g} s, less than one sample at 4 kHz")
    if not {columns[2], columns[3]} <= {"0", "1"}:
        raise ValueError(f"flags {columns[2]!r} and {columns[3]!r} must be 0 or 1")
    return _Cycle(start_s, end_s, label=int(columns[2]) + 2 * int(columns[3]))


def _as_frame(source: _Source, recordings: dict[str, tuple[str, list[_Cycle]]]) -> pd.DataFrame:
    rows = [
        (recording, *parse_name(recording), number, *cycle, uri)
        for recording, (audio, cycles) in recordings.items()
        for uri in [source.uri_of(audio)]
        for number, cycle in enumerate(cycles)
    ]
    columns = ["recording", *RecordingName._fields, "cycle", *_Cycle._fields, "audio"]
    return pd.DataFrame(rows, columns=columns)
