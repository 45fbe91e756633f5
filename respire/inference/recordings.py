"""Recordings of any kind: found, and cut into windows or into annotated cycles."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import fs

from respire.data.audio import AUDIO_SUFFIXES, no_sound, read_channels
from respire.data.corpora.icbhi_format import parse_annotation, resembles_name
from respire.data.corpora.source import Source, is_utf8, shown
from respire.data.manifest import JUDGED, is_manifest, read_manifest
from respire.data.manifest import UNKNOWN as UNKNOWN_DEVICE
from respire.data.preprocess import preprocess, slice_cycles
from respire.data.rows import WITHOUT_SPECTRAL
from respire.errors import InputError
from respire.labels import UNKNOWN
from respire.recipe.recipe import Recipe
from respire.runtime.storage import Storage, split_options

SHORTEST_S = 0.2
"""Shorter recordings are refused: no annotated cycle of ICBHI 2017 is."""


@dataclass(frozen=True)
class Recording:
    """A recording that is to be heard.

    Attributes:
        file: path or URI, as answers call it.
        device: that it was made with, a free string; "" where nobody says.
        cycles: start and end in seconds of what is to be heard, () for nothing; None for all of it,
            in windows.
        annotation: path or URI of the file that says where its cycles are; "" for none.
        content: the file's bytes, where they need not be read.
    """

    file: str
    device: str = ""
    cycles: tuple[tuple[float, float], ...] | None = None
    annotation: str = ""
    content: bytes | None = None

    @property
    def stem(self) -> str:
        """Its file's name without folder and suffix."""
        return PurePosixPath(split_options(self.file)[0]).stem


def find_recordings(
    sources: Sequence[str | Path], device: str = "", annotations: bool = False
) -> list[Recording]:
    """The recordings among files, folders (searched recursively), manifests, and URIs of them.

    Each is found once, however often it is named.

    Those of a manifest (data/manifest.py) have the cycles that are annotated there; where none of
    a recording's has a settled label, there is nothing of it to be heard.

    Args:
        sources: where; what is named as a file is taken for a recording whatever it is called,
            unless as a manifest is.
        device: of those of which neither a manifest nor the name says.
        annotations: whether ``NAME.txt`` beside each, in ICBHI's layout, says what its cycles are.

    Raises:
        InputError: a source is not there, a folder holds no recording, or a manifest is bad.
    """
    found: list[Recording] = []
    for source in map(str, sources):
        if is_manifest(source):
            found += _in_manifest(source, device)
            continue
        found += (
            Recording(
                file,
                device=device_in_name(file) or device,
                annotation=str(_with_suffix(file, ".txt")) if annotations else "",
            )
            for file in _files(source)
        )
    once: dict[str, Recording] = {}
    for recording in found:
        once.setdefault(Storage.at(recording.file).uri, recording)
    return list(once.values())


def _in_manifest(manifest: str, device: str) -> Iterator[Recording]:
    rows, _ = read_manifest(manifest)
    for file, units in rows.groupby("recording", sort=False):
        made_with = units["device"].iloc[0]
        judged = units[units["label_state"].isin(JUDGED)].sort_values("start_s", kind="stable")
        named = device_in_name(str(file)) or device
        yield Recording(
            str(file),
            device=named if made_with == UNKNOWN_DEVICE else made_with,
            cycles=tuple(zip(judged["start_s"], judged["end_s"], strict=True)),
        )


def recordings_in(rows: pd.DataFrame) -> list[Recording]:
    """The recordings, or parts of them, that a table's rows hold or name (``Model.answer``).

    Raises:
        InputError: a row has neither audio nor uri, or a start without an end.
    """
    found = []
    for number, row in enumerate(rows.to_dict("records")):
        given = {name: value for name, value in row.items() if not _missing(value)}
        if "audio" not in given and "uri" not in given:
            raise InputError(f"row {number}: neither audio nor uri; give one of them")
        if ("start_s" in given) != ("end_s" in given):
            raise InputError(f"row {number}: give start_s and end_s, or neither")
        file = str(given.get("uri", f"row {number}"))
        found.append(
            Recording(
                file,
                device=str(given.get("device", "")) or device_in_name(file),
                cycles=((given["start_s"], given["end_s"]),) if "start_s" in given else None,
                content=given.get("audio"),
            )
        )
    return found


