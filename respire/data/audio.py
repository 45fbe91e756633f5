"""Audio files: whole ones are read, torn ones refused."""

import io

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
                if audio.frames:  # a torn FLAC shows only where its last sample should be
                    audio.seek(audio.frames - 1)
                    audio.read(1)
                return audio.frames / audio.samplerate, audio.samplerate
    except (OSError, sf.LibsndfileError) as error:
        raise InputError(f"{path}: audio cannot be read or is torn ({error}); {REMEDY}") from error


def _missing_bytes(file: pa.NativeFile) -> int:
    """How far a RIFF file ends before its data chunk does (libsndfile would shorten silently).

    A file that was written to a pipe does not know its length, and lacks nothing.
    """
    if file.read(12)[:4] != b"RIFF":
        return 0
    while len(header := file.read(8)) == 8:
        size = int.from_bytes(header[4:], "little")
        if header[:4] == b"data":
            if size == UNKNOWN_SIZE:
                return 0
            return max(0, file.tell() + size - file.size())
        file.seek(file.tell() + size + size % 2)
    return 0


def read_audio(source: str) -> tuple[np.ndarray, int]:
    """Read a recording: wav, flac, or whatever else libsndfile decodes.

    From a path, or a URI that pyarrow's filesystems understand: float32 [n] in (-1, 1) for integer
    formats, channels averaged, and the sample rate in Hz.

    Raises:
        InputError: no such file, not audio, torn, empty, or with samples that are not finite.
    """
    try:
        content = Storage(source).read_bytes()
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({error}); check the path") from error
    return decode_audio(content, source)


def decode_audio(content: bytes, source: str) -> tuple[np.ndarray, int]:
    """The same of a file's content; messages call it by its source.

    Raises:
        InputError: not audio, torn, empty, or with samples that are not finite.
    """
    if missing := _missing_bytes(pa.BufferReader(content)):
        raise InputError(f"{source}: torn, {missing} bytes of audio are missing; {AGAIN}")
    try:
        with sf.SoundFile(io.BytesIO(content)) as file:
            announced, rate = file.frames, file.samplerate
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
    return channels.mean(axis=1), rate
