"""Audio files: whole ones are read, torn ones refused."""

import io
from typing import Literal

import numpy as np
import pyarrow as pa
import soundfile as sf
from pyarrow import fs

from respire.errors import REMEDY, InputError
from respire.runtime.storage import Storage

AGAIN = "copy or download it again"
AUDIO_SUFFIXES = (
    *(".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3"),
    *(".aif", ".aiff", ".au", ".caf", ".w64", ".rf64"),
)
"""Of what is looked for in a folder of recordings of any kind; libsndfile decodes more."""
UNKNOWN_SIZE = 0xFFFFFFFF
"""What a WAV says of its length, of the whole and of the audio, that was written to a pipe."""


UNTOLD = b"\xff" * 4
UNKNOWN_FRAMES = (1 << 63) - 1
"""What libsndfile says of a FLAC that does not tell its length."""
UNFINISHED = "as where a recorder or a pipe did not finish it: convert it to a new file"
UNREADABLE = ("GSM610",)
"""Encodings that cannot be sought in."""
FAR_BEYOND = 2.0
"""Filters overshoot 1 a little; beyond this, floats are integers that nobody scaled."""
CANCELLED = 1e-3
"""Of the loudest channel's deviation, what averaging must leave of it."""


def read_header(filesystem: fs.FileSystem, path: str) -> tuple[float, int]:
    """A recording's length in seconds and sample rate in Hz by its header.

    Raises:
        InputError: the header cannot be read, or promises more audio than the file holds.
    """
    try:
        with filesystem.open_input_file(path) as file:
            missing = _missing_bytes(file)
            if missing:
                raise InputError(f"{path}: torn, {missing} bytes of audio are missing; {REMEDY}")
            file.seek(0)
            with sf.SoundFile(file) as audio:
                _refuse_encoding(audio, path)
                if audio.frames == UNKNOWN_FRAMES:
                    raise ValueError("its header does not say how long it is")
                if (
                    audio.frames and audio.seekable()
                ):  # a torn FLAC shows only where its last sample should be
                    audio.seek(audio.frames - 1)
                    audio.read(1)
                return audio.frames / audio.samplerate, audio.samplerate
    except ValueError as error:
        raise InputError(f"{path}: {error}, {UNFINISHED}; {REMEDY}") from error
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; check the path") from error
    except (OSError, sf.LibsndfileError) as error:
        reason = error.error_string if isinstance(error, sf.LibsndfileError) else str(error)
        raise InputError(
            f"{path}: audio cannot be read or is torn ({reason.strip()}); {AGAIN}, or leave the "
            f"recording out with --skip-bad"
        ) from error


def _missing_bytes(file: pa.NativeFile) -> int:
    """How far a file ends before its audio does (libsndfile would shorten silently).

    WAV, RIFX, RF64, W64 and AIFF state how many bytes of audio they hold. A file that was written
    to a pipe does not know, and lacks nothing.

    Raises:
        ValueError: it says that it holds no audio, and goes on after it.
    """
    kind = file.read(12)[:4]
    if kind not in (b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM"):
        return 0
    order: Literal["little", "big"] = "big" if kind in (b"RIFX", b"FORM") else "little"
    wide = kind == b"riff"  # W64: names of 16 bytes, sizes of 8 that count the header, parts of 8
    header_size, padding, whole = (24, 8, 0) if wide else (8, 2, 0)
    file.seek(40 if wide else 12)
    while len(header := file.read(header_size)) == header_size:
        size = int.from_bytes(header[16 if wide else 4 :], order) - (header_size if wide else 0)
        start = file.tell()
        if header[:4] == b"ds64":  # RF64's own place for sizes: of the file, of the audio
            whole = int.from_bytes(file.read(16)[8:], "little")
        if header[:4] in (b"data", b"SSND"):
            if size == UNKNOWN_SIZE:
                size = whole
            if size <= 0 < file.size() - start and kind != b"RF64" and not header.endswith(UNTOLD):
                raise ValueError("its header says that it holds no audio, though some follows")
            return max(0, start + size - file.size())
        file.seek(start + size + -size % padding)
    return 0


def no_sound(channels: np.ndarray) -> str | None:
    """Why there is nothing to hear in channels, float [n, C], once they are averaged; else None."""
    if not np.ptp(channels, axis=0).any():
        return "constant" if channels.any() else "silent"
    if channels.mean(axis=1).std() < CANCELLED * channels.std(axis=0).max():
        return "channels cancel"
    return None


def _refuse_encoding(audio: sf.SoundFile, path: str) -> None:
    if audio.subtype in UNREADABLE:
        raise InputError(
            f"{path}: its encoding, {audio.subtype_info}, cannot be read; convert it to PCM"
        )


def read_channels(source: str, content: bytes | None = None) -> tuple[np.ndarray, int]:
    """Read a recording: wav, flac, or whatever else libsndfile decodes.

    From a path, or a URI that pyarrow's filesystems understand, or the file's content where it is
    at hand: float32 [n, C] in (-1, 1) for integer formats, and the sample rate in Hz.

    Raises:
        InputError: no such file, not audio, torn, empty, or with samples that are not
            finite or far beyond 1.
    """
    try:
        content = Storage.at(source).read_bytes() if content is None else content
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({error}); check the path") from error
    try:
        missing = _missing_bytes(pa.BufferReader(content))
    except ValueError as error:
        raise InputError(f"{source}: {error}, {UNFINISHED}; {AGAIN}") from error
    if missing:
        raise InputError(f"{source}: torn, {missing} bytes of audio are missing; {AGAIN}")
    try:
        with sf.SoundFile(io.BytesIO(content)) as file:
            _refuse_encoding(file, source)
            announced, rate = file.frames, file.samplerate
            if announced == UNKNOWN_FRAMES:
                raise InputError(f"{source}: does not say how long it is, {UNFINISHED}; {AGAIN}")
            channels = file.read(dtype="float32", always_2d=True)
    except sf.LibsndfileError as error:
        reason = error.error_string.strip()
        raise InputError(f"{source}: not decodable as audio ({reason}); {AGAIN}") from error
    if len(channels) < announced:
        raise InputError(f"{source}: torn, holds {len(channels)} of {announced} samples; {AGAIN}")
    if len(channels) == 0:
        raise InputError(f"{source}: holds no samples; remove it or download it again")
    if not np.isfinite(channels).all():
        raise InputError(f"{source}: holds samples that are not finite; repair or remove it")
    if (peak := np.abs(channels).max()) > FAR_BEYOND:
        raise InputError(
            f"{source}: its samples go up to {peak:g}, far beyond 1, as integers in floats do; "
            f"divide them by their full scale, such as 32768"
        )
    return channels, rate