def _missing(value: object) -> bool:
    return value is None or value != value or value in ("", b"")


def device_in_name(file: str) -> str:
    """The device that a file's name ends in, if it is like ICBHI's names; else ""."""
    stem = Recording(file).stem
    return stem.rpartition("_")[2] if resembles_name(stem) else ""


def _files(source: str) -> Iterator[str]:
    filesystem, path = Storage.at(source).filesystem()
    kind = filesystem.get_file_info(path).type
    if kind == fs.FileType.NotFound:
        raise InputError(f"{source}: no such file or folder; check the path")
    if kind != fs.FileType.Directory:
        yield source
        return
    folder = Source.at(source)
    found = [at for at in folder.paths if PurePosixPath(at).suffix.lower() in AUDIO_SUFFIXES]
    if not found:
        raise InputError(f"{source}: no recording ({', '.join(AUDIO_SUFFIXES)}) below it")
    for at in found:
        if not is_utf8(at):
            raise InputError(f"{shown(at)}: its name is no UTF-8; rename it")
        yield (Storage(source.rstrip("/")) / at[len(path.rstrip("/")) + 1 :]).uri


def _with_suffix(file: str, suffix: str) -> str:
    where, options = split_options(file)
    folder, slash, name = where.rpartition("/")
    return f"{folder}{slash}{PurePosixPath(name).stem}{suffix}{options}"


def window_length_s(recipe: Recipe) -> float:
    """Seconds that the recipe's network hears at once."""
    rate_hz = recipe.preprocess.sample_rate_hz
    return recipe.features.samples(rate_hz) / rate_hz


def windows_over(length: int, window: int) -> list[tuple[int, int]]:
    """Start and end of half-overlapping windows over a recording, all in samples.

    One begins every half window, until one reaches the recording's end; that one may be shorter,
    and is padded as a short cycle is.
    """
    hop = window // 2
    count = 1 + max(0, -((window - length) // hop))
    return [(n * hop, min(n * hop + window, length)) for n in range(count)]


def cut(recording: Recording, recipe: Recipe) -> pa.Table:
    """A row of the cycles' schema (data/rows.py), the recording's windows in place of its cycles.

    It is called by the stem of its file; what nobody has labelled is UNKNOWN.

    Raises:
        InputError: the recording or its annotation is bad.
    """
    file, rate_hz = recording.file, recipe.preprocess.sample_rate_hz
    channels, rate = read_channels(file, recording.content)
    audio = channels.mean(axis=1)
    if len(audio) < SHORTEST_S * rate:
        raise InputError(
            f"{file}: lasts {len(audio) / rate:g} s, and no cycle of breath is shorter than "
            f"{SHORTEST_S} s; record it again"
        )
    if why := no_sound(channels):
        raise InputError(f"{file}: without sound ({why}); record it again")
    waveform = preprocess(audio, rate, recipe.preprocess)
    cycles, labels = recording.cycles, None
    if recording.annotation:
        annotated = parse_annotation(_text(recording.annotation), recording.annotation, inf)
        cycles = tuple((cycle.start_s, cycle.end_s) for cycle in annotated)
        labels = [cycle.label for cycle in annotated]
    elif cycles is None:
        windows = windows_over(len(waveform), recipe.features.samples(rate_hz))
        cycles = tuple((first / rate_hz, last / rate_hz) for first, last in windows)
    starts, ends = zip(*cycles, strict=True)
    try:
        samples, lengths = slice_cycles(waveform, starts, ends, rate_hz)
    except InputError as error:
        raise InputError(f"{recording.annotation or file}: {error}") from error
    row = {
        **dict.fromkeys(("session", "location", "mode"), ""),
        "recording": recording.stem,
        "patient": UNKNOWN,
        "device": recording.device,
        "cycle": np.arange(len(cycles)),
        "start_s": starts,
        "end_s": ends,
        "label": labels or [UNKNOWN] * len(cycles),
        "samples": lengths,
        "audio": samples,
    }
    return pa.Table.from_pylist([row], schema=WITHOUT_SPECTRAL)


def _text(file: str) -> str:
    try:
        return Storage.at(file).read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: annotation cannot be read ({error}); check the path") from error
